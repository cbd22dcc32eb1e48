"""The database: its schema says the rules, its clock never runs backwards, its migrations lead to its tables."""

import json
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pysqlite3.dbapi2 as sqlite
import pytest
from sqlalchemy import create_engine, insert, select

from engines import sqlite_only
from private_integrations.contract import EndReason, RotationPolicy
from private_integrations.contract.audit_chain import Whole, examine
from private_integrations_service.access.actors import Actor
from private_integrations_service.access.audit_search import AuditSearch
from private_integrations_service.migrations import upgrade
from private_integrations_service.operations.audit import exported, listed
from private_integrations_service.sandbox.storage import tables as sandbox_tables
from private_integrations_service.sandbox.storage.calendars import list_calendars
from private_integrations_service.sandbox.storage.campaigns import list_campaigns
from private_integrations_service.sandbox.storage.furniture import furnish
from private_integrations_service.sandbox.storage.pipelines import list_pipelines
from private_integrations_service.server.clock import utc_now
from private_integrations_service.storage import tables
from private_integrations_service.storage.audit import record
from private_integrations_service.storage.columns import metadata
from private_integrations_service.storage.engine import StorageUnavailable
from private_integrations_service.storage.integrations import integration_by_id, owner_nonce_was_used
from private_integrations_service.storage.sqlite.engine import FILE_NAME, open_database
from private_integrations_service.storage.tokens import tokens_of

DAY = 86_400
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def schema(connection) -> set[tuple[str, ...]]:
    """Every table and index as SQLite keeps it, spelled one way, and its parts in one order."""
    query = "SELECT sql FROM sqlite_master WHERE name NOT LIKE 'alembic%' AND sql IS NOT NULL"
    # A table that a migration had to build anew has its name in quotes.
    # Another test asks SQLite which tables are STRICT.
    plain = (
        re.sub(r'[\s(),"]+', " ", re.sub(r"\s*STRICT\s*$", "", sql)) for (sql,) in connection.exec_driver_sql(query)
    )
    return {tuple(sorted(re.split(r" (?=CONSTRAINT )", sql.strip()))) for sql in plain}


@sqlite_only
def test_migrations_lead_to_the_tables(database):
    """A migrated database has exactly the schema that the code is written for."""
    declared = create_engine("sqlite://", module=sqlite)
    metadata.create_all(declared)
    with database.read() as migrated, declared.connect() as fresh:
        assert schema(migrated) == schema(fresh)
    declared.dispose()


@sqlite_only
def test_every_column_takes_its_own_type_only(database):
    """Every table is strict, so a column stores only values of the type that the code compares with."""
    with database.read() as connection:
        found = connection.exec_driver_sql("SELECT name, strict FROM pragma_table_list WHERE type = 'table'").all()
        own = {name: strict for name, strict in found if not name.startswith(("sqlite_", "alembic_"))}
    assert own == dict.fromkeys(metadata.tables, 1)


@sqlite_only
def test_a_text_is_stored_as_a_text(database, accounts):
    """A statement that would make a text a BLOB, a number a text or an instant a fraction changes nothing."""
    with closing(sqlite.connect(str(database.file), isolation_level=None)) as connection:
        for change in ("name = CAST(name AS BLOB)", "created_at = 'x'", "created_at = 5.5", "kind = x'00'"):
            with pytest.raises(sqlite.IntegrityError, match="cannot store"):
                connection.execute(f"UPDATE accounts SET {change}")


@pytest.mark.parametrize("damaged", [False, True])
def test_a_database_of_an_older_release_becomes_strict(tmp_path, damaged):
    """The migration keeps every row and hash; it also keeps rows that were tampered with, and `verify` names them."""
    with closing(sqlite.connect(str(tmp_path / FILE_NAME), isolation_level=None)) as connection:
        connection.executescript((Path(__file__).parents[1] / "databases" / "0011.sql").read_text())
        before = rows_of(connection)
        if damaged:
            connection.execute("UPDATE audit SET action = CAST(action AS BLOB) WHERE action = 'own 1'")
    with closing(open_database(tmp_path, utc_now)) as database, database.read() as reading:
        told = examine(exported.step(reading, AuditSearch(own=True)).lines)
        found = [entry.action for entry in listed.step(reading, AuditSearch(own=True, action="own 1")).entries]
    assert found == ["own 1"]
    with closing(sqlite.connect(str(tmp_path / FILE_NAME))) as connection:
        checked = connection.execute("PRAGMA integrity_check").fetchall()
        strict = dict(connection.execute("SELECT name, strict FROM pragma_table_list WHERE type = 'table'"))
        assert {name for name in before if not strict.get(name, True)} <= {"alembic_version"}
        if damaged:
            assert told.reason == "row 2 of the service's own log was changed: its action is stored as blob"
            assert checked == [("non-TEXT value in audit.action",)]
        else:
            assert isinstance(told, Whole)
            assert checked == [("ok",)]
            kept = rows_of(connection)
            assert {name: kept[name] for name in ("audit", "contacts", "accounts", "management_keys")} == {
                name: before[name] for name in ("audit", "contacts", "accounts", "management_keys")
            }
        # The upgraded database accepts and refuses the same values as a new one.
        with pytest.raises(sqlite.IntegrityError, match="cannot store BLOB value in TEXT column"):
            connection.execute("UPDATE accounts SET name = x'00'")


@pytest.mark.parametrize(
    ("stored", "declared"),
    [
        (
            {"every_seconds": 90 * DAY, "overlap_seconds": 7 * DAY, "early_window_seconds": 3600, "enabled": True},
            {"every_seconds": 90 * DAY, "enabled": True},
        ),
        (
            {"every_seconds": 4 * DAY, "overlap_seconds": 2 * DAY, "early_window_seconds": 0, "enabled": False},
            {"every_seconds": 4 * DAY, "early_window_seconds": 0, "enabled": False},
        ),
        (
            {"schedule": "0 3 * * *", "timezone": "UTC", "overlap_seconds": DAY // 2, "early_window_seconds": 0},
            {"schedule": "0 3 * * *"},
        ),
        (
            {"schedule": "0 3 * * *", "timezone": "Europe/Berlin", "overlap_seconds": 0, "early_window_seconds": 60},
            {"schedule": "0 3 * * *", "timezone": "Europe/Berlin", "overlap_seconds": 0, "early_window_seconds": 60},
        ),
        ({"overlap_seconds": 7 * DAY, "early_window_seconds": 0}, {}),
        ({"overlap_seconds": 3 * DAY, "early_window_seconds": 0}, {"overlap_seconds": 3 * DAY}),
    ],
)
def test_an_older_policy_keeps_what_is_no_default(tmp_path, stored, declared):
    """The migration takes out what the provider had filled in, and keeps the owner's nonce and its memory."""
    empty = dict.fromkeys(("every_seconds", "schedule", "timezone", "overlap_seconds", "early_window_seconds"))
    with closing(sqlite.connect(str(tmp_path / FILE_NAME), isolation_level=None)) as connection:
        connection.executescript((Path(__file__).parents[1] / "databases" / "0011.sql").read_text())
        connection.execute("INSERT INTO accounts (id, name, kind, created_at) VALUES ('agc', 'A', 'agency', 0)")
        connection.execute(
            "INSERT INTO integrations (id, account_id, external_id, name, description, scopes, rotation, claim,"
            " version, last_generation, created_at, updated_at)"
            " VALUES ('int_1', 'agc', 'a/b/c/d', 'CRM', '', '[]', ?, 'n', 1, 0, 0, 0)",
            (json.dumps({**empty, "enabled": True, **stored}),),
        )
        connection.execute("INSERT INTO claims VALUES ('agc', 'n', 'int_1', 0)")
    with closing(open_database(tmp_path, utc_now)) as database, database.read() as reading:
        found = integration_by_id(reading, "int_1")
        assert owner_nonce_was_used(reading, "agc", "n")
    assert found.owner_nonce == "n"
    assert found.rotation == RotationPolicy(**declared)


def rows_of(connection):
    """Every row of each table, with the type of each value."""
    names = [name for (name,) in connection.execute("SELECT name FROM pragma_table_list WHERE type = 'table'")]
    return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names if name[:7] != "sqlite_"}


def test_contacts_of_an_older_release_are_kept():
    """The third migration keeps the contacts that are there, and makes them found by name."""
    older = create_engine("sqlite://", module=sqlite)
    with older.connect() as connection:
        upgrade(connection, "0002")
        connection.exec_driver_sql("INSERT INTO accounts VALUES ('a', 'Agency', 'agency', NULL, 0)")
        for id_, fields in (("c1", '{"firstName": "ÉLODIE", "city": "Lyon"}'), ("c2", "{}")):
            connection.exec_driver_sql("INSERT INTO contacts VALUES (?, 'a', NULL, NULL, ?, 5, 6)", (id_, fields))
        upgrade(connection)
        rows = connection.execute(select(sandbox_tables.contacts).order_by(sandbox_tables.contacts.c.id)).all()
    older.dispose()
    assert [(row.id, row.first_name, row.last_name, row.business_id) for row in rows] == [
        ("c1", "élodie", "", None),
        ("c2", "", "", None),
    ]
    assert rows[0].fields == {"firstName": "ÉLODIE", "city": "Lyon"}


def test_tags_of_an_older_release_are_kept_in_lower_case():
    """Stored tags are written in lower case, each once; of a location's tags that become one, one stays."""
    older = create_engine("sqlite://", module=sqlite)
    with older.connect() as connection:
        upgrade(connection, "0011")
        for account in "ab":
            connection.exec_driver_sql(
                "INSERT INTO accounts (id, name, kind, created_at) VALUES (?, 'Agency', 'agency', 0)", (account,)
            )
        for id_, fields in (("c1", '{"tags": ["VIP", "\\u00c9t\\u00e9", "vip"], "city": "Lyon"}'), ("c2", "{}")):
            connection.exec_driver_sql(
                "INSERT INTO contacts (id, account_id, fields, added_at, updated_at) VALUES (?, 'a', ?, 5, 6)",
                (id_, fields),
            )
        for id_, account, name in (("t1", "a", "VIP"), ("t2", "a", "vip"), ("t3", "b", "VIP"), ("t4", "a", "Lead")):
            connection.exec_driver_sql("INSERT INTO location_tags VALUES (?, ?, ?)", (id_, account, name))
        upgrade(connection)
        rows = connection.execute(select(sandbox_tables.contacts).order_by(sandbox_tables.contacts.c.id)).all()
        tags = connection.execute(
            select(sandbox_tables.location_tags).order_by(sandbox_tables.location_tags.c.id)
        ).all()
    older.dispose()
    assert [row.fields for row in rows] == [{"tags": ["vip", "été"], "city": "Lyon"}, {}]
    assert [tuple(tag) for tag in tags] == [("t2", "a", "vip"), ("t3", "b", "vip"), ("t4", "a", "lead")]


def test_locations_of_an_older_release_get_a_pipeline():
    """The migration that adds pipelines gives every location that is there one, with a calendar and a campaign."""
    older = create_engine("sqlite://", module=sqlite)
    with older.connect() as connection:
        upgrade(connection, "0002")
        connection.exec_driver_sql("INSERT INTO accounts VALUES ('a', 'Agency', 'agency', NULL, 0)")
        for id_ in ("l1", "l2"):
            connection.exec_driver_sql(f"INSERT INTO accounts VALUES ('{id_}', 'Location', 'sub_account', 'a', 0)")
        upgrade(connection)
        kept = {location: _begins_with(connection, location) for location in ("a", "l1", "l2")}
        furnish(connection, "new")
        fresh = _begins_with(connection, "new")
        ids = [row.id for row in connection.execute(select(sandbox_tables.pipelines))]
    older.dispose()
    assert kept == {"a": ([], [], []), "l1": fresh, "l2": fresh}
    assert len(set(ids)) == len(ids) == 3
    assert {len(id_) for id_ in ids} == {20}


def test_the_end_reasons_of_an_older_release_are_named():
    """Each sentence that a release wrote becomes a reason that reads as the same sentence; rows that live have none."""
    of_then = [reason for reason in EndReason if reason is not EndReason.ENDED_BEFORE_LOSS]
    sentences = [reason.in_words("90 days") for reason in of_then] + ["not used for 1d12h", "of no release", None]
    older = create_engine("sqlite://", module=sqlite)
    with older.connect() as connection:
        upgrade(connection, "0015")
        connection.exec_driver_sql("INSERT INTO accounts (id, name, kind, created_at) VALUES ('a', 'A', 'agency', 0)")
        for number, sentence in enumerate(sentences, start=1):
            connection.exec_driver_sql(
                "INSERT INTO integrations (id, account_id, external_id, name, description, scopes, claim,"
                " version, last_generation, created_at, updated_at) VALUES (?, 'a', ?, 'n', '', '[]', 'c', 1, 1, 0, 0)",
                (f"int_{number}", f"external {number}"),
            )
            connection.exec_driver_sql(
                "INSERT INTO tokens (integration_id, generation, role, issuer, run, attempt, digest, hash_version,"
                " overlap_seconds, issued_at, delivered_at, ended_at, ended_because)"
                " VALUES (?, 1, 'current', 'i', 'r', 1, ?, 1, 0, 0, 0, ?, ?)",
                (f"int_{number}", bytes([number]) * 32, None if sentence is None else 5, sentence),
            )
        upgrade(connection)
        found = tokens_of(connection, [f"int_{number}" for number in range(1, len(sentences) + 1)])
        tokens = sorted((token for each in found.values() for token in each), key=lambda token: token.id)
    older.dispose()
    assert [token.ended_because for token in tokens] == [*sentences[:-2], "expired on request", None]
    assert [token.end_reason for token in tokens[: len(of_then)]] == of_then
    assert (tokens[-2].end_reason, tokens[-2].end_detail) == (EndReason.EXPIRED_ON_REQUEST, "of no release")


def _begins_with(connection, location):
    """Return the pipelines, calendars and campaigns of a location, without the ids."""
    pipelines = [(found.name, [stage.name for stage in found.stages]) for found in list_pipelines(connection, location)]
    calendars = [(found.name, found.active, found.fields) for found in list_calendars(connection, location)]
    campaigns = [(found.name, found.status) for found in list_campaigns(connection, location)]
    return pipelines, calendars, campaigns


def test_a_database_is_opened_again(tmp_path):
    """Opening migrates what is missing, which is nothing the second time."""
    open_database(tmp_path, utc_now).close()
    open_database(tmp_path, utc_now).close()


def token(**changes):
    """A row of the tokens table."""
    return {
        "integration_id": "int_7",
        "generation": 1,
        "role": "pending",
        "issuer": "us",
        "run": "r",
        "attempt": 1,
        "digest": bytes(32),
        "hash_version": 1,
        "overlap_seconds": 0,
        "issued_at": NOON,
        **changes,
    }


@pytest.mark.parametrize(
    ("second", "rule"),
    [
        ({"generation": 2}, r"tokens\.integration_id|uq_tokens_one_pending"),
        ({"role": "current", "delivered_at": NOON}, r"tokens\.generation|uq_tokens_live_generation"),
        ({"generation": 2, "role": "current"}, "current_is_delivered"),
        ({"generation": 2, "role": "previous"}, "previous_has_a_deadline"),
        ({"generation": 2, "role": "pending", "ended_at": NOON, "delivered_at": NOON}, "pending_is_undelivered"),
        ({"generation": 2, "role": "other"}, "role"),
        ({"generation": 2, "ended_at": NOON, "digest": b"short"}, "digest_length"),
        ({"generation": 2, "ended_at": NOON, "digest": bytes(32)}, "tokens.digest"),
    ],
)
def test_the_schema_says_the_rules_of_tokens(database, desk, second, rule):
    """One pending, one current, one live token of a generation, a deadline for every superseded one: or no commit."""
    integration = desk.integration("contacts.readonly")
    row = token(integration_id=integration, attempt=2, **({"digest": b"\1" * 32} | second))
    with pytest.raises(StorageUnavailable) as raised, database.write() as write:
        write.connection.execute(insert(tables.tokens).values(**token(integration_id=integration)))
        write.connection.execute(insert(tables.tokens).values(**row))
    assert re.search(rule, str(raised.value.__cause__))
    assert desk.secrets(integration) == {}


def test_a_failed_write_leaves_nothing(database, desk):
    """An error in the middle of a transaction takes back all of it, the audit row too."""
    integration_id = desk.integration("contacts.readonly")
    with pytest.raises(ZeroDivisionError), database.write() as write:
        found = integration_by_id(write.connection, integration_id)
        record(write, found, actor=Actor("test"), action="half done")
        raise ZeroDivisionError
    with database.read() as connection:
        actions = connection.execute(select(tables.audit.c.action)).scalars().all()
    assert actions == ["create"]


def test_the_clock_never_runs_backwards(tmp_path):
    """A clock that steps back, also over a restart, is held at the latest instant ever written."""
    for clock in (NOON, NOON - timedelta(days=8)):
        database = open_database(tmp_path, lambda now=clock: now)
        assert database.now() == NOON
        with database.write() as write:
            assert write.now == NOON
        with database.write() as write:
            assert write.now == NOON
        assert database.now() == NOON
        database.close()


def test_every_change_is_in_the_audit_log_and_no_token_is_in_the_file(database, desk):
    """Create, issue, deliver, edit, expire and delete leave one row each, and the token's value is nowhere."""
    integration_id = desk.integration("contacts.readonly")
    value = desk.token(integration_id)
    desk.edit(integration_id, "contacts.write")
    desk.expire(integration_id, 1)
    desk.delete(integration_id)
    with database.read() as connection:
        rows = connection.execute(select(tables.audit.c.action, tables.audit.c.detail)).all()
    assert [action for action, _ in rows] == ["create", "issue", "edit", "expire", "delete"]
    files = b"".join(file.read_bytes() for file in database.folder.glob(FILE_NAME + "*"))
    assert value.encode() not in files
    assert value.removeprefix("pit-").encode() not in files


def test_a_stopped_database_is_sound(tmp_path):
    """The database of a clean stop passes SQLite's own check."""
    open_database(tmp_path, utc_now).close()
    with closing(sqlite.connect(str(tmp_path / FILE_NAME))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
