"""A command against a service that does not answer fails soon, and asks no more than once."""

import socket
import threading
from contextlib import suppress

import pytest
from pulumi import automation as auto

import private_integrations as pi

COUNT = 20
TRIES = 4


def many() -> None:
    """Twenty integrations."""
    for number in range(COUNT):
        pi.PrivateIntegration(f"crm-{number}", scopes=["contacts.readonly"])


@pytest.fixture
def down():
    """A server that closes every connection, and the number of its connections in a list of one."""
    server, count = socket.create_server(("127.0.0.1", 0)), [0]

    def accept() -> None:
        with suppress(OSError):
            while True:
                server.accept()[0].close()
                count[0] += 1

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}", count
    server.close()


def test_one_series_of_tries_for_a_whole_command(stack, service, down):
    """Twenty integrations cost one series of tries in each command, and each says the same clear error."""
    url, count = down
    stack.up(many)
    stack.stack.workspace.env_vars["PRIVATE_INTEGRATIONS_URL"] = url
    for command in (stack.refresh, stack.preview, stack.up, stack.destroy):
        count[0] = 0
        with pytest.raises(auto.CommandError, match=rf"{url} does not answer \(no connection\); is the service r"):
            command()
        assert count[0] == TRIES, command.__name__
    stack.stack.workspace.env_vars["PRIVATE_INTEGRATIONS_URL"] = service.url
    assert stack.refresh().changes == {}
