"""Suggest scopes for a token: from a log of requests, or from the routes of the platform's first API.

For example: `private-integrations suggest access.log` prints the scopes that the logged requests need.
"""
