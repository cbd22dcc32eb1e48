"""Ask the upstream whether it takes a credential; of its answer only the status is looked at."""

from datetime import datetime
from urllib.parse import quote

import requests

from private_integrations.contract import Account, Outcome, Verification

_SECONDS = 10
_VERSION = "2021-07-28"
_REFUSALS = (401, 403)


def verify(upstream: str, account: Account, credential: str, now: datetime) -> Verification:
    """What the upstream says to one harmless request for the account: whom its tokens can always ask about.

    Redirects are not followed, proxies and .netrc of the environment are not used; at most 10 seconds each for
    connecting and for the head of the answer, whose body is not read.
    """
    try:
        status = _ask(upstream.rstrip("/") + _path(account), credential)
    except requests.exceptions.SSLError:
        return Verification(at=now, outcome="untrusted")
    except requests.Timeout:
        return Verification(at=now, outcome="timed-out")
    except requests.RequestException:
        return Verification(at=now, outcome="unreachable")
    return Verification(at=now, outcome=_outcome(status), status=status)


def _path(account: Account) -> str:
    if account.kind == "agency":
        return "/locations/search?limit=1"
    return f"/locations/{quote(account.id, safe='')}"


def _ask(url: str, credential: str) -> int:
    headers = {"Authorization": f"Bearer {credential}", "Version": _VERSION, "Accept": "application/json"}
    with requests.Session() as session:
        session.trust_env = False
        with session.get(url, headers=headers, timeout=_SECONDS, allow_redirects=False, stream=True) as answer:
            return answer.status_code


def _outcome(status: int) -> Outcome:
    if 200 <= status < 300:
        return "accepted"
    return "refused" if status in _REFUSALS else "unexpected"
