"""Check where webhooks may be sent, post a message, and decide when to repeat a failed one.

For example: `await Poster(destinations).post(url, headers, body)` connects only to an allowed address.
"""
