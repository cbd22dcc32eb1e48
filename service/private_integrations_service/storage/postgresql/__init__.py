"""Implement the engine with PostgreSQL, for several machines on one database.

Each machine is a replica with a lease: while it lasts, the machine may use remembered decisions without asking the
database. `lease`, `acknowledgement`, `timeline` and `revision` decide; docs/revocation-protocol.md explains the rules.
"""
