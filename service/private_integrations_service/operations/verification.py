"""Ask the upstream whether it accepts a credential; only the status of its response is read."""

import ssl
from datetime import datetime

from private_integrations.contract import Account, Outcome, Verification

from ..http.fetching import Fetcher, FetchLimits, Target

_LIMITS = FetchLimits(connect=5, total=10)
_VERSION = "2021-07-28"
_REFUSALS = (401, 403)


def verify(
    upstream: str, account: Account, credential: str, now: datetime, limits: FetchLimits = _LIMITS
) -> Verification:
    """Return the upstream's answer to one read request: the location itself, or an agency's locations.

    It takes at most 10 seconds, follows no redirect, and ignores proxies of the environment.
    """
    try:
        # The system's trust, as the gateway has it; requests would bring its own.
        target = Target.of(upstream.rstrip("/") + _path(account))
        headers = {"Authorization": f"Bearer {credential}", "Version": _VERSION, "Accept": "application/json"}
        status = Fetcher(limits).fetch("GET", target, headers, wants_body=False).status
    except ssl.SSLCertVerificationError:
        return Verification(at=now, outcome="untrusted")
    except TimeoutError:
        return Verification(at=now, outcome="timed-out")
    except (OSError, ValueError):
        return Verification(at=now, outcome="unreachable")
    return Verification(at=now, outcome=_outcome(status), status=status)


def _path(account: Account) -> str:
    return "/locations/search?limit=1" if account.kind.has_sub_accounts else f"/locations/{account.id}"


def _outcome(status: int) -> Outcome:
    if 200 <= status < 300:
        return "accepted"
    return "refused" if status in _REFUSALS else "unexpected"
