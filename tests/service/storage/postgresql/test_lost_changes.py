"""A database that lacks changes which a replica has seen: it was restored, or promoted without them."""

import time
from contextlib import closing
from datetime import timedelta

import psycopg

from engines import postgresql_only
from postgres import wait_until
from private_integrations.contract import digest_of
from private_integrations_service.storage.postgresql.engine import open_postgresql
from private_integrations_service.storage.postgresql.lease import LeaseTimes
from private_integrations_service.storage.postgresql.remembered_ends import FILE_NAME, KEPT, Ends, RememberedEnds
from private_integrations_service.storage.postgresql.revision import Revision


def restored(database, *tokens: str) -> None:
    """Put the database back to where these tokens lived, as a restore from a backup does."""
    with psycopg.connect(database.address) as connection:
        for token in tokens:
            connection.execute(
                "UPDATE tokens SET ended_at = NULL, end_reason = NULL WHERE digest = %s", (digest_of(token),)
            )
        connection.execute("DELETE FROM revisions WHERE number > 1")
        connection.execute("UPDATE authority SET number = 1, mark = (SELECT mark FROM revisions)")


def found_lost(database) -> list[dict]:
    """What the audit log says of lost changes."""
    with psycopg.connect(database.address) as connection:
        rows = connection.execute("SELECT detail::json FROM audit WHERE action = 'find changes lost' ORDER BY id")
        return [detail for (detail,) in rows]


INSTALLATION = "0123456789abcdef"


def digests(ends: RememberedEnds) -> set[bytes]:
    """All digests that are remembered."""
    return {digest for each in ends.read() for digest in each.digests}


@postgresql_only
def test_tokens_that_ended_stay_ended(database, desk, api, accounts, caplog):
    """The replica sounds the alarm, and ends again what it remembers; a token that lived lives on."""
    contacts = f"/contacts/?locationId={accounts.location}"
    ended, living = (desk.token_with("contacts.readonly") for _ in range(2))
    assert [api.ask("GET", contacts, token=token).status for token in (ended, living)] == [200, 200]
    with database.read() as connection:
        (integration,) = connection.exec_driver_sql(
            "SELECT integration_id FROM tokens WHERE digest = %s", (digest_of(ended),)
        ).one()
    desk.expire(integration, 1)
    assert api.ask("GET", contacts, token=ended).status == 401
    narrowed = desk.integration("contacts.readonly", "contacts.write")
    desk.edit(narrowed, "contacts.readonly")
    seen = database._state.replica.applied
    # Of the changes up to here, one ended a token.
    other_changes = seen.number - 2
    assert other_changes > 0
    # More than the parameters that a statement may have.
    others = tuple(number.to_bytes(32, "big") for number in range(70_000))
    database._ends.note([Ends(seen, others)])
    restored(database, ended)
    wait_until(lambda: found_lost(database) != [], "the replica finds the loss")
    [lost] = found_lost(database)
    assert narrowed in lost.pop("changed")
    assert lost == {"seen": seen.number, "found": 1, "ended_again": 1, "other_changes": other_changes}
    wait_until(lambda: api.ask("GET", contacts, token=living).status == 200, "the replica serves")
    assert api.ask("GET", contacts, token=ended).status == 401
    [alarm] = [record for record in caplog.records if "lacks changes" in record.message]
    assert alarm.levelname == "CRITICAL"
    assert narrowed in alarm.message.partition("They were about: ")[2]
    with database.read() as connection:
        reasons = connection.exec_driver_sql("SELECT end_reason FROM tokens WHERE ended_at IS NOT NULL").scalars().all()
    assert reasons == ["ended-before-loss"]


@postgresql_only
def test_a_loss_is_found_after_a_restart(database, desk, tmp_path):
    """The last revision is in the data folder: a restore while no replica ran is found by the first one that starts."""
    integration = desk.integration("contacts.readonly")
    token = desk.token(integration)
    with closing(open_postgresql(database.address, tmp_path / "other")) as other:
        other.begin()
        desk.expire(integration, 1)
        assert other._state.replica.applied == database._state.replica.applied
    database.disconnect()
    restored(database, token)
    with closing(open_postgresql(database.address, tmp_path / "other")) as other:
        other.begin()
        wait_until(lambda: found_lost(database) != [], "the replica finds the loss")
        assert [lost["ended_again"] for lost in found_lost(database)] == [1]


@postgresql_only
def test_a_replica_without_its_database_refuses_when_the_lease_has_run_out(database, desk, api, accounts):
    """Until then it answers from memory."""
    contacts = f"/contacts/?locationId={accounts.location}"
    token = desk.token_with("contacts.readonly")
    assert api.ask("GET", contacts, token=token).status == 200
    database._state.set_lease(time.clock_gettime(time.CLOCK_BOOTTIME) - 0.001, None)
    assert api.ask("GET", contacts, token=token).body["reason"] == "storage-unavailable"
    wait_until(lambda: api.ask("GET", contacts, token=token).status == 200, "the lease is renewed")


def test_ends_are_remembered_over_restarts(tmp_path):
    """In their order, the latest ones only; half a line, which a kill left, is no harm."""
    ends = RememberedEnds(tmp_path, INSTALLATION)
    assert (ends.last(), digests(ends)) == (None, set())
    first, second = bytes([1] * 32), bytes([2] * 32)
    noted = [Ends(Revision(1, "aa"), (first, second), frozenset({"int_1", "int_2"})), Ends(Revision(2, "bb"))]
    ends.note([*noted, Ends(Revision(2, "bb"), (), frozenset())])
    assert list(ends.read()) == [*noted, Ends(Revision(2, "bb"), (), frozenset())]
    with (tmp_path / FILE_NAME).open("a") as stream:
        stream.write(f"{INSTALLATION} 3 cc -int_")
    again = RememberedEnds(tmp_path, INSTALLATION)
    assert (again.last(), digests(again)) == (Revision(2, "bb"), {first, second})
    again.shorten()
    again.note([Ends(Revision(number, "cc")) for number in range(3, KEPT + 3)])
    assert (again.last(), digests(again)) == (Revision(KEPT + 2, "cc"), set())
    again.shorten()
    assert len((tmp_path / FILE_NAME).read_text().splitlines()) == KEPT
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


@postgresql_only
def test_the_ends_of_another_database_are_set_aside(database, desk, postgres_database, tmp_path, caplog):
    """A data folder that served one database and now serves another, such as a copy, raises no alarm."""
    folder = tmp_path / "moved"
    with closing(open_postgresql(database.address, folder)) as before:
        before.begin()
        integration = desk.integration("contacts.readonly")
        desk.token(integration)
        desk.expire(integration, 1)
        seen = before._ends.last()
    written = (folder / FILE_NAME).read_text()
    with closing(open_postgresql(postgres_database, folder)) as after:
        after.begin()
        assert seen.number > after._ends.last().number == 1
    (aside,) = folder.glob(f"{FILE_NAME}-of-*")
    assert aside.read_text() == written
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert aside.name in caplog.text


@postgresql_only
def test_the_first_use_waits_for_no_silent_replica(database, desk, api, accounts, tmp_path):
    """Its predecessor's deadline is far away; the revocation of a token does wait."""
    contacts = f"/contacts/?locationId={accounts.location}"
    times = LeaseTimes(2)
    with closing(open_postgresql(database.address, tmp_path / "silent", times)) as silent:
        silent.begin()
        silent.disconnect()
        database.times = times
        token = desk.token_with("contacts.readonly")
        began = time.monotonic()
        assert api.ask("GET", contacts, token=token).status == 200
        assert time.monotonic() - began < times.duration
        desk.delete(desk.integration("contacts.readonly"))
        assert time.monotonic() - began >= times.duration
    assert timedelta(seconds=times.change_wait) < timedelta(days=7)
