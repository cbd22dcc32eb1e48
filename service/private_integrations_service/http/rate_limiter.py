"""Rate limiting: the one algorithm (GCRA) behind every limit on how often something is answered, per worker."""

import asyncio
import random

LONGEST_WAIT = 2.0
"""Seconds that a request without a known credential waits at most until it is answered or refused."""

# Of this many addresses each has a limit of its own; addresses with the same hash share one.
_SLOTS = 256


class RateLimiter:
    """Lets `burst` through at once and `per_second` as they go on: the generic cell rate algorithm.

    Used by one thread; instants are seconds of a clock that never steps.
    """

    __slots__ = ("_interval", "_tolerance", "_turn")

    def __init__(self, per_second: float, burst: float) -> None:
        self._interval = 1 / per_second
        self._tolerance = (burst - 1) / per_second
        self._turn = 0.0

    def wait(self, now: float) -> float:
        """Return in how many seconds the next one may go; 0 if it may at once."""
        return max(0.0, self._turn - now)

    def take(self, now: float) -> None:
        """Count one, whether it goes at once or waits."""
        # After a pause `_turn` lies in the past, as far as a burst reaches.
        self._turn = max(self._turn, now - self._tolerance) + self._interval


class UnknownClients:
    """Limits the requests without a known credential, so that they take little from those that have one.

    One address gets half of what all together get, but this machine's own, which may be a proxy's. Memory is bounded:
    addresses are hashed into a fixed number of limits. Used by one event loop.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._all = RateLimiter(per_second, burst)
        self._slots = [RateLimiter(per_second / 2, burst / 2) for _ in range(_SLOTS)]

    async def turn(self, address: str) -> bool:
        """Wait for the turn of a request from an address; False if it would not come in LONGEST_WAIT seconds."""
        wait = self.wait(address, asyncio.get_running_loop().time())
        if wait > LONGEST_WAIT:
            # Not all at once: those that came together would come together again, for as long as the storm lasts.
            await asyncio.sleep(random.uniform(LONGEST_WAIT / 2, LONGEST_WAIT))  # noqa: S311 - not a secret
            return False
        await asyncio.sleep(wait)
        return True

    def wait(self, address: str, now: float) -> float:
        """Return the seconds until the turn; it is counted unless it is further away than LONGEST_WAIT."""
        limits = [self._all]
        if not address.startswith("127.") and address not in ("", "::1"):
            # Of IPv6 a household has a whole /64.
            network = address if "." in address else ":".join(address.split(":")[:4])
            limits.append(self._slots[hash(network) % _SLOTS])
        wait = max(limit.wait(now) for limit in limits)
        if wait <= LONGEST_WAIT:
            for limit in limits:
                limit.take(now)
        return wait
