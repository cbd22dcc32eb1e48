"""Forward allowed requests to the upstream, with the account's upstream credential.

`Gateway` is the ASGI application behind the authorizer's middleware. `requests.py` and `responses.py` build what is
sent on, `bodies.py` reads which accounts a body names, `pool.py` and `connections.py` speak to the upstream, and
`credentials.py` says where credentials come from. For example:
`Gateway(authorizer, Upstream.parse("https://services.example.com"), PastedCredentials(find), GatewayLimits())`.
"""

from .credentials import Credential, CredentialSource, PastedCredentials
from .gateway import Gateway
from .limits import GatewayLimits
from .upstream import Upstream

__all__ = ["Credential", "CredentialSource", "Gateway", "GatewayLimits", "PastedCredentials", "Upstream"]
