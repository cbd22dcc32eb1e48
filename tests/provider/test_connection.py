"""Where the service is: from the environment, else from the stack."""

import pytest

from private_integrations.connection import Connection, find_account, find_connection
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
    assert find_connection(_environment(PRIVATE_INTEGRATIONS_URL=URL + "/")) == Connection(URL, KEY)


def test_the_environment_wins_over_the_stack():
    """A replaced key in the environment is used, whatever an old stack configuration says."""
    stack = {"private-integrations:url": "https://old.example.com", "private-integrations:adminKey": "pmk-old"}
    assert find_connection(_environment(), stack.get) == Connection(URL, KEY)
    assert find_connection({}, stack.get) == Connection("https://old.example.com", "pmk-old")


@pytest.mark.parametrize("variable", ["PRIVATE_INTEGRATIONS_URL", "PRIVATE_INTEGRATIONS_KEY"])
@pytest.mark.parametrize("value", ["", "  "])
def test_what_is_missing_is_named(variable, value):
    """A variable that is unset, or set to nothing, is named."""
    assert _refusal(**{variable: value}).startswith(f"{variable} is not set; set it, or run: pulumi config set ")


@pytest.mark.parametrize(
    "url", ["integrations.example.com", "ftp://example.com", "https://", "https://[::1", "https://e.com:99999"]
)
def test_what_is_no_url_is_refused(url):
    """Only a complete http(s) address is one."""
    message = "PRIVATE_INTEGRATIONS_URL is not a URL; write one like https://integrations.example.com"
    assert _refusal(PRIVATE_INTEGRATIONS_URL=url) == message


def test_plain_http_is_for_this_machine_only():
    """The key never travels in clear to another machine."""
    message = "PRIVATE_INTEGRATIONS_URL must be https, or the key to example.com could be read on the way"
    assert _refusal(PRIVATE_INTEGRATIONS_URL="http://example.com") == message
    for host in ("localhost", "127.0.0.1", "[::1]", "pi.localhost"):
        find_connection(_environment(PRIVATE_INTEGRATIONS_URL=f"http://{host}:8750"))


@pytest.mark.parametrize("key", ["pmk-a b", "pmk-a\nb", "pmk-ä"])
def test_a_key_with_impossible_characters_is_not_shown(key):
    """A key that was copied badly is refused before it is sent, and no part of it is in the error."""
    message = "the management key has characters that no key has; copy it again, without line breaks"
    assert _refusal(PRIVATE_INTEGRATIONS_KEY=key) == message


def test_a_password_in_the_url_is_refused_and_not_shown():
    """The key has its own variable, and what was written into the URL is not repeated."""
    message = "PRIVATE_INTEGRATIONS_URL must not contain a user or password; the key goes into PRIVATE_INTEGRATIONS_KEY"
    assert _refusal(PRIVATE_INTEGRATIONS_URL="https://me:hush@example.com") == message


def test_the_key_is_not_in_the_representation():
    """A connection that ends up in a log doesn't take the key there."""
    assert repr(Connection(URL, KEY)) == f"Connection(url='{URL}')"


def test_the_default_account():
    """The account comes from the environment, else from the stack, else there is none."""
    assert find_account({"PRIVATE_INTEGRATIONS_ACCOUNT": " abc "}) == "abc"
    assert find_account({}, {"private-integrations:account": "def"}.get) == "def"
    assert find_account({}) is None
