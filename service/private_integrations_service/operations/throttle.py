"""Limit failed sign-ins: a few tries are free, then each waits longer, up to a bounded time.

The counts are in the database, so they hold for all workers and over a restart. A browser that the person signed in
with before has a count of its own, so an attacker elsewhere can't keep a known browser out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

from sqlalchemy import Connection

from private_integrations.contract import Problem, Refused, digest_of

from ..storage import sessions as stored
from ..storage.engine import Write
from ..storage.sessions import Failures


@dataclass(frozen=True)
class Allowance:
    """Allow so many failures; each further one doubles the wait, from a second to the longest."""

    free: int
    longest: timedelta
    remembered: timedelta
    """The time after the last failure until the count is deleted."""

    def open_again(self, known: Failures) -> datetime:
        """Return the instant from which another try is allowed."""
        if known.count < self.free:
            return known.last_at
        # Beyond 2**20 seconds every wait is the longest.
        doubled = timedelta(seconds=2 ** min(known.count - self.free, 20))
        return known.last_at + min(doubled, self.longest)


@dataclass(frozen=True)
class FailureCount:
    """Hold a count that a try belongs to; `forgiven`: a success clears it instead of only taking this try back."""

    digest: bytes
    allowance: Allowance
    forgiven: bool


_ACCOUNT = Allowance(5, timedelta(minutes=15), timedelta(days=1))
_BROWSER = Allowance(10, timedelta(minutes=5), timedelta(days=1))
# For the many people behind one router, and for an attacker who tries many accounts.
_ADDRESS = Allowance(30, timedelta(minutes=5), timedelta(hours=1))


def of_strangers(email: str, address: str) -> tuple[FailureCount, ...]:
    """Return the counts of a try from an unknown browser: the account, which may not exist, and the network address."""
    return (
        FailureCount(_named("account", email.lower()), _ACCOUNT, forgiven=True),
        # Otherwise a user could try other accounts for ever, with a success of their own in between.
        FailureCount(_named("address", _network(address)), _ADDRESS, forgiven=False),
    )


def of_browser(digest: bytes) -> tuple[FailureCount, ...]:
    """Return the count of a try from a browser with which the same person signed in before."""
    return (FailureCount(_named("browser", digest.hex()), _BROWSER, forgiven=True),)


def refuse(connection: Connection, counted: Sequence[FailureCount], now: datetime) -> Refused | None:
    """Refuse a try that comes too early, with the seconds to wait, or None."""
    known = stored.failures(connection, [one.digest for one in counted], now)
    opens = [one.allowance.open_again(known[one.digest]) for one in counted if one.digest in known]
    wait = max(opens, default=now) - now
    if wait <= timedelta():
        return None
    seconds = -(-wait // timedelta(seconds=1))
    detail = f"too many tries went wrong; the next one is taken in {_in_words(seconds)}"
    return Refused(Problem.SIGN_IN_THROTTLED, detail, {"retry_after": seconds})


def count(write: Write, counted: Sequence[FailureCount]) -> None:
    """Count a try as failed before it is checked, so that simultaneous tries count as many."""
    stored.purge_failures(write.connection, write.now)
    known = stored.failures(write.connection, [one.digest for one in counted], write.now)
    for one in counted:
        before = known[one.digest].count if one.digest in known else 0
        _save(write, one, before + 1)


def forgive(write: Write, counted: Sequence[FailureCount]) -> None:
    """Record the success of a counted try: clear the counts that it clears, and take this try back from the others."""
    known = stored.failures(write.connection, [one.digest for one in counted], write.now)
    for one in counted:
        if one.digest not in known:
            continue
        if one.forgiven or known[one.digest].count == 1:
            stored.forget_failures(write.connection, one.digest)
        else:
            _save(write, one, known[one.digest].count - 1)


def _save(write: Write, one: FailureCount, failures: int) -> None:
    stored.save_failures(
        write.connection, one.digest, Failures(failures, write.now), write.now + one.allowance.remembered
    )


def _network(address: str) -> str:
    """Return the address, of IPv6 the first half, since a household has all addresses of the second."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)


def _named(kind: str, value: str) -> bytes:
    return digest_of(f"{kind} {value}")


def _in_words(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    minutes = -(-seconds // 60)
    return f"{minutes} minute{'' if minutes == 1 else 's'}"
