"""The catalogue: the platform's scopes and endpoints, and which fields of a request name an account.

The data lies in `data/`, and no code changes with it. For example:
`Catalogue.load().match("GET", "/contacts/abc")`.
"""
