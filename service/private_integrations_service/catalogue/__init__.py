"""Look up the platform's scopes and endpoints, and the fields of a request that name an account.

The data lies in `data/`, and no code changes with it. For example:
`Catalogue.load().match("GET", "/contacts/abc")`.
"""
