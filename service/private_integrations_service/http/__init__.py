"""HTTP, wherever the service speaks it: framing, bodies, client addresses, limits, problem documents, fetching.

Nothing here knows the database or what a token opens. For example: `refuse_framing(scope["headers"])`, or
`await read_body(receive, limit)`.
"""
