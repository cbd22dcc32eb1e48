"""Shares: a consumer that takes all that it can leaves room for the others."""

import asyncio

import pytest

from private_integrations_service.http.fair_shares import Line, ShareHolder, Shares, Short


def filled(shares, owner):
    """Take units for an owner until a share is used up: how many, and which share it was."""
    taken = 0
    while (short := shares.take(owner)) is None:
        taken += 1
    return taken, short


def test_a_busy_consumer_takes_a_part():
    """A token gets a quarter, its account a half; then other accounts still get theirs."""
    shares = Shares(100)
    assert filled(shares, ShareHolder("a", 1)) == (25, Short.TOKEN)
    assert filled(shares, ShareHolder("a", 2)) == (12, Short.TOKEN)
    for token in range(3, 50):
        filled(shares, ShareHolder("a", token))
    assert shares.used == 50
    assert filled(shares, ShareHolder("a", 99)) == (0, Short.ACCOUNT)
    assert filled(shares, ShareHolder("b", 101)) == (12, Short.TOKEN)
    assert filled(shares, ShareHolder("c", 102))[0] > 0


@pytest.mark.parametrize("total", [1, 2, 3, 4, 7, 100])
def test_something_is_always_there_for_the_first(total):
    """The first unit of an account is limited by the total only, and the total is never exceeded."""
    shares = Shares(total)
    for account in range(total):
        assert shares.take(ShareHolder(str(account), account)) is None
    assert shares.take(ShareHolder("late", total)) is Short.ALL
    assert shares.used == total


def test_what_is_given_back_is_there_again():
    """After all units are given back, the shares are as at the start, for any amounts."""
    shares, owner = Shares(1000), ShareHolder("a", 1)
    assert shares.take(owner, 200) is None
    assert shares.take(owner, 60) is Short.TOKEN
    assert shares.take(owner, 50) is None
    shares.give_back(owner, 200)
    shares.give_back(owner, 50)
    assert shares.used == 0
    assert filled(shares, owner) == (250, Short.TOKEN)


def test_a_line_is_served_in_turn():
    """A token that waits for its own share delays no other waiter, and a waiter that gave up gets nothing."""

    async def served():
        loop, shares = asyncio.get_running_loop(), Shares(16)
        line: Line[asyncio.Future[None]] = Line()
        busy, quiet = ShareHolder("busy", 100), ShareHolder("quiet", 101)
        assert filled(shares, busy) == (4, Short.TOKEN)
        others = [ShareHolder(f"other {number}", number) for number in range(12)]
        assert [shares.take(other) for other in others] == [None] * 12
        waiting = {}
        for owner in (busy, busy, busy, quiet, quiet):
            turn = loop.create_future()
            waiting[turn] = owner
            line.join(owner, turn)
        gone = loop.create_future()
        line.join(ShareHolder("gone", 102), gone)
        gone.cancel()
        assert line.next(shares) is None
        order = []
        for other in others:
            shares.give_back(other)
            while (turn := line.next(shares)) is not None:
                order.append(waiting.pop(turn))
        # The busy token has more than its share by now, so first it gives back what others could have.
        assert order == [quiet, quiet]
        shares.give_back(busy, 2)
        assert waiting[line.next(shares)] == busy
        assert line.next(shares) is None

    asyncio.run(served())
