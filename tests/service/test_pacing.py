"""Strangers wait their turn, and nobody else does."""

import asyncio

from private_integrations_service.authorizer import Authorizer
from private_integrations_service.authorizer.pacing import BURST, LONGEST_WAIT, PER_SECOND, Pacing
from private_integrations_service.authorizer.replies import Reply, send_reply


def test_a_few_mistakes_wait_for_nothing():
    """As many as a mistake makes are answered at once, again after a pause."""
    pacing = Pacing()
    assert {pacing.wait(1000.0) for _ in range(BURST)} == {0.0}
    assert {pacing.wait(1001.0) for _ in range(BURST)} == {0.0}


def test_a_storm_is_spread():
    """What comes at once beyond that is let through at a steady rate, and waits no longer than the longest wait."""
    pacing = Pacing()
    waits = [pacing.wait(1000.0) for _ in range(BURST + PER_SECOND)]
    assert waits == sorted(waits)
    assert abs(waits[-1] - 1.0) < 2 / PER_SECOND
    assert max(pacing.wait(1000.0) for _ in range(10_000)) <= LONGEST_WAIT
    # However many came, they are forgotten soon after.
    assert pacing.wait(1000.0 + 2 * LONGEST_WAIT) == 0.0


def test_who_has_or_had_a_token_does_not_wait(authorizer, desk, accounts):
    """In a storm a valid token and an ended one are answered while strangers that came before them still wait."""
    good, ended = desk.integration("locations.readonly"), desk.integration("locations.readonly")
    tokens = {"good": desk.token(good), "ended": desk.token(ended)}
    desk.expire(ended, 1)
    strangers = {f"stranger {number}": f"pit-{number:08x}-0000-4000-8000-000000000000" for number in range(2 * BURST)}
    paced, answered = Authorizer(_answer, authorizer.judge), {}

    async def ask(name, token):
        path = f"/locations/{accounts.location}".encode()
        headers = [(b"authorization", token.encode()), (b"version", b"v3")]
        scope = {"method": "GET", "raw_path": path, "query_string": b"", "headers": headers}

        async def send(message):
            answered.setdefault(name, message.get("status"))

        await paced(scope, None, send)

    async def storm():
        await ask("first use", tokens["good"])
        await asyncio.gather(*(ask(*one) for one in (strangers | tokens).items()))

    asyncio.run(storm())
    order = list(answered)
    assert (answered["good"], answered["ended"], {answered[name] for name in strangers}) == (200, 401, {401})
    assert max(order.index("good"), order.index("ended")) < len(order) - BURST // 2


async def _answer(scope, receive, send):
    await send_reply(send, Reply(200, {}))
