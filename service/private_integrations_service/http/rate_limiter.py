"""Limit rates, per worker: all limits on how often the service answers use this one algorithm (GCRA)."""

import asyncio
import random

LONGEST_WAIT = 2.0
"""The most seconds that a request without a known credential waits until it is answered or refused."""

# Limits for addresses; addresses with the same hash share one.
_SLOTS = 256


class RateLimiter:
    """Allow `burst` requests at once and `per_second` in the long run (the generic cell rate algorithm).

    Used by one thread; instants are seconds of a monotonic clock.
    """

    __slots__ = ("_interval", "_next", "_tolerance")

    def __init__(self, per_second: float, burst: float) -> None:
        self._interval = 1 / per_second
        self._tolerance = (burst - 1) / per_second
        self._next = 0.0

    def wait(self, now: float) -> float:
        """Return in how many seconds the next request is allowed, 0 if it is now."""
        return max(0.0, self._next - now)

    def take(self, now: float) -> None:
        """Count a request, whether it waits or not."""
        # After a pause `_next` lies in the past, as far as a burst reaches.
        self._next = max(self._next, now - self._tolerance) + self._interval


class UnknownClients:
    """Limit requests without a known credential, so that a flood of them doesn't slow down the others.

    One address gets half of the rate; this machine's own is exempt from that, as it may be a proxy's. Memory is
    bounded: addresses are hashed into a fixed number of limits. Used by one event loop.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._all = RateLimiter(per_second, burst)
        self._slots = [RateLimiter(per_second / 2, burst / 2) for _ in range(_SLOTS)]

    async def admit(self, address: str) -> bool:
        """Wait until a request from an address is allowed; return False if that takes more than LONGEST_WAIT."""
        wait = self.wait(address, asyncio.get_running_loop().time())
        if wait > LONGEST_WAIT:
            # A random delay: clients that came together would otherwise come together again.
            await asyncio.sleep(random.uniform(LONGEST_WAIT / 2, LONGEST_WAIT))  # noqa: S311 - not a secret
            return False
        await asyncio.sleep(wait)
        return True

    def wait(self, address: str, now: float) -> float:
        """Return the seconds until a request is allowed; it is counted unless they are more than LONGEST_WAIT."""
        limits = [self._all]
        if not address.startswith("127.") and address not in ("", "::1"):
            # One household has a whole /64 of IPv6.
            network = address if "." in address else ":".join(address.split(":")[:4])
            limits.append(self._slots[hash(network) % _SLOTS])
        wait = max(limit.wait(now) for limit in limits)
        if wait <= LONGEST_WAIT:
            for limit in limits:
                limit.take(now)
        return wait
