"""Requests without a known credential wait their turn, and no others do."""

import asyncio
import re
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import pytest
import requests

from forked import running_service
from management import API
from private_integrations.contract import new_management_key
from private_integrations_service.authorizer import AuthorizerMiddleware
from private_integrations_service.authorizer.authorizer import UNKNOWN_BURST, UNKNOWN_PER_SECOND
from private_integrations_service.authorizer.replies import Reply, send_reply
from private_integrations_service.http import rate_limiter
from private_integrations_service.http.rate_limiter import LONGEST_WAIT, RateLimiter, UnknownClients

START = 1000.0


@pytest.mark.parametrize("start", [0.5, 86_400.0])
def test_a_burst_at_once_and_then_a_steady_rate(start):
    """After a pause there is a burst again."""
    limiter = RateLimiter(per_second=8, burst=24)

    def at_once(now):
        count = 0
        while not limiter.wait(now):
            limiter.take(now)
            count += 1
        return count

    assert at_once(start + 100) == 24
    assert limiter.wait(start + 100) == 1 / 8
    assert at_once(start + 100 + 1 / 8) == 1
    assert at_once(start + 200) == 24


def test_a_few_mistakes_wait_for_nothing():
    """As many as a mistake makes are answered at once, again after a pause."""
    unknown = UnknownClients(500, 100)
    for now in (START, START + 1):
        assert max(unknown.wait("203.0.113.7", now) for _ in range(50)) == pytest.approx(0)


def test_a_storm_is_spread():
    """Further requests at once pass at a steady rate, and a request that would wait too long is not counted."""
    unknown = UnknownClients(500, 100)
    waits = [unknown.wait("", START) for _ in range(10_000)]
    counted = [wait for wait in waits if wait <= LONGEST_WAIT]
    assert counted == sorted(counted)
    assert abs(len(counted) - (100 + 500 * LONGEST_WAIT)) <= 2
    # However many came, they are forgotten soon after.
    assert unknown.wait("", START + 2 * LONGEST_WAIT) == 0.0


@pytest.mark.parametrize("others", ["203.0.113.8", "2001:db8:0:1::7", ""])
def test_a_storm_from_one_address_leaves_half_to_the_others(others, monkeypatch):
    """Of IPv6 the whole network of a household is one."""
    # Of the usual 256 limits, two addresses share one in a run of 256: Python hashes texts anew in each process.
    monkeypatch.setattr(rate_limiter, "_SLOTS", 1 << 16)
    unknown = UnknownClients(500, 100)
    for number in range(10_000):
        unknown.wait(f"2001:db8:0:2::{number:x}", START)
    assert unknown.wait("2001:db8:0:2::ffff", START) > LONGEST_WAIT
    assert unknown.wait(others, START + 0.01) <= LONGEST_WAIT / 2 + 0.1
    assert unknown.wait(others, START + LONGEST_WAIT) == 0.0


def test_addresses_take_no_memory():
    """A million of them are remembered in a fixed number of limits."""
    unknown = UnknownClients(500, 100)
    slots = len(unknown._slots)
    for number in range(100_000):
        unknown.wait(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", START)
    assert len(unknown._slots) == slots


def test_who_has_or_had_a_token_does_not_wait(under_test, middleware, desk, accounts):
    """In a storm a valid token and an ended one are answered while unknown ones that came before them still wait.

    On PostgreSQL only the valid one, which is remembered: the ended one is looked up, in turn with the unknown ones.
    """
    good, ended = desk.integration("locations.readonly"), desk.integration("locations.readonly")
    tokens = {"good": desk.token(good), "ended": desk.token(ended)}
    desk.expire(ended, 1)
    count = UNKNOWN_BURST + UNKNOWN_PER_SECOND // 5
    unknown = {f"unknown {number}": f"pit-{number:08x}-0000-4000-8000-000000000000" for number in range(count)}
    paced, answered = AuthorizerMiddleware(_answer, middleware.authorizer), {}

    async def ask(name, token):
        path = f"/locations/{accounts.location}".encode()
        headers = [(b"authorization", token.encode()), (b"version", b"v3")]
        scope = {"method": "GET", "raw_path": path, "query_string": b"", "headers": headers}

        async def send(message):
            answered.setdefault(name, message.get("status"))

        await paced(scope, None, send)

    async def everybody():
        await ask("first use", tokens["good"])
        await asyncio.gather(*(ask(*one) for one in (unknown | tokens).items()))

    asyncio.run(everybody())
    order = list(answered)
    assert (answered["good"], answered["ended"], {answered[name] for name in unknown}) == (200, 401, {401})
    first = ["good", "ended"] if under_test.name == "sqlite" else ["good"]
    assert max(map(order.index, first)) < len(order) - UNKNOWN_PER_SECOND // 10


async def _answer(scope, receive, send):
    await send_reply(send, Reply(200, {}))


@pytest.fixture(scope="module")
def stormed(tmp_path_factory):
    """A service of its own, that other tests' storms don't reach."""
    with running_service(tmp_path_factory.mktemp("stormed")) as service:
        yield service


def storm(url, headers, seconds, connections=260, method="GET", over=None):
    """Ask over many connections as fast as they are answered: how often each status came, and how long it took.

    It ends after the seconds, or before that with the event `over`.
    """
    parts, counted = urlsplit(url), Counter()
    lines = [f"{method} {parts.path} HTTP/1.1", "Host: localhost", *(f"{name}: {headers[name]}" for name in headers)]
    request = "\r\n".join([*lines, "", ""]).encode()
    begun = time.monotonic()

    async def ask():
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while time.monotonic() < begun + seconds and not (over and over.is_set()):
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = re.search(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            counted[int(head[9:12])] += 1
        writer.close()

    async def everybody():
        await asyncio.gather(*(ask() for _ in range(connections)))

    asyncio.run(everybody())
    return counted, time.monotonic() - begun


def with_a_key():
    """A key that was never made."""
    return {"Authorization": f"Bearer {new_management_key()}"}


@pytest.mark.parametrize(
    ("path", "headers", "method", "usual", "per_second", "burst"),
    [
        (f"{API}/accounts", with_a_key, "GET", 401, 50, 100),
        (f"{API}/accounts", dict, "GET", 401, 50, 100),
        (f"{API}/nothing-here", dict, "GET", 404, 50, 100),
        (f"{API}/introspect", with_a_key, "POST", 401, 50, 100),
        (f"{API}/openapi.json", dict, "GET", 200, 20, 20),
        ("/settings/sign-in", dict, "GET", 200, 25, 50),
        ("/settings/private-integrations", dict, "GET", 303, 25, 50),
        ("/settings/nothing-here", dict, "GET", 404, 25, 50),
        # Refused, for a form must come from a page of ours.
        ("/settings/sign-in", lambda: {"Content-Length": "0"}, "POST", 403, 5, 20),
        ("/settings/private-integrations", lambda: {"Cookie": "session=made-up"}, "GET", 303, 25, 50),
    ],
)
def test_every_answer_without_a_credential_is_limited(stormed, path, headers, method, usual, per_second, burst):
    """Answers come at a steady rate; a request that would wait longer than two seconds gets 429."""
    counted, seconds = storm(stormed.url + path, headers(), 1.5, method=method)
    assert set(counted) == {usual, 429}
    assert counted[usual] <= burst + per_second * seconds
    time.sleep(LONGEST_WAIT)
    again = requests.request(method, stormed.url + path, headers=headers(), timeout=20, allow_redirects=False)
    assert again.status_code == usual


def refused_in_a_storm(url):
    """The refusal of a request in a storm of others like it."""
    over = threading.Event()
    attack = threading.Thread(target=storm, args=(url, {}, 60), kwargs={"over": over})
    attack.start()
    try:
        while attack.is_alive() and (answer := requests.get(url, timeout=20)).status_code != 429:
            """An answer as usual, from before the limit was reached."""
    finally:
        over.set()
        attack.join(60)
    return answer


def test_a_refusal_says_when_to_come_again(stormed):
    """A problem of the management API, and a page of the pages."""
    refused = refused_in_a_storm(f"{stormed.url}{API}/accounts")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    assert refused.json()["type"].endswith(":requests-too-many")
    refused = refused_in_a_storm(f"{stormed.url}/settings/sign-in")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    assert "Too many visitors at the moment" in refused.text


@pytest.mark.parametrize("path", [f"{API}/accounts", f"{API}/openapi.json", "/settings/sign-in", f"{API}/leaked"])
def test_who_has_a_management_key_does_not_wait(stormed, path):
    """In a storm of others every request with it is answered as usual."""
    key = {"Authorization": f"Bearer {stormed.key}"}
    attack = threading.Thread(target=storm, args=(stormed.url + path, {}, 2, 100))
    attack.start()
    time.sleep(0.5)
    statuses = []
    while attack.is_alive():
        statuses.append(requests.get(f"{stormed.url}{API}/accounts", headers=key, timeout=20).status_code)
    attack.join(60)
    assert set(statuses) == {200}


def test_the_description_is_made_once(stormed):
    """The same bytes again and again, and whole."""
    first, second = (requests.get(f"{stormed.url}{API}/openapi.json", timeout=20) for _ in range(2))
    assert first.content == second.content
    assert first.headers["Content-Type"] == "application/json"
    assert first.json()["info"]["title"] == "Private integrations"


def test_health_is_answered_in_a_storm(stormed):
    """Any number of requests are answered at once, or a load balancer would take the service for dead."""
    counted, _ = storm(f"{stormed.url}/health", {}, 1, connections=40)
    assert set(counted) == {200}
