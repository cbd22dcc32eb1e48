"""Decide which requests to the data API may pass.

`Authorizer` decides, with the pure rules of `decisions.py` over the grants of live tokens, and records each decision on
a known token. `AuthorizerMiddleware` is its ASGI layer. For example:
`await authorizer.decide(DataRequest("GET", b"/contacts/", b"locationId=…", headers))` is `Allowed` or `Denied`.
"""

from .authorizer import Allowed, Authorizer, DataRequest, Decision, Denied
from .middleware import ALLOWED, AuthorizerMiddleware

__all__ = ["ALLOWED", "Allowed", "Authorizer", "AuthorizerMiddleware", "DataRequest", "Decision", "Denied"]
