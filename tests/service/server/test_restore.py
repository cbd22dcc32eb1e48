"""The restore drill: the documents' own commands, with either engine, on what a service has stored."""

from contextlib import contextmanager

import pytest

from machines import Machine, blocks, new_token
from postgres import NEWEST, Postgres, programs
from server_processes import wait_until
from throwaway import REPOSITORY

DOCS = REPOSITORY / "docs"


def expire(management, integration):
    """End the first token of an integration."""
    answer = management.ask("POST", f"/integrations/{integration}/expire", {"generations": [1]})
    assert answer.status_code == 200, answer.text


def end_reason(management, integration):
    """Why the first token of an integration has ended."""
    return management.state(integration)["tokens"][0]["end_reason"]


def test_a_folder_is_restored(tmp_path):
    """With SQLite, what was copied is there: ended tokens work, newer ones are unknown, noted heads are missed."""
    commands = blocks(DOCS / "operating.md")
    machine = Machine(tmp_path / "home")
    with machine.serving():
        management = machine.management(machine.key)
        integration, token = new_token(management)
    machine.run(commands["run: backup"])

    with machine.serving():
        management = machine.management(machine.key)
        account = management.account
        expire(management, integration)
        _, newer = new_token(management)
        assert (machine.status(token, account), machine.status(newer, account)) == (401, 200)
        variables = {"PRIVATE_INTEGRATIONS_URL": machine.url, "PRIVATE_INTEGRATIONS_KEY": machine.key}
        head = next(
            line for line in machine.run("private-integrations audit verify", **variables).split() if account in line
        )
    machine.run(commands["run: restore"])

    with machine.serving():
        assert (machine.status(token, account), machine.status(newer, account)) == (200, 401)
        variables["PRIVATE_INTEGRATIONS_URL"] = machine.url
        machine.run("private-integrations audit verify", **variables)
        with pytest.raises(AssertionError, match=account):
            machine.run(f"private-integrations audit verify --head {head}", **variables)
        expire(machine.management(machine.key, account), integration)
        assert machine.status(token, account) == 401


@pytest.fixture
def server():
    """A server of our own, of the version whose pg_dump is used."""
    with Postgres(NEWEST) as started:
        yield started


def test_a_database_is_restored(tmp_path, server):
    """With PostgreSQL, replicas raise the alarm, and tokens whose end they remember stay ended."""
    commands = blocks(DOCS / "postgresql.md")
    variables = {"PRIVATE_INTEGRATIONS_DATABASE": server.new_database(), "PRIVATE_INTEGRATIONS_LEASE": "2s"}
    first, second = (Machine(tmp_path / name, programs(NEWEST)) for name in ("first", "second"))

    @contextmanager
    def replicas():
        with first.serving(**variables), second.serving(**variables):
            yield first.management(first.key)

    with replicas() as management:
        account = management.account
        (kept, kept_token), (ended, ended_token) = new_token(management), new_token(management)
        first.run(commands["run: dump"], **variables)
        expire(management, ended)
        _, newer = new_token(management)
        for machine in (first, second):
            assert [machine.status(token, account) for token in (kept_token, ended_token, newer)] == [200, 401, 200]
    first.run(commands["run: restore"], **variables)

    with replicas() as management:
        for machine in (first, second):
            wait_until(lambda machine=machine: machine.status(kept_token, account) == 200, "the replica has a lease")
            assert [machine.status(token, account) for token in (ended_token, newer)] == [401, 401]
        assert "ALARM: the database lacks changes" in first.said + second.said
        assert end_reason(management, ended) == "ended-before-loss"
        assert end_reason(management, kept) is None
        rows = management.ask("GET", "/audit", params={"own": "true", "action": "find changes lost"}).json()["entries"]
        assert [row["action"] for row in rows] == ["find changes lost"] * len(rows) != []


def test_a_restored_database_without_memory_has_ended_tokens_again(tmp_path, server):
    """A replica without the file of its ends can't know: so that file is what keeps them ended."""
    commands = blocks(DOCS / "postgresql.md")
    variables = {"PRIVATE_INTEGRATIONS_DATABASE": server.new_database(), "PRIVATE_INTEGRATIONS_LEASE": "2s"}
    machine = Machine(tmp_path / "home", programs(NEWEST))
    with machine.serving(**variables):
        management = machine.management(machine.key)
        integration, token = new_token(management)
        machine.run(commands["run: dump"], **variables)
        expire(management, integration)
        assert machine.status(token, management.account) == 401
    machine.run(commands["run: restore"], **variables)
    (machine.data_dir / "ended-tokens").unlink()

    with machine.serving(**variables):
        wait_until(lambda: machine.status(token, management.account) == 200, "the replica has a lease")
        assert "ALARM" not in machine.said
