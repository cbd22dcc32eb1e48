"""Speak HTTP: framing, bodies, client addresses, limits, problem documents, and requests to other servers.

This package does not know the database, or what a token opens. For example: `HeadReader().read(head)`, or
`await read_body(receive, limit)`.
"""
