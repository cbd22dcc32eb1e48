"""Where a webhook may be sent, as decisions: URLs, hosts and addresses."""

import pytest

from private_integrations.errors import ConfigurationError
from private_integrations_service.settings import Settings
from private_integrations_service.webhooks.destinations import (
    Destination,
    Destinations,
    destination,
    networks,
    refuse_addresses,
)

PUBLIC = Destinations()
INSIDE = Destinations(frozenset({443, 8443}), networks("10.1.0.0/16, fd00:1::/32"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://hooks.example.com", Destination("hooks.example.com", 443, "/")),
        ("https://hooks.example.com/a/b?c=d", Destination("hooks.example.com", 443, "/a/b?c=d")),
        ("https://Hooks.Example.com:443/", Destination("hooks.example.com", 443, "/")),
        ("https://8.8.8.8/", Destination("8.8.8.8", 443, "/")),
        ("https://[2606:4700::1111]/", Destination("2606:4700::1111", 443, "/")),
        ("https://xn--bcher-kva.example/", Destination("xn--bcher-kva.example", 443, "/")),
    ],
)
def test_a_public_https_url_may_be_a_webhooks(url, expected):
    """It is taken apart, and no part is guessed at."""
    assert destination(url, PUBLIC) == expected


NOT_PUBLIC = "the URL's host is an address that is not public"
NO_HOST = "the URL's host is neither a DNS name nor an IP address in its usual form"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.example.com/", "a webhook's URL begins with https://"),
        ("ftp://hooks.example.com/", "a webhook's URL begins with https://"),
        ("hooks.example.com", "a webhook's URL begins with https://"),
        (
            "https://ada:secret@hooks.example.com/",
            "a webhook's URL has no user or password in it: receivers know us by the signature",
        ),
        (
            "https://hooks.example.com@10.0.0.1/",
            "a webhook's URL has no user or password in it: receivers know us by the signature",
        ),
        ("https://hooks.example.com/#x", "a webhook's URL has no #fragment: nothing of it would be sent"),
        ("https://hooks.example.com\\@10.0.0.1/", "a webhook's URL has no user or password in it: "
         "receivers know us by the signature"),
        ("https://hooks.example.com/\\x", "a webhook's URL has no backslash in it"),
        ("https://hooks.example.com:8443/", "webhooks are sent to port 443 only"),
        ("https://hooks.example.com:0/", "webhooks are sent to port 443 only"),
        ("https://hooks.example.com:99999/", "this is not a URL"),
        ("https://[::1/", "this is not a URL"),
        ("https://hooks.example.com/ x", "a webhook's URL has at most 2048 characters, all printable ASCII; "
         "encode others"),
        ("https://bücher.example/", "a webhook's URL has at most 2048 characters, all printable ASCII; encode others"),
        ("https://127.0.0.1/", NOT_PUBLIC),
        ("https://169.254.169.254/latest/meta-data", NOT_PUBLIC),
        ("https://[::1]/", NOT_PUBLIC),
        ("https://[::ffff:127.0.0.1]/", NOT_PUBLIC),
        ("https://[64:ff9b::a9fe:a9fe]/", NOT_PUBLIC),
        # What C libraries read as 127.0.0.1: decimal, octal, hexadecimal, short.
        ("https://2130706433/", NO_HOST),
        ("https://0177.0.0.1/", NO_HOST),
        ("https://0x7f.0.0.1/", NO_HOST),
        ("https://0x7f000001/", NO_HOST),
        ("https://127.1/", NO_HOST),
        ("https://127.0.0.1./", NO_HOST),
        ("https://[fe80::1%25eth0]/", NOT_PUBLIC),
        ("https:///path", NO_HOST),
        ("https://a..b/", NO_HOST),
        ("https://hooks.example.com%2f.evil.test/", NO_HOST),
    ],
)  # fmt: skip
def test_whatever_else_is_refused_in_words(url, why):
    """The refusal says what to change, and repeats no password."""
    assert destination(url, PUBLIC) == why


PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
    "2001::1", "2001:10::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1",
    # IPv4 within IPv6: mapped, NAT64, its local prefix, 6to4, Teredo (whose server's address is in clear).
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "64:ff9b::127.0.0.1", "64:ff9b::a00:1",
    "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_spoils_the_name(address):
    """Also beside a public one, in whichever order the resolver gives them."""
    why = "the name leads to an address that is not public"
    assert refuse_addresses([address], PUBLIC) == why
    assert refuse_addresses(["8.8.8.8", address], PUBLIC) == why
    assert refuse_addresses([address, "2606:4700::1111"], PUBLIC) == why


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808",
                                     "::ffff:8.8.8.8"])  # fmt: skip
def test_a_public_address_may_be_asked(address):
    """NAT64 of a public address too: on a network without IPv4 every receiver has one."""
    assert refuse_addresses([address], PUBLIC) is None


@pytest.mark.parametrize("found", [[], ["nonsense"]])
def test_no_address_is_a_refusal(found):
    """What can't be read is not asked."""
    assert refuse_addresses(found, PUBLIC) == "the name has no address"


def test_an_operator_may_allow_a_network_and_nothing_beside_it():
    """The list holds for addresses in whichever form, and for the hosts of URLs."""
    for allowed in ("10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5", "8.8.8.8"):
        assert refuse_addresses([allowed], INSIDE) is None
    for refused in ("10.2.0.1", "127.0.0.1", "fd00:2::1"):
        assert refuse_addresses([refused], INSIDE) is not None
    assert destination("https://10.1.2.3:8443/x", INSIDE) == Destination("10.1.2.3", 8443, "/x")
    assert destination("https://10.1.2.3:444/x", INSIDE) == "webhooks are sent to port 443, 8443 only"


def test_what_host_says():
    """The port is in it unless it is the usual one, and IPv6 is in brackets."""
    for url, authority in (
        ("https://hooks.example.com/", "hooks.example.com"),
        ("https://hooks.example.com:8443/", "hooks.example.com:8443"),
        ("https://[fd00:1::5]:8443/", "[fd00:1::5]:8443"),
    ):
        assert destination(url, INSIDE).authority == authority


def test_the_operators_settings():
    """Ports and networks are lists; a wrong one names its variable."""
    read = Settings.from_environment(
        {
            "PRIVATE_INTEGRATIONS_WEBHOOK_PORTS": "443, 8443",
            "PRIVATE_INTEGRATIONS_WEBHOOK_NETWORKS": "10.1.0.0/16 fd00:1::/32",
            "PRIVATE_INTEGRATIONS_WEBHOOK_RETENTION": "7d",
        }
    )
    assert read.destinations == INSIDE
    assert read.webhook_retention.days == 7
    for variable, value, why in (
        ("PORTS", "0", '"0" is not a list of ports such as "443, 8443"'),
        ("PORTS", "https", '"https" is not a list of ports such as "443, 8443"'),
        ("NETWORKS", "10.1.0.1/16", '"10.1.0.1/16" is neither an address nor a network such as 10.0.0.0/8'),
        ("RETENTION", "1h", '"1h" is not between "1d" and "366d"'),
    ):
        with pytest.raises(ConfigurationError) as raised:
            Settings.from_environment({f"PRIVATE_INTEGRATIONS_WEBHOOK_{variable}": value})
        assert str(raised.value) == f"PRIVATE_INTEGRATIONS_WEBHOOK_{variable} {why}"
