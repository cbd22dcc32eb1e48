"""Describe callers and their rights: actors, people's permissions, and the log of security events.

The rules are pure decisions over values. For example: `managed_accounts(memberships, accounts)` returns the accounts
whose integrations a person manages.
"""
