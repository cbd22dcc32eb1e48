"""No room for another page, or a read-only database: every change that is answered with success is committed."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from itertools import count

import pytest
from sqlalchemy import Insert, insert

from engines import sqlite_only
from in_process import furnished
from private_integrations_service.sandbox.storage import tables as sandbox_tables
from private_integrations_service.storage import tables
from private_integrations_service.storage.engine import StorageFull
from private_integrations_service.storage.sqlite.engine import SQLiteEngine
from private_integrations_service.storage.sqlite.reserved_space import FILE_NAME as RESERVED
from private_integrations_service.tokens.format import new_id
from stored import content
from world import DATA, ENDED, ENDING, MANAGING, Change, World, reads_work, refusal

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CHANGES = {**MANAGING, **ENDING, **DATA}


@pytest.fixture
def world(database, accounts) -> Iterator[World]:
    """An application over a database of this process."""
    with furnished(database, accounts.location) as world:
        yield world


def set_on_writer(database: SQLiteEngine, pragma: str) -> None:
    """Set a pragma on the one connection that writes."""
    with closing(database._writer.raw_connection()) as connection:
        connection.driver_connection.execute(f"PRAGMA {pragma}")


def leave_pages(database: SQLiteEngine, account: str, more: int) -> None:
    """Fill every page that there is, so that changes find room only on as many more."""
    with database.write() as write:
        pages = write.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    set_on_writer(database, f"max_page_count={pages}")
    rows = count(1)
    for size in (3000, 300, 30, 0):
        text = "x" * size
        event = {"at": NOON, "account_id": "", "detail": text}
        event |= dict.fromkeys(("actor", "action", "integration_id", "address", "agent", "previous", "hash"), "")
        contact = {"account_id": account, "added_at": NOON, "updated_at": NOON, "fields": text}
        with suppress(StorageFull):
            while True:
                store(database, insert(tables.audit).values(**event, sequence=next(rows)))
        with suppress(StorageFull):
            while True:
                store(database, insert(sandbox_tables.contacts).values(id=new_id(), **contact))
    set_on_writer(database, f"max_page_count={pages + more}")


def store(database: SQLiteEngine, statement: Insert) -> None:
    """One row, in a transaction of its own."""
    with database.write() as write:
        write.connection.execute(statement)


def tried(database: SQLiteEngine, world: World, changes: Mapping[str, Change]) -> dict[str, tuple[int, str]]:
    """Ask for every change: whatever succeeds must be committed, and whatever doesn't must have left no trace."""
    refused = {}
    for name, change in changes.items():
        before = content(database.folder)
        answer = change(world)
        succeeded = answer[0] < 300
        assert (content(database.folder) != before) == succeeded, (name, answer)
        if not succeeded:
            refused[name] = refusal(answer)
    return refused


def no_worse(world: World, refused: Collection[str]) -> None:
    """Tokens whose end was refused are alive, and those whose end succeeded are dead."""
    for ending, token in ENDED.items():
        assert world.ask(token)[0] == (200 if ending in refused else 401), ending


@sqlite_only
@pytest.mark.parametrize("pages", [0, 1, 2, 3])
def test_no_success_without_a_commit(database, world, accounts, pages):
    """However little room there is, an answer is success exactly if the change is committed; with room all succeed."""
    leave_pages(database, accounts.stranger, pages)
    refused = tried(database, world, CHANGES)
    if pages == 0:
        assert set(CHANGES) - set(refused) == {"delete a contact"}, "only a deletion needs no room in the database"
        reads_work(world)
    assert set(refused.values()) <= {(507, "storage-full"), (503, "storage-unavailable")}
    assert {name for name, (status, _) in refused.items() if status == 503} <= set(DATA)
    no_worse(world, refused)
    set_on_writer(database, "max_page_count=1000000")
    assert tried(database, world, {name: CHANGES[name] for name in refused}) == {}
    no_worse(world, ())


@sqlite_only
def test_a_read_only_database(database, world, clock):
    """Every change is refused, whatever needs no write is answered, and the reserved space is not spent in vain.

    A token past its deadline opens nothing, though that this instant was reached can't be stored.
    """
    set_on_writer(database, "query_only=ON")
    assert tried(database, world, CHANGES) == dict.fromkeys(CHANGES, (503, "storage-unavailable"))
    reads_work(world)
    assert (database.folder / RESERVED).exists()
    clock.move(hours=2)
    assert [world.ask(f"working {generation}")[0] for generation in (1, 2)] == [503, 200]
    set_on_writer(database, "query_only=OFF")
    assert world.ask("working 1")[0] == 401
    # The overlap that a cancel would have ended has passed by now.
    assert tried(database, world, CHANGES) == {"cancel": (409, "cancel-too-late")}
