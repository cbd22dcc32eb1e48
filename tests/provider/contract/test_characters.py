"""Hidden characters: refused where people name things, and printed by their code where they are stored all the same."""

import json
from contextlib import closing

import pysqlite3.dbapi2 as sqlite
import pytest
from pydantic import TypeAdapter, ValidationError

from forked import running_service
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import IntegrationRequest
from private_integrations.contract.characters import hidden, shown, shown_json
from private_integrations.contract.users import Email
from private_integrations.contract.values import Description, ExternalId, Name

LEGITIMATE = [
    "CRM sync",
    "Zürich: sync, 50 %",
    "Fam\N{COMBINING DIAERESIS}ilie",
    "日本語の名前",
    "ﷺ العربية",
    "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a zero-width non-joiner
    "\u0915\u094d\u200d\u0937",  # Hindi, with a joiner behind a virama
    "👨‍👩‍👧‍👦 family",
    "🏳️‍🌈 and ❤️ and 👩🏽‍💻 and 1️⃣",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f England",
    "辻\U000e0100",  # an ideograph in the variant of a family's name
    "\u0600\u0661\u0662",  # an Arabic sign before a number
    "\U0001fae8 newer emoji",
    "l'été 20\u202f%",
]
HIDDEN = [
    "\u202e",  # right-to-left override
    "\u202a",
    "\u2066",
    "\u2069",
    "\u200e",
    "\u200f",
    "\u061c",
    "\u200b",  # zero-width space
    "\u200c",
    "\u200d",
    "\u2060",
    "\ufeff",
    "\u00ad",  # soft hyphen
    "\u034f",
    "\u115f",
    "\u3164",  # Hangul filler
    "\uffa0",
    "\u2800",
    "\ufe0f",
    "\ufe00",
    "\U000e0100",
    "\U000e0041",  # a tag
    "\U000e0001",
    "\u180e",
    "\u2028",
    "\u2029",
    "\ue000",  # private use
    "\U0010fffd",
    "\ufffe",
    "\u0378",  # unassigned
    "\ufff9",
    "\U0001d173",
    "\x1b",
    "\x7f",
    "\x85",
    "\x9b",
    "\0",
]


@pytest.mark.parametrize("text", LEGITIMATE)
def test_what_writing_needs_is_taken(text):
    """Every script, and emoji with what joins them, as a name, a description and in output."""
    for kind in (Name, Description, ExternalId):
        assert TypeAdapter(kind).validate_python(text) == text
    assert shown(text) == text
    assert shown_json(text) == text


@pytest.mark.parametrize("character", HIDDEN)
@pytest.mark.parametrize("around", ["adm{}in", "{}admin", "admin{}", "a{}", "ж{}ж", "漢 {}"])
def test_what_does_not_show_itself_is_refused(character, around):
    """In a name, a description, an external id and an address; the message has the code and not the name."""
    text = around.format(character)
    for kind, value in ((Name, text), (Description, text), (ExternalId, text), (Email, f"{text}@example.com")):
        with pytest.raises(ValidationError) as refused:
            TypeAdapter(kind).validate_python(value)
        message = refused.value.errors()[0]["msg"]
        assert "must not" in message or kind is Email
        assert text not in message
    assert not any(one in shown(text) for one in HIDDEN)
    assert json.loads(shown_json(json.dumps(text, ensure_ascii=False))) == text


def test_surrogates_are_hidden():
    """Half a character can't be printed at all."""
    assert list(hidden("a\ud800")) == [1]
    assert shown("a\ud800") == "a\\ud800"


def test_lines_are_for_descriptions():
    """Line feeds and tabs are good there, and in no name."""
    assert TypeAdapter(Description).validate_python("a\n\tb") == "a\n\tb"
    with pytest.raises(ValidationError, match="control characters"):
        TypeAdapter(Name).validate_python("a\nb")


def test_a_name_is_refused_by_the_service(service):
    """422 at its field, with the code of the character."""
    client = Client(ServiceConnection(service.url, service.key))
    request = IntegrationRequest.model_construct(
        account=service.account,
        name="pay\u202eroll",
        scopes=["contacts.readonly"],
        owner_nonce="hidden",
        description="",
    )
    with pytest.raises(Exception, match=r"invisible or directional characters \(U\+202E\)"):
        client.declare("organization/hidden/dev/crm", request)


EVIL = "pay\u202e\x1b]0;x\x07roll\u200b\u3164\U000e0041"


@pytest.fixture
def stored(tmp_path):
    """A service of the test's own with an integration that an older release stored, since the row breaks its log."""
    with running_service(tmp_path) as service:
        request = IntegrationRequest(
            account=service.account, name="A", scopes=["contacts.readonly"], owner_nonce="stored"
        )
        made = Client(ServiceConnection(service.url, service.key)).declare("organization/stored/dev/crm", request)
        file = str(service.data_dir / "private-integrations.db")
        with closing(sqlite.connect(file, isolation_level=None)) as database:
            database.execute("PRAGMA busy_timeout=5000")
            database.execute("UPDATE integrations SET name = ?, description = ? WHERE id = ?", (EVIL, EVIL, made.id))
            database.execute("UPDATE audit SET agent = ? WHERE integration_id = ?", (EVIL, made.id))
        yield service.environment, made.id


def test_what_is_stored_reaches_no_terminal_as_it_is(stored, cli):
    """A name from before: tables, facts, JSON, the audit log and errors have its code, and JSON still says the same."""
    own, integration_id = stored
    ways = (
        ["list"],
        ["show", integration_id],
        ["audit", "list"],
        ["audit", "export"],
        ["list", "--json"],
        ["show", integration_id, "--json"],
    )
    for way in ways:
        done = cli(*way, **own)
        assert done.code == 0
        assert "pay\\u202e" in done.out, way
        assert list(hidden(done.out + done.err, allowed="\n\t")) == [], way
    assert cli("show", integration_id, "--json", **own).json["name"] == EVIL
    # The hash of an exported row is of what it says, not of how it is spelled.
    told = cli("audit", "verify", "-", stdin=cli("audit", "export", **own).out)
    assert "its hash is another one" in told.err
    for argument in ("\u202eabc", "a\x1bb"):
        failed = cli("audit", "list", "--since", argument, **own)
        assert failed.code == 2
        assert list(hidden(failed.err, allowed="\n")) == []
