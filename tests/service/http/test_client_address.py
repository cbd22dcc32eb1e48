"""Where a request came from: only a proxy that is trusted is believed, and only as far as it can know."""

from ipaddress import ip_network

import pytest

from private_integrations.errors import ConfigurationError
from private_integrations_service.http.client_address import LONGEST_AGENT, client_address, client_agent
from private_integrations_service.settings import Settings

PROXIES = tuple(ip_network(text) for text in ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32"))


def scope(peer, *headers):
    """A request of this peer."""
    return {"client": peer and (peer, 50_000), "headers": [(name, value.encode()) for name, value in headers]}


def forwarded(*values):
    """X-Forwarded-For headers, in the order in which they came."""
    return [(b"x-forwarded-for", value) for value in values]


@pytest.mark.parametrize(
    ("peer", "said", "address"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1", "203.0.113.9 , 192.0.2.1"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "10.9.9.9"], "203.0.113.9"),
        ("10.0.0.1", ["10.1.1.1, 192.0.2.1"], "10.1.1.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, <b>"], "10.0.0.1"),
        ("10.0.0.1", ["<b>, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9:443"], "10.0.0.1"),
        ("10.0.0.1", ["fe80::1%<b>"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("2001:db8::1", ["2001:DB9:0::5"], "2001:db9::5"),
        (None, ["203.0.113.9"], ""),
        ("/run/service.sock", ["203.0.113.9"], ""),
    ],
)
def test_the_client_is_whom_the_nearest_trusted_proxy_saw(peer, said, address):
    """Of what was forwarded the rightmost entry that is no trusted proxy counts; what is malformed counts nothing."""
    assert client_address(scope(peer, *forwarded(*said)), PROXIES) == address


def test_nobody_is_believed_unless_told_to():
    """Without trusted proxies the peer is the client, whatever it says."""
    assert client_address(scope("10.0.0.1", *forwarded("203.0.113.9")), ()) == "10.0.0.1"


@pytest.mark.parametrize(
    ("sent", "agent"),
    [
        ("curl/8", "curl/8"),
        ("a\r\nb\x00\x7f\x85\u202ec  d", "a b c d"),
        ("x" * 5000, "x" * LONGEST_AGENT),
        ("é" * 5000, "é" * LONGEST_AGENT),
    ],
)
def test_the_agent_is_one_short_line(sent, agent):
    """No control or direction character, and no more than anybody reads."""
    assert client_agent(scope("10.0.0.1", (b"user-agent", sent))) == agent


def test_no_agent_is_none():
    """A request that names no program, or one that is no text."""
    assert client_agent(scope("10.0.0.1")) == ""
    assert client_agent({"headers": [(b"user-agent", b"\xff\xfe")]}) == "\ufffd\ufffd"


def test_the_setting_names_addresses_and_networks():
    """They are separated by commas or spaces; a fault is told by name."""
    given = {"PRIVATE_INTEGRATIONS_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1 2001:db8::/32"}
    assert Settings.from_environment(given).trusted_proxies == PROXIES
    for wrong in ("proxy.example.com", "10.0.0.1/8", "10.0.0.0/99"):
        with pytest.raises(ConfigurationError) as told:
            Settings.from_environment({"PRIVATE_INTEGRATIONS_TRUSTED_PROXIES": wrong})
        assert str(told.value) == (
            f'PRIVATE_INTEGRATIONS_TRUSTED_PROXIES "{wrong}" is neither an address nor a network such as 10.0.0.0/8'
        )
