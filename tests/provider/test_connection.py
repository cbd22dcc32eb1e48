"""Where the service is: from the environment, else from the stack."""

import pytest

from private_integrations.connection import ServiceConnection, find_account, find_connection, find_service
from private_integrations.errors import ConfigurationError

URL = "https://integrations.example.com"
KEY = "pmk-" + "0" * 64


def _environment(**changes: str) -> dict[str, str]:
    return {"PRIVATE_INTEGRATIONS_URL": URL, "PRIVATE_INTEGRATIONS_KEY": KEY} | changes


def _refusal(**changes: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        find_connection(_environment(**changes))
    return str(refused.value)


def test_the_environment_is_enough():
    """URL and key come from the environment; a slash at the end is no part of the address."""
    assert find_connection(_environment(PRIVATE_INTEGRATIONS_URL=URL + "/")) == ServiceConnection(URL, KEY)


def _stack(url: str, key: str):
    return {"private-integrations:url": url, "private-integrations:adminKey": key}.get


def test_the_environment_wins_over_the_stack():
    """A replaced key in the environment is used, whatever an old stack configuration says."""
    old = _stack("https://old.example.com", "pmk-old@old.example.com")
    assert find_connection(_environment(), old) == ServiceConnection(URL, KEY)
    assert find_connection({}, old) == ServiceConnection("https://old.example.com", "pmk-old", "stack", "stack")


LOOPBACK = "http://127.0.0.1:8750"


@pytest.mark.parametrize(
    ("environment", "stack"),
    [
        ({"PRIVATE_INTEGRATIONS_KEY": KEY}, _stack("https://evil.example.com", "")),
        ({"PRIVATE_INTEGRATIONS_KEY": KEY}, _stack("https://evil.example.com", "pmk-stack")),
        ({"PRIVATE_INTEGRATIONS_KEY": KEY}, _stack(LOOPBACK, "")),
        ({"PRIVATE_INTEGRATIONS_URL": URL}, _stack("", KEY)),
        ({"PRIVATE_INTEGRATIONS_URL": LOOPBACK}, _stack(URL, KEY)),
    ],
)
def test_a_url_and_a_key_from_two_places_are_refused(environment, stack):
    """A change of the stack's file does not bring the environment's key to another host, nor the other way round."""
    with pytest.raises(ConfigurationError, match="are from two places, so the key is not sent; set both in") as refused:
        find_connection(environment, stack)
    assert KEY not in str(refused.value)
    assert "pmk-stack" not in str(refused.value)


def test_a_key_of_the_stack_names_its_host():
    """A line of the stack's file that names another host does not bring the key there; this machine needs no name."""
    with pytest.raises(ConfigurationError, match=r"it is for, so it is not sent to evil\.example"):
        find_connection({}, _stack("https://evil.example.com", KEY))
    with pytest.raises(ConfigurationError, match=r"is for another host than evil\.example\.com") as refused:
        find_connection({}, _stack("https://evil.example.com", f"{KEY}@integrations.example.com"))
    assert KEY not in str(refused.value)
    assert find_connection({}, _stack(LOOPBACK, KEY)) == ServiceConnection(LOOPBACK, KEY, "stack", "stack")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        (URL, "integrations.example.com"),
        (URL, "Integrations.Example.com"),
        (f"{URL}:443/base/", "integrations.example.com"),
        (f"{URL}:8443", "integrations.example.com:8443"),
        ("HTTPS://INTEGRATIONS.example.com", "integrations.example.com"),
        ("http://[::1]:8750", "[::1]:8750"),
    ],
)
def test_a_key_that_names_its_host_may_meet_a_url_from_elsewhere(url, host):
    """Such a key goes to its own host only, so where the URL was found does not matter; the host is not sent."""
    assert find_connection({"PRIVATE_INTEGRATIONS_KEY": f"{KEY}@{host}"}, _stack(url, "")).key == KEY
    assert find_connection({"PRIVATE_INTEGRATIONS_URL": url}, _stack("", f"{KEY}@{host}")).key == KEY


@pytest.mark.parametrize(
    "url",
    [
        "https://integrations.example.com.evil.example",
        "https://integrations.example.com:8443",
        "https://integrations.example.com.",
        "https://evil.example.com/integrations.example.com",
        "http://127.0.0.1",
    ],
)
def test_a_key_goes_to_no_other_host_than_its_own(url):
    """A host that only looks like the key's own, or another port of it, is another one."""
    with pytest.raises(ConfigurationError, match="is for another host"):
        find_connection({"PRIVATE_INTEGRATIONS_KEY": f"{KEY}@integrations.example.com"}, _stack(url, ""))


@pytest.mark.parametrize("variable", ["PRIVATE_INTEGRATIONS_URL", "PRIVATE_INTEGRATIONS_KEY"])
@pytest.mark.parametrize("value", ["", "  "])
def test_what_is_missing_is_named(variable, value):
    """A variable that is unset, or set to nothing, is named."""
    assert _refusal(**{variable: value}).startswith(f"{variable} is not set; set it, or run: pulumi config set ")


@pytest.mark.parametrize(
    "url",
    [
        "integrations.example.com",
        "ftp://example.com",
        "https://",
        "https://[::1",
        "https://e.com:99999",
        "https://e.com:0",
        "https://e.com:+443",
        "https://e.com?to=evil.example",
        "https://e.com#evil.example",
        "https://e.com\\.evil.example",
        "https://e.com/../x",
        "https://e.com/%2e%2e/x",
        "https://e.com\n.evil.example",
        "http://localhost%00.evil.example",
        "https://[::1%25lo]",
        "https://[v1.x]",
        "https:e.com",
        "https:///e.com",
    ],
)
def test_what_is_no_url_is_refused(url):
    """Only a complete http(s) address is one."""
    message = "PRIVATE_INTEGRATIONS_URL is not a URL; write one like https://integrations.example.com"
    assert _refusal(PRIVATE_INTEGRATIONS_URL=url) == message


def test_plain_http_is_for_this_machine_only():
    """The key never travels in clear to another machine."""
    message = "PRIVATE_INTEGRATIONS_URL must be https, or the key to example.com could be read on the way"
    assert _refusal(PRIVATE_INTEGRATIONS_URL="http://example.com") == message
    for host in ("localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]", "[0:0:0:0:0:0:0:1]"):
        find_connection(_environment(PRIVATE_INTEGRATIONS_URL=f"http://{host}:8750"))


@pytest.mark.parametrize(
    "host",
    [
        "pi.localhost",
        "localhost.",
        "localhost.localdomain",
        "ip6-localhost",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "127.1",
        "127.0.0.1.",
        "127.0.0.1.nip.io",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::]",
        "128.0.0.1",
    ],
)
def test_what_only_looks_like_this_machine_is_another_one(host):
    """Names below localhost are asked of DNS, and other spellings of an address are read in several ways."""
    message = f"PRIVATE_INTEGRATIONS_URL must be https, or the key to {host} could be read on the way"
    assert _refusal(PRIVATE_INTEGRATIONS_URL=f"http://{host}:8750") == message


def test_a_host_is_written_in_ascii():
    """A letter that looks like another one is not taken for it."""
    message = "PRIVATE_INTEGRATIONS_URL has characters that are not ASCII; write such a host as xn--…"
    assert _refusal(PRIVATE_INTEGRATIONS_URL="https://integrаtions.example.com") == message  # noqa: RUF001
    find_connection(_environment(PRIVATE_INTEGRATIONS_URL="https://xn--bcher-kva.example"))


@pytest.mark.parametrize("key", ["pmk-a b", "pmk-a\nb", "pmk-ä"])
def test_a_key_with_impossible_characters_is_not_shown(key):
    """A key that was copied badly is refused before it is sent, and no part of it is in the error."""
    message = "the management key has characters that no key has; copy it again, without line breaks"
    assert _refusal(PRIVATE_INTEGRATIONS_KEY=key) == message


def test_a_password_in_the_url_is_refused_and_not_shown():
    """The key has its own variable, and what was written into the URL is not repeated."""
    message = "PRIVATE_INTEGRATIONS_URL must not contain a user or password; the key goes into PRIVATE_INTEGRATIONS_KEY"
    for url in (
        "https://me:hush@example.com",
        "https://hush@example.com",
        "https://@e.com",
        r"http://localhost\@e.com",
    ):
        assert _refusal(PRIVATE_INTEGRATIONS_URL=url) == message
        with pytest.raises(ConfigurationError, match="must not contain a user or password"):
            find_service({"PRIVATE_INTEGRATIONS_URL": url})


def test_the_key_is_not_in_the_representation():
    """A connection that ends up in a log doesn't take the key there."""
    assert KEY not in repr(ServiceConnection(URL, KEY))


def test_the_default_account():
    """The account comes from the environment, else from the stack, else there is none."""
    assert find_account({"PRIVATE_INTEGRATIONS_ACCOUNT": " abc "}) == "abc"
    assert find_account({}, {"private-integrations:account": "def"}.get) == "def"
    assert find_account({}) is None
