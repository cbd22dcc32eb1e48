"""Carry out the requests of people and programs.

An edge calls one operation with a request and an actor. The operation opens its transaction, calls the pure decision,
stores the result, writes the audit row and publishes events. It returns a value or `Refused`, and raises only for
storage errors. For example: `issue(...)` in `generations.py` answers `PUT /integrations/{id}/generations/4`.
"""
