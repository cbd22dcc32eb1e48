"""Ask the upstream whether it takes a credential; of its answer only the status is looked at."""

import ssl
from contextlib import closing
from datetime import datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from private_integrations.contract import Account, Outcome, Verification

_SECONDS = 10
_VERSION = "2021-07-28"
_REFUSALS = (401, 403)


def verify(upstream: str, account: Account, credential: str, now: datetime) -> Verification:
    """What the upstream says to one request that changes nothing: about the location itself, or an agency's locations.

    At most 10 seconds for each step of it. No redirect is followed, and proxies of the environment are not used.
    """
    try:
        status = _ask(upstream, _path(account), credential)
    except ssl.SSLCertVerificationError:
        return Verification(at=now, outcome="untrusted")
    except TimeoutError:
        return Verification(at=now, outcome="timed-out")
    except (OSError, HTTPException, UnicodeError):
        return Verification(at=now, outcome="unreachable")
    return Verification(at=now, outcome=_outcome(status), status=status)


def _path(account: Account) -> str:
    return "/locations/search?limit=1" if account.kind == "agency" else f"/locations/{account.id}"


def _ask(upstream: str, path: str, credential: str) -> int:
    parts = urlsplit(upstream)
    host = parts.hostname or ""
    headers = {"Authorization": f"Bearer {credential}", "Version": _VERSION, "Accept": "application/json"}
    connection: HTTPConnection
    if parts.scheme == "https":
        # The system's trust, as the gateway has it; requests would bring its own.
        connection = HTTPSConnection(host, parts.port, timeout=_SECONDS, context=ssl.create_default_context())
    else:
        connection = HTTPConnection(host, parts.port, timeout=_SECONDS)
    with closing(connection):
        connection.request("GET", parts.path.rstrip("/") + path, headers=headers)
        return connection.getresponse().status


def _outcome(status: int) -> Outcome:
    if 200 <= status < 300:
        return "accepted"
    return "refused" if status in _REFUSALS else "unexpected"
