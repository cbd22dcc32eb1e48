"""A request on its way, and its end."""

import asyncio
import socket

from private_integrations_service.gateway.connections import UpstreamConnection
from private_integrations_service.gateway.exchange import Exchange
from private_integrations_service.gateway.limits import GatewayLimits


def test_a_consumer_that_went_away_breaks_no_other_ones_exchange():
    """It went in the same turn in which its answer ended: the connection is another consumer's by then."""
    ours, upstreams = socket.socketpair()

    async def reused():
        loop = asyncio.get_running_loop()
        ours.setblocking(False)
        _, connection = await loop.create_connection(
            lambda: UpstreamConnection(GatewayLimits(), lambda _: None), sock=ours
        )
        went = loop.create_future()
        exchange = Exchange(connection, lambda: went, GatewayLimits(), loop.time())
        connection.begin("GET")
        exchange.listens = True
        exchange.tick(loop.time())
        connection.sent()
        upstreams.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert (await connection.head()).status == 204
        went.set_result({"type": "http.disconnect"})
        exchange.end()
        connection.rest()
        connection.begin("GET")
        await asyncio.sleep(0)
        upstreams.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        head = await connection.head()
        connection.close()
        return head

    with upstreams:
        assert asyncio.run(reused()).status == 204
