"""How often somebody may try to sign in: a few times at will, then ever more slowly, never not at all for long.

Counted in the database, so for all workers and over a restart. A browser that the person signed in with before has a
count of its own: strangers who try an address from elsewhere keep nobody out who is known.
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
    """So many failures are free; each further one doubles the wait, from a second to the longest."""

    free: int
    longest: timedelta
    remembered: timedelta
    """When, after the last failure, all is forgotten."""

    def open_again(self, known: Failures) -> datetime:
        """From when on another try is taken."""
        if known.count < self.free:
            return known.last_at
        # Beyond 2**20 seconds every wait is the longest.
        doubled = timedelta(seconds=2 ** min(known.count - self.free, 20))
        return known.last_at + min(doubled, self.longest)


@dataclass(frozen=True)
class Counted:
    """What a try is counted for; `forgiven` says whether success clears it or only takes this try back."""

    digest: bytes
    allowance: Allowance
    forgiven: bool


_ACCOUNT = Allowance(5, timedelta(minutes=15), timedelta(days=1))
_BROWSER = Allowance(10, timedelta(minutes=5), timedelta(days=1))
# Of many people behind one router, and of one who tries many accounts.
_ADDRESS = Allowance(30, timedelta(minutes=5), timedelta(hours=1))


def of_strangers(email: str, address: str) -> tuple[Counted, ...]:
    """What a try from an unknown browser is counted for: the account, which may not exist, and the network address."""
    return (
        Counted(_named("account", email.lower()), _ACCOUNT, forgiven=True),
        # Whoever has an account could else try others for ever, with a success of their own in between.
        Counted(_named("address", _network(address)), _ADDRESS, forgiven=False),
    )


def of_browser(digest: bytes) -> tuple[Counted, ...]:
    """What a try from a browser is counted for with which that very person signed in before."""
    return (Counted(_named("browser", digest.hex()), _BROWSER, forgiven=True),)


def refuse(connection: Connection, counted: Sequence[Counted], now: datetime) -> Refused | None:
    """Why a try isn't taken now, with the seconds until it is, or None."""
    known = stored.failures(connection, [one.digest for one in counted], now)
    opens = [one.allowance.open_again(known[one.digest]) for one in counted if one.digest in known]
    wait = max(opens, default=now) - now
    if wait <= timedelta():
        return None
    seconds = -(-wait // timedelta(seconds=1))
    detail = f"too many tries went wrong; the next one is taken in {_in_words(seconds)}"
    return Refused(Problem.SIGN_IN_THROTTLED, detail, {"retry_after": seconds})


def count(write: Write, counted: Sequence[Counted]) -> None:
    """Count a try as failed, before it is looked at: many at once are not one."""
    stored.purge_failures(write.connection, write.now)
    known = stored.failures(write.connection, [one.digest for one in counted], write.now)
    for one in counted:
        before = known[one.digest].count if one.digest in known else 0
        _save(write, one, before + 1)


def forgive(write: Write, counted: Sequence[Counted]) -> None:
    """Note the success of a counted try: clear the counts that it clears, and take this try back from the others."""
    known = stored.failures(write.connection, [one.digest for one in counted], write.now)
    for one in counted:
        if one.digest not in known:
            continue
        if one.forgiven or known[one.digest].count == 1:
            stored.forget_failures(write.connection, one.digest)
        else:
            _save(write, one, known[one.digest].count - 1)


def _save(write: Write, one: Counted, failures: int) -> None:
    stored.save_failures(
        write.connection, one.digest, Failures(failures, write.now), write.now + one.allowance.remembered
    )


def _network(address: str) -> str:
    """The address, of IPv6 the first half: a household has as many of the rest as it likes."""
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
