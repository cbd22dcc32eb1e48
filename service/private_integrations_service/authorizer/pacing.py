"""Strangers wait their turn: a storm of requests without a known token takes no time from those with one."""

# Far more than mistakes make, and a few per cent of what a processor answers.
PER_SECOND = 500
BURST = 100
LONGEST_WAIT = 2.0


class Pacing:
    """How long each refusal of a stranger waits, so that a process works on no more than PER_SECOND of them.

    Counted for all strangers together, since addresses behind a proxy are one: so nobody is ever banned, and whoever
    has a token that is or was good never waits. Used by one thread.
    """

    def __init__(self) -> None:
        self._turn = 0.0

    def wait(self, now: float) -> float:
        """The seconds that the next refusal waits; `now` is in seconds of a clock that never steps."""
        turn = max(self._turn, now - BURST / PER_SECOND)
        self._turn = min(turn + 1 / PER_SECOND, now + LONGEST_WAIT)
        return max(0.0, turn - now)
