"""The audit log: a chain of rows for each account, from which nothing vanishes and in which nothing changes unseen."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pysqlite3.dbapi2 as sqlite
import pytest
from sqlalchemy import create_engine, select, text, update

from engines import sqlite_only
from private_integrations.contract.audit_chain import ChainHead, Fault, Whole, examine, hash_of
from private_integrations_service.access.actors import Actor
from private_integrations_service.access.audit_search import AuditSearch
from private_integrations_service.migrations import upgrade
from private_integrations_service.operations.audit import exported, listed, of_integration, whole_log, within
from private_integrations_service.storage import tables
from private_integrations_service.storage.audit import head, record_account, record_service
from private_integrations_service.storage.engine import StorageUnavailable

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ADA = Actor("person/ada@example.com/usr_1", address="203.0.113.9", agent="Mozilla/5.0 (é)")
EVERYTHING = AuditSearch(own=True)
COLUMNS = [column.name for column in tables.audit.columns if column.name != "id"]


def write(database, clock, account, *actions, actor=ADA, **detail):
    """A row for each action, each in a transaction of its own; of the service itself without an account."""
    for action in actions:
        with database.write() as change:
            if account is None:
                record_service(change, actor=actor, action=action, **detail)
            else:
                record_account(change, account, actor=actor, action=action, **detail)


def lines(database, search=EVERYTHING):
    """The log as it is exported."""
    return exported(database, search).lines


@pytest.fixture
def log(database, clock, accounts):
    """Three rows in an account, three of the service's own and one in another account, in turns."""
    for number in range(3):
        write(database, clock, accounts.location, f"do {number}", scopes=["contacts.readonly", "é"], nested={"a": None})
        write(database, clock, None, f"own {number}", name="ci")
        clock.move(seconds=1.5)
    write(database, clock, accounts.sister, "else")
    return database


def stored(database, action):
    """A row as it is stored."""
    with database.read() as connection:
        return connection.execute(select(tables.audit).where(tables.audit.c.action == action)).one()._mapping


def test_a_log_is_verified_by_what_the_documentation_says(log):
    """Twenty lines of plain Python agree with the service on every hash, and so on every head."""
    heads = {}
    for line in lines(log):
        row = json.loads(line)
        told = row.pop("hash")
        spelled = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        sequence, previous = heads.get(row["account"], (0, "0" * 64))
        assert (row["sequence"], row["previous"]) == (sequence + 1, previous)
        assert told == hashlib.sha256(spelled.encode()).hexdigest()
        heads[row["account"]] = (row["sequence"], told)
    assert examine(lines(log)) == Whole({account: ChainHead(*last) for account, last in heads.items()})
    assert {account: sequence for account, (sequence, _) in heads.items()}.keys() >= {None}


def test_a_row_says_who_what_when_and_from_where(log, accounts, clock):
    """All of it is in the exported row, beside its place in the chain."""
    row = json.loads(lines(log)[0])
    assert {key: row[key] for key in row if key not in ("hash", "previous")} == {
        "account": accounts.location,
        "sequence": 1,
        "at": "2026-11-20T12:00:00.000Z",
        "actor": "person/ada@example.com/usr_1",
        "address": "203.0.113.9",
        "agent": "Mozilla/5.0 (é)",
        "action": "do 0",
        "integration_id": None,
        "detail": {"scopes": ["contacts.readonly", "é"], "nested": {"a": None}},
    }


def flipped(value):
    """The same value with each of its bytes changed, one at a time, in two ways."""
    if value is None:
        yield "x"
    elif isinstance(value, int):
        yield from (value ^ 1 << bit for bit in range(0, 48, 5))
    else:
        raw = value.encode()
        for place in range(len(raw)):
            for mask in (0x01, 0x20, 0x80):
                yield raw[:place] + bytes([raw[place] ^ mask]) + raw[place + 1 :]


@sqlite_only
@pytest.mark.parametrize("column", COLUMNS)
def test_a_changed_byte_is_told_and_named(log, accounts, column):
    """Whatever is changed in a stored row, to something readable or not: that row is named, and every other is read."""
    place = [json.loads(line)["action"] for line in lines(log)].index("do 1") + 1
    with closing(sqlite.connect(str(log.file), isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        of_it = "FROM audit WHERE action = 'do 1'"
        ((rowid, value),) = connection.execute(f"SELECT rowid, {column} {of_it}").fetchall()
        stores = f"UPDATE OR IGNORE audit SET {column} = CASE WHEN ? THEN CAST(? AS TEXT) ELSE ? END WHERE rowid = ?"
        changes = 0
        for other in flipped(value):
            if connection.execute(stores, (isinstance(other, bytes), other, other, rowid)).rowcount:
                changes += 1
                with log.read() as reading:
                    told, entries = (
                        examine(exported.step(reading, EVERYTHING).lines),
                        listed.step(reading, EVERYTHING).entries,
                    )
                assert isinstance(told, Fault), (column, other)
                assert (told.line, len(entries)) == (place, 7), (column, other, told)
        assert changes
        connection.execute(f"UPDATE audit SET {column} = ? WHERE rowid = ?", (value, rowid))
    assert isinstance(examine(lines(log)), Whole)


# Every class in which SQLite stores a value, as a value of it and as what the stored one becomes in it.
STORED_AS = {
    "null": ["NULL"],
    "integer": ["5", "CAST({column} AS INTEGER)"],
    "real": ["5.5", "CAST({column} AS REAL) + 0.25", "9e999"],
    "text": ["'5'", "''", "CAST({column} AS TEXT)", "CAST(x'80' || {column} AS TEXT)", "{column} || char(0)"],
    "blob": ["x'35'", "x''", "CAST({column} AS BLOB)"],
}


def unstrict(connection):
    """Declare the audit log as a table that isn't strict, as a person who can write to the file could."""
    (version,) = connection.execute("PRAGMA schema_version").fetchone()
    connection.execute("PRAGMA writable_schema=ON")
    ((declared,),) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'audit'").fetchall()
    weak = declared.replace(" NOT NULL", "").rstrip().removesuffix("STRICT")
    weak = weak.replace(" TEXT", " BLOB").replace(" INTEGER,", " BLOB,")
    connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'audit'", (weak,))
    connection.execute(f"PRAGMA schema_version={version + 1}")
    connection.execute("PRAGMA writable_schema=RESET")


@sqlite_only
@pytest.mark.parametrize("column", COLUMNS)
def test_the_schema_takes_no_value_of_another_type(log, column):
    """No column accepts a value of another type, in any storage class of SQLite."""
    with closing(sqlite.connect(str(log.file), isolation_level=None)) as connection:
        declared = dict(connection.execute("SELECT name, type FROM pragma_table_info('audit')"))[column].lower()
        optional = column in ("account_id", "integration_id")
        for expression in (value for values in STORED_AS.values() for value in values):
            connection.execute("BEGIN")
            with suppress(sqlite.Error):
                connection.execute(f"UPDATE audit SET {column} = {expression.format(column=column)} WHERE id = 3")
            ((kind,),) = connection.execute(f"SELECT typeof({column}) FROM audit WHERE id = 3").fetchall()
            assert kind == declared or (kind == "null" and optional), expression
            connection.execute("ROLLBACK")


@sqlite_only
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("kind", STORED_AS)
def test_a_changed_type_is_told_and_named_and_found(log, accounts, column, kind):
    """If a person removes STRICT and stores a value as another class, verification and searches still find the row."""
    lines_before = lines(log)
    place = [json.loads(line)["action"] for line in lines_before].index("do 1") + 1
    bound = AuditSearch([accounts.location])
    with closing(sqlite.connect(str(log.file), isolation_level=None)) as connection:
        unstrict(connection)
        of_it = "FROM audit WHERE action = 'do 1'"
        ((rowid, value, was),) = connection.execute(f"SELECT rowid, {column}, typeof({column}) {of_it}").fetchall()
        for expression in STORED_AS[kind]:
            connection.execute(f"UPDATE audit SET {column} = ? WHERE rowid = ?", (value, rowid))
            changed = f"UPDATE OR IGNORE audit SET {column} = {expression.format(column=column)} WHERE rowid = ?"
            connection.execute(changed, (rowid,))
            is_the_same = connection.execute(
                f"SELECT typeof({column}) = ? AND {column} IS ? FROM audit WHERE rowid = ?", (was, value, rowid)
            ).fetchone()[0]
            with log.read() as reading:
                told, found = (
                    examine(exported.step(reading, EVERYTHING).lines),
                    listed.step(reading, EVERYTHING).entries,
                )
                of_account = [entry.sequence for entry in listed.step(reading, bound).entries]
                searched = listed.step(reading, replace(bound, action="do 1", actor="person", since=NOON)).entries
            if is_the_same:
                assert isinstance(told, Whole)
                continue
            assert isinstance(told, Fault), expression
            assert (told.line, len(found)) == (place, 7), (expression, told)
            if kind not in ("null", "integer" if isinstance(value, int) else "text"):
                assert f"its {column} is stored as {kind}" in told.reason
                if column != "account_id" or expression == "CAST({column} AS BLOB)":
                    assert any(entry.damaged == {column: kind} for entry in searched), expression
                    assert len(of_account) == 3, expression
        connection.execute(f"UPDATE audit SET {column} = ? WHERE rowid = ?", (value, rowid))
    assert lines(log) == lines_before


@sqlite_only
def test_bytes_that_read_like_the_text_are_told(database, clock, accounts):
    """A text that spells a byte out is another one than the byte."""
    write(database, clock, accounts.location, "do", actor=replace(ADA, agent="a\\x80"))
    assert isinstance(examine(lines(database)), Whole)
    edit(database, "UPDATE audit SET agent = CAST(x'6180' AS TEXT)")
    assert examine(lines(database)).reason.endswith("was changed: its agent is stored as no UTF-8")


def test_damage_that_was_hashed_too_is_told(log):
    """A hash over the damage itself makes no row whole."""
    row = json.loads(lines(log)[0]) | {"damaged": {"action": "blob"}}
    row["hash"] = hash_of(row)
    assert examine([json.dumps(row)]).reason.endswith("was changed: its action is stored as blob")


@pytest.mark.parametrize("twice", ['"action":"a","action":"do 0"', '"action":"do 0","x":NaN'])
def test_a_line_that_reads_in_two_ways_is_no_row(log, twice):
    """A name twice in an exported row, of which other programs read the other value, and numbers that JSON hasn't."""
    line = lines(log)[0]
    assert examine([line.replace('"action":"do 0"', twice)]) == Fault(1, "is no row of an audit log")


def edit(database, statement, **values):
    """Do to the stored log what nobody should."""
    with database.write() as change:
        change.connection.execute(text(statement), values)


def test_a_missing_row_is_told(log, accounts):
    """A row that vanished in the middle of a chain is missed by the one behind it; other chains are whole."""
    edit(log, "DELETE FROM audit WHERE action = 'do 1'")
    told = examine(lines(log))
    assert told == Fault(
        4, f"row 3 of account {accounts.location} stands where row 2 belongs: rows are missing or moved"
    )
    assert isinstance(examine(lines(log, AuditSearch(accounts=(), own=True))), Whole)


def test_swapped_rows_are_told(log):
    """Two rows in each other's place."""
    first, second = stored(log, "own 0")["id"], stored(log, "own 1")["id"]
    for old, new in ((first, -1), (second, first), (-1, second)):
        edit(log, "UPDATE audit SET id = :new WHERE id = :old", old=old, new=new)
    assert examine(lines(log)) == Fault(
        2, "row 2 of the service's own log stands where row 1 belongs: rows are missing or moved"
    )


def test_a_row_that_was_hashed_anew_is_told_by_the_next(log, accounts):
    """Whoever changes a row and its hash must change every row behind it; and the head that somebody noted."""
    noted = [(account, last) for account, last in examine(lines(log)).heads.items()]
    rows = [json.loads(line) for line in lines(log)]
    forged = [row | {"actor": "key/somebody"} if row["action"] == "do 1" else row for row in rows]
    for whole_chain in (False, True):
        previous = {}
        for row in forged:
            if whole_chain and row["account"] == accounts.location:
                row["previous"] = previous.get(row["account"], "0" * 64)
            content = {key: value for key, value in row.items() if key != "hash"}
            spelled = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            previous[row["account"]] = row["hash"] = hashlib.sha256(spelled.encode()).hexdigest()
        log_of_lies = [json.dumps(row) for row in forged]
        if whole_chain:
            assert isinstance(examine(log_of_lies), Whole)
            assert "was noted" not in str(examine(lines(log), noted))
            assert examine(log_of_lies, noted).reason == (
                f"row 3 of account {accounts.location} is not the one that was noted: the log was written anew"
            )
        else:
            assert examine(log_of_lies).reason == (
                f"row 3 of account {accounts.location} does not follow the row before it: "
                "that one was changed, and its hash with it"
            )


def test_a_tail_that_was_cut_off_is_told_by_a_noted_head(log, accounts):
    """Without one a shorter log is as good as a whole one; that is said in the documentation."""
    with log.read() as connection:
        noted = head(connection, accounts.location)
    assert noted.sequence == 3
    assert isinstance(examine(lines(log), [(accounts.location, noted)]), Whole)
    edit(log, "DELETE FROM audit WHERE action = 'do 2'")
    assert isinstance(examine(lines(log)), Whole)
    assert examine(lines(log), [(accounts.location, noted)]) == Fault(
        None, f"row 3 of account {accounts.location} was noted, but the log ends with row 2"
    )
    write(log, lambda: log.now(), accounts.location, "instead")
    assert examine(lines(log), [(accounts.location, noted)]).reason.endswith("the log was written anew")


@pytest.mark.parametrize(
    "line", ["", "{}", "[]", "nothing", '{"account": 1, "sequence": 1, "previous": "", "hash": ""}']
)
def test_what_is_no_log_is_told(line):
    """A file of something else is refused at its first line."""
    assert examine([line]) == Fault(1, "is no row of an audit log")


def test_many_writers_at_once_make_one_chain(database, clock, accounts):
    """Every row follows the one that was committed before it, whoever wrote that."""

    def change(number):
        write(database, clock, (accounts.location, None)[number % 2], f"do {number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, range(40)))
    assert {account: last.sequence for account, last in examine(lines(database)).heads.items()} == {
        accounts.location: 20,
        None: 20,
    }


def test_a_failed_change_leaves_no_gap(log, accounts, clock):
    """What is rolled back has no place in the chain."""
    with pytest.raises(ZeroDivisionError), log.write() as change:
        record_account(change, accounts.location, actor=ADA, action="never")
        raise ZeroDivisionError
    write(log, clock, accounts.location, "then")
    assert stored(log, "then")["sequence"] == 4
    assert isinstance(examine(lines(log)), Whole)


@pytest.mark.parametrize("account", [None, "location"])
def test_the_schema_gives_a_place_once(log, accounts, account):
    """Two rows in one place of a chain are no commit, in the service's own chain neither."""
    whose = tables.audit.c.account_id.is_not_distinct_from(account and accounts.location)
    with pytest.raises(StorageUnavailable) as raised, log.write() as change:
        change.connection.execute(update(tables.audit).where(whose, tables.audit.c.sequence == 2).values(sequence=1))
    assert "UNIQUE" in str(raised.value.__cause__).upper()


def test_no_secret_is_written(database, clock, accounts):
    """A token that somebody pasted into a reason, or sent as their program's name, is cut out."""
    token = "pit-" + "01234567-89ab-cdef-0123-456789abcdef"
    actor = replace(ADA, agent=f"curl {token}")
    write(database, clock, accounts.location, "do", actor=actor, reason=f"because {token}", deep=[{"a": token}])
    row = stored(database, "do")
    assert "0123" not in str(dict(row))
    assert row["agent"] == "curl pit-…"
    assert isinstance(examine(lines(database)), Whole)


def test_rows_of_an_older_release_are_chained():
    """The migration gives every row its place in its account's chain, in the order in which it was written."""
    engine = create_engine("sqlite://", module=sqlite)
    with engine.connect() as connection:
        upgrade(connection, "0007")
        rows = [
            (5, 1763640000123, "key/ci/key_1", "create", "a", "int_1", '{"scopes": ["x"], "name": "\\u00e9"}'),
            (6, 1763640000123, "cli", "create key", None, None, "{}"),
            (7, 1763640000124, "first use", "deliver", "b", "int_2", '{"generations": [1, 2]}'),
            (9, 1763640001000, "key/ci/key_1", "edit", "a", "int_1", '{"reason": null}'),
        ]
        connection.exec_driver_sql("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        upgrade(connection)
        found = exported.step(connection, EVERYTHING)
        kept = connection.exec_driver_sql(
            "SELECT id, at, actor, action, account_id, integration_id, detail FROM audit ORDER BY id"
        ).fetchall()
    engine.dispose()
    assert kept == rows
    told = examine(found.lines)
    assert {account: last.sequence for account, last in told.heads.items()} == {"a": 2, "b": 1, None: 1}
    # What an export of this log says for ever, whichever release migrated it.
    assert told.heads["a"].hash == "233b2cb8d163c659cbc5446a5bfe20f6b3bd6f77ca54fc7add5c879170be444f"
    assert json.loads(found.lines[3]) | {"hash": "", "previous": ""} == {
        "account": "a",
        "action": "edit",
        "actor": "key/ci/key_1",
        "address": "",
        "agent": "",
        "at": "2025-11-20T12:00:01.000Z",
        "detail": {"reason": None},
        "integration_id": "int_1",
        "sequence": 2,
        "hash": "",
        "previous": "",
    }


def test_an_actor_reads_what_they_reach(log, accounts, clock):
    """An account that isn't theirs has no rows for them, and the service's own log neither."""
    bound = Actor("key/ci/key_1", frozenset({accounts.sister}))
    assert {json.loads(line)["account"] for line in lines(log, within(EVERYTHING, bound))} == {accounts.sister}
    assert lines(log, within(EVERYTHING, bound, accounts.location)) == []
    assert whole_log(log, accounts.location, actor=bound).problem == "account-unknown"
    assert whole_log(log, "nothing", actor=ADA).problem == "account-unknown"
    assert list(whole_log(log, accounts.location, actor=ADA)) == lines(log, AuditSearch([accounts.location]))
    assert lines(log, within(AuditSearch(), Actor("person/x/y", frozenset()))) == []


def test_rows_of_one_integration(database, desk, accounts):
    """The newest first, for those who reach it."""
    integration = desk.integration("contacts.readonly")
    desk.edit(integration, "contacts.write")
    desk.integration("contacts.readonly")
    with database.read() as connection:
        entries = of_integration.step(connection, integration, actor=ADA)
        assert [entry.action for entry in entries] == ["edit", "create"]
        stranger = Actor("key/ci/key_1", frozenset({accounts.stranger}))
        assert of_integration.step(connection, integration, actor=stranger).problem == "integration-unknown"


def test_rows_are_found_by_what_they_say(log, accounts, clock):
    """By actor, whole or a beginning, by action, and from one instant until before another."""
    deployment = Actor("key/ci/key_1", agent="private-integrations-deployment/1 (shop)")
    write(log, clock, accounts.location, "edit", actor=deployment)
    write(log, clock, accounts.location, "edit", actor=Actor("key/ci2/key_2"))
    start = clock() - timedelta(seconds=4.5)

    def found(**search):
        with log.read() as connection:
            return [
                entry.action for entry in listed.step(connection, AuditSearch([accounts.location], **search)).entries
            ]

    assert found(actor="person") == ["do 2", "do 1", "do 0"]
    assert found(actor="key") == ["edit", "edit"]
    assert found(actor="key/ci") == ["edit"]
    assert found(actor="deployment") == ["edit"]
    assert found(actor="pers") == found(actor="%") == found(action="do") == []
    assert found(action="do 1") == ["do 1"]
    assert found(since=start + timedelta(seconds=1.5), until=start + timedelta(seconds=3)) == ["do 1"]


def test_a_log_is_read_page_by_page(database, clock, accounts):
    """No row is missing between two pages, forwards or backwards, and the last one says so."""
    write(database, clock, accounts.location, *[f"do {number}" for number in range(25)])
    with database.read() as connection:
        seen, cursor = [], None
        while True:
            page = listed.step(connection, EVERYTHING, before=cursor, limit=10)
            seen += [entry.action for entry in page.entries]
            if page.cursor is None:
                break
            cursor = int(page.cursor)
    assert seen == [f"do {number}" for number in reversed(range(25))]


def test_the_log_survives_a_restart(under_test, tmp_path, clock):
    """The chain goes on where it ended."""
    for action in ("first", "second"):
        with closing(under_test.open(tmp_path / "data", clock)) as database:
            write(database, clock, None, action)
            assert examine(lines(database)).heads[None].sequence == (1 if action == "first" else 2)
