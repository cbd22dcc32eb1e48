"""Webhooks: where they may go, how one is posted, and when a failed one is sent again.

For example: `await Poster(destinations).post(url, headers, body)` connects only to an allowed address.
"""
