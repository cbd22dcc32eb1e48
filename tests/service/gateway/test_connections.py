"""A connection of the gateway's to an upstream, without a consumer."""

import asyncio
from collections.abc import Iterator

import pytest

from private_integrations_service.gateway import GatewayLimits, Upstream
from private_integrations_service.gateway.pool import Pool
from private_integrations_service.http.fair_shares import ShareHolder
from raw_upstream import RawUpstream

OWNER = ShareHolder("account", 1)


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    """An upstream whose answers the tests write."""
    made = RawUpstream()
    yield made
    made.close()


def exchanges(upstream, *methods):
    """Ask over connections of a pool, one method after the other; answers statuses, bodies and what was kept alive."""

    async def run():
        pool = Pool(Upstream.parse(f"http://127.0.0.1:{upstream.port}"), GatewayLimits())
        got = []
        for method in methods:
            connection = await pool.take(OWNER, fresh=False)
            connection.begin(method)
            connection.write(method.encode() + b" / HTTP/1.1\r\n\r\n")
            connection.sent()
            head = await connection.head()
            body = b""
            while part := await connection.read():
                body += part
            got.append((head.status, body, connection.reusable))
            pool.give_back(connection, OWNER)
        pool.close()
        return got

    return asyncio.run(run())


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
def test_an_answer_to_head_has_no_body(upstream, framing):
    """Whatever its headers say of one; the next answer over the connection is the next request's."""

    def script(peer):
        peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        peer.head()
        peer.send(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}")
        peer.more()

    peers = upstream.play(script)
    assert exchanges(upstream, "HEAD", "GET") == [(200, b"", True), (201, b"{}", True)]
    assert len(peers) == 1


def test_a_body_after_head_ends_the_connection(upstream):
    """It must not be read as the next answer."""

    def script(peer):
        peer.head()
        if peer.number:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")
        peer.more()

    peers = upstream.play(script)
    assert exchanges(upstream, "HEAD", "GET") == [(200, b"", False), (200, b"{}", True)]
    assert len(peers) == 2
