"""Tables, statements and migrations of the sandbox.

The sandbox is a demonstration of the platform: nothing here decides about a token. The main storage never imports it.
For example: `contact_by_id(connection, account_id, contact_id)`.
"""
