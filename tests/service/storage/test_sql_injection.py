"""Values that would be SQL if anybody let them: they are answered like any unknown value, and change nothing."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from private_integrations.contract import digest_of, new_management_key
from private_integrations_service.access.principals import ManagementKey
from private_integrations_service.operations.authentication import identify
from private_integrations_service.sandbox.storage import contacts
from private_integrations_service.storage import integrations
from private_integrations_service.storage.columns import metadata
from private_integrations_service.storage.keys import add_key

CLASSICS = [
    "' OR '1'='1",
    "' OR 1=1 --",
    "'; DROP TABLE tokens; --",
    "' UNION SELECT * FROM management_keys --",
    "x' AND randomblob(100000000) --",
    "') OR ('a'='a",
    '" OR ""="',
    "1; ATTACH DATABASE 'x' AS y",
    "%",
    "_",
    "%' ESCAPE '\\",
    "\\",
    "a' || 'b",
    "'||(SELECT hex(digest) FROM tokens)||'",
    "/**/",
    "\0' OR 1=1",
    "\u02bc OR 1=1",
    ":digest",
    "?1",
    "{}",
]
hostile = st.sampled_from(CLASSICS) | st.text(max_size=60) | st.text("'\"%_\\;-()*/ OR1=\0", max_size=40)
many = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SERVICE = Path(__file__).parents[3] / "service"


@pytest.fixture
def stored(database, desk, clock, api, accounts):
    """A database with something of everything; afterwards all of it must be as it was."""
    token = desk.token_with("contacts.readonly", "contacts.write")
    assert api.ask("POST", "/contacts/", {"locationId": accounts.location, "name": "Ada"}, token=token).status == 201
    with database.write() as write:
        digest = digest_of(new_management_key())
        add_key(write.connection, ManagementKey("key_1", "mine", "admin", digest, None, clock(), None, None))
    before = _content(database)
    yield token
    assert _content(database) == before


def _content(database):
    with database.read() as connection:
        return {table.name: connection.execute(select(table)).all() for table in metadata.sorted_tables}


@many
@given(hostile)
@example("pmk-' OR '1'='1")
def test_the_management_key(database, stored, clock, value):
    """No value is taken for a key, and which one it was is not said."""
    with database.read() as connection:
        for presented in (value, f"pmk-{value}"):
            refused = identify.step(connection, presented, clock())
            assert getattr(refused, "problem", None) in ("key-unknown", "key-missing")


@many
@given(hostile)
def test_the_token(api, stored, accounts, value):
    """No value is taken for a token, alone or around a real one."""
    for sent in (value, f"Bearer {value}", stored + value, f"Bearer {stored}{value}", value + stored):
        if value.strip() and value not in ("Bearer ", "bearer "):
            headers = (("authorization", sent),)
            answer = api.ask("GET", f"/contacts/?locationId={accounts.location}", headers=headers)
            assert (answer.status, answer.body["reason"]) == (401, "token-malformed")


@many
@given(hostile)
def test_ids_and_cursors(database, stored, accounts, value):
    """An id, an external id, a path or an account that is none is found nowhere; a cursor only moves the begin."""
    with database.read() as connection:
        assert integrations.integration_by_id(connection, value) is None
        assert integrations.integration_by_external_id(connection, accounts.location, value) is None
        assert contacts.contact_by_id(connection, accounts.location, value) is None
        for asked in ({"account": value}, {"ids": [value]}, {"accounts": [value]}, {"under": value}):
            assert integrations.list_integrations(connection, limit=10, **asked) == []
        [only] = integrations.list_integrations(connection, limit=10)
        after = integrations.list_integrations(connection, after=value, limit=10)
        assert after == ([only] if only.id > value else [])


def parts_of(file: Path, first: int, last: int) -> list[str]:
    """The parts of the formatted strings in some lines of a file."""
    nodes = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.JoinedStr))
    formatted = [node for node in nodes if first <= node.lineno <= last]
    assert formatted, (file, first)
    return [
        ast.unparse(part.value) for node in formatted for part in node.values if isinstance(part, ast.FormattedValue)
    ]


def is_no_constant(part: str) -> bool:
    """Whether an expression is anything but the name of a constant."""
    return re.fullmatch(r"(\w+\.)?_?[A-Z][A-Z_]*", part) is None


@many
@given(hostile.filter(lambda text: "\0" not in text and text == text.strip()))
def test_the_search_for_contacts(api, stored, accounts, value):
    """What is searched for is text: a percent sign, a quote or a backslash finds only itself."""
    target = f"/contacts/?locationId={accounts.location}&query={quote(value)}"
    answer = api.ask("GET", target, token=stored)
    assert answer.status == 200
    assert answer.body["count"] == (value.lower() in "ada")


def test_no_sql_is_formatted():
    """Ruff's rule against formatted SQL (S608) holds for the whole service, and no comment takes anything out of it.

    PostgreSQL's statements may have constants of a module as their parts, and nothing else.
    """
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "S608", "--ignore-noqa"]
    done = subprocess.run([*ruff, "--output-format=json", str(SERVICE)], capture_output=True, text=True)
    lines = [
        (each["location"]["row"], each["end_location"]["row"], each["filename"]) for each in json.loads(done.stdout)
    ]
    found = [(Path(file), first, last) for first, last, file in lines]
    assert {file.parent.name for file, *_ in found} <= {"postgresql", "migrations"}
    assert [parts for each in found if (parts := set(filter(is_no_constant, parts_of(*each))))] == []
    planted = 'def of(name: str) -> str:\n    return f"SELECT * FROM tokens WHERE id = {name}"\n'
    found = subprocess.run([*ruff, "-"], input=planted, capture_output=True, text=True)
    assert (found.returncode, "S608" in found.stdout) == (1, True)
