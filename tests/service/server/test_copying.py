"""`copy`: a whole installation moves to another database and back, or the target stays empty."""

import shutil
import signal
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pysqlite3.dbapi2 as sqlite
import pytest
import requests

import forked
from operator_cli import PROGRAM, refusal, run_cli
from postgres import database_name
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import (
    IntegrationRequest,
    KeyRequest,
    WebhookRequest,
    digest_of,
    new_management_key,
    new_sealing_key,
    new_webhook_secret,
)
from private_integrations_service.access.actors import Actor
from private_integrations_service.operations import upstreams
from private_integrations_service.sealing import Sealer
from private_integrations_service.server.clock import utc_now
from private_integrations_service.storage.sqlite.engine import open_database
from server_processes import wait_until
from visitors import new_account, new_visitor

SCOPES = ["contacts.readonly", "contacts.write"]
PATH = "private-integrations.db"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@dataclass
class Filled:
    """A data folder with an installation, whose service is stopped, and the secrets of its clients."""

    folder: Path
    sealing_key: str
    key: str = ""
    viewer: str = ""
    revoked: str = ""
    account: str = ""
    integration: str = ""
    live: str = ""
    ended: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    contact: str = ""
    message: str = ""
    credential_in: str = ""

    def service(self, folder, *arguments):
        """Run a service with these sealing keys; the folder gets the first management key."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.key:
            (folder / "admin.key").write_text(self.key + "\n")
        return forked.running_service(folder, *arguments, PRIVATE_INTEGRATIONS_SEALING_KEYS=self.sealing_key)


def ask(service, account, token, path="", **body):
    """A request of a consumer."""
    headers = {"Authorization": token, "Version": "v3"}
    if body:
        return requests.post(f"{service.url}/contacts/", json=body, headers=headers, timeout=10)
    return requests.get(f"{service.url}/contacts/{path}", params={"locationId": account}, headers=headers, timeout=10)


def issue(client, integration, generation):
    """A new token of an integration."""
    holding = generation - 1 or None
    return client.issue(integration, generation, issuer="cli", holding=holding, overlap_seconds=3600, reason="").token


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """An installation with some of everything."""
    made = Filled(tmp_path_factory.mktemp("filled") / "data", new_sealing_key())
    with made.service(made.folder) as service:
        client = Client(ServiceConnection(service.url, service.key))
        made.key, made.account = service.key, service.account
        for name, key in (("reader", new_management_key()), ("gone", new_management_key())):
            listed = client.make_key(name, KeyRequest(role="viewer", digest=digest_of(key).hex()))
            if name == "gone":
                client.revoke_key(listed.id)
                made.revoked = key
            else:
                made.viewer = key
        request = IntegrationRequest(account=made.account, name="é", scopes=SCOPES, owner_nonce="nonce")
        made.integration = client.declare("cli/a", request).id
        made.ended = issue(client, made.integration, 1)
        assert ask(service, made.account, made.ended).status_code == 200
        made.live = issue(client, made.integration, 2)
        client.expire(made.integration, [1])
        made.contact = ask(
            service, made.account, made.live, locationId=made.account, firstName="Zoë", email="zoe@example.com"
        ).json()["contact"]["id"]
        assert ask(service, made.account, made.ended).status_code == 401
        for _ in range(3):
            made.credential_in = new_account(service.url, service.key)
        made.cookies = new_visitor(service.url, service.key, made.account).cookies
        hook = WebhookRequest(account=made.account, url="https://hooks.test/in", secret=new_webhook_secret())
        client.create_webhook(hook)
        made.message = client.ping_webhook(client.webhooks()[0].id)
        wait_until(lambda: activity(client, made.integration) == {1: 1, 2: 1}, "the activity is stored")
    with closing(open_database(made.folder, utc_now)) as engine:
        assert upstreams.put(engine, made.credential_in, "secret", Sealer([made.sealing_key]), actor=Actor("test"))
    return made


def activity(client, integration):
    """How many requests with each generation's token were allowed."""
    found = client.activity(integration, "day")
    return {one.generation: sum(one.requests) for one in found.generations if sum(one.requests)}


def check(filled, service, live, ended):
    """Everything that a client of the first service had works, and what was ended is."""
    client = Client(ServiceConnection(service.url, filled.key))
    for token in live:
        assert ask(service, filled.account, token).status_code == 200
    for token in ended:
        refused = ask(service, filled.account, token)
        assert (refused.status_code, refused.json()["message"] != "") == (401, True)
    assert ask(service, filled.account, live[0], filled.contact).json()["contact"]["firstName"] == "Zoë"
    assert [account.id for account in Client(ServiceConnection(service.url, filled.viewer)).accounts()] == [
        account.id for account in client.accounts()
    ]
    answer = requests.get(
        f"{service.url}/private-integrations/v1/whoami",
        headers={"Authorization": f"Bearer {filled.revoked}"},
        timeout=10,
    )
    assert answer.json()["type"].endswith(":key-ended")
    page = requests.get(f"{service.url}/settings/private-integrations", cookies=filled.cookies, timeout=10)
    assert page.url == f"{service.url}/settings/private-integrations"
    [credential] = client.upstreams()
    assert credential.readable
    [webhook] = client.webhooks()
    assert (webhook.url, webhook.secret_readable) == ("https://hooks.test/in", True)
    assert filled.message in [sent.message_id for sent in client.webhook_deliveries(webhook.id).deliveries]
    assert run_cli("audit", "verify", **service.environment).returncode == 0
    return client


def count(address, table):
    """How many rows a table in PostgreSQL has."""
    with psycopg.connect(address) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_an_installation_moves_to_postgresql_and_back(filled, postgres_database, tmp_path):
    """Tokens, keys, sessions and sealed credentials work after both copies; an ended token stays ended."""
    done = run_cli("copy", "--from", filled.folder, "--to", postgres_database)
    assert (done.returncode, filled.key in done.stdout + done.stderr) == (0, False)
    rows = dict(line.rsplit(maxsplit=1) for line in done.stdout.splitlines()[1:])
    assert (rows["tokens"], rows["sessions"], rows["upstream_credentials"]) == ("2", "1", "1")
    assert rows["accounts"] == "5"
    assert done.stderr.startswith(f"private-integrations: {filled.folder} copied to database ")
    with filled.service(tmp_path / "replica", "--database", postgres_database) as service:
        client = check(filled, service, [filled.live], [filled.ended])
        wait_until(lambda: activity(client, filled.integration) == {1: 1, 2: 3}, "the activity goes on")
        newer = issue(client, filled.integration, 3)
        assert ask(service, filled.account, newer).status_code == 200
        client.expire(filled.integration, [2])
        assert ask(service, filled.account, filled.live).status_code == 401
    back = run_cli("copy", "--from", postgres_database, "--to", tmp_path / "back")
    assert back.returncode == 0, back.stderr
    with filled.service(tmp_path / "back") as service:
        client = check(filled, service, [newer], [filled.ended, filled.live])
        assert ask(service, filled.account, issue(client, filled.integration, 4)).status_code == 200


def test_a_repeated_copy_changes_nothing(filled, postgres_database, tmp_path):
    """It says that everything is there; after a change of the copy it is refused."""
    first = run_cli("copy", "--from", filled.folder, "--to", postgres_database, "--json")
    again = run_cli("copy", "--from", filled.folder, "--to", postgres_database, "--json")
    assert again.stdout == first.stdout.replace('"copied": true', '"copied": false')
    assert "was copied before to" in again.stderr
    with psycopg.connect(postgres_database) as connection:
        connection.execute("UPDATE contacts SET last_name = last_name || 'x'")
    place = f"database {database_name(postgres_database)} at "
    said = refusal("copy", "--from", filled.folder, "--to", postgres_database)
    assert said.startswith(place)
    assert said.endswith(
        " has another installation, or was changed since it was copied (contacts differs): give an empty one"
    )
    with forked.running_service(tmp_path / "other"):
        """Another installation."""
    said = refusal("copy", "--from", postgres_database, "--to", tmp_path / "other")
    assert said.startswith(f"{tmp_path / 'other'} has another installation, or was changed since it was copied")


@pytest.mark.parametrize("table", ["accounts", "audit", "webhook_deliveries", "activity_observation", "clock"])
def test_a_killed_copy_left_nothing_and_is_repeated(filled, postgres_database, table):
    """Kill -9 while this table is written: the target is empty, and the next copy is whole."""
    run_cli("migrate", "--database", postgres_database)
    command = [*PROGRAM, "copy", "--from", str(filled.folder), "--to", postgres_database]
    with (
        psycopg.connect(postgres_database) as holder,
        psycopg.connect(postgres_database, autocommit=True) as observer,
        forked.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
    ):
        holder.execute(f"LOCK TABLE {table} IN SHARE MODE")
        wait_until(lambda: observer.execute(WAITING).fetchone() == (1,), "the copy waits for the table")
        process.kill()
        assert process.wait(20) == -signal.SIGKILL
    assert [count(postgres_database, name) for name in ("accounts", "tokens", "audit", "activity_tokens")] == [0] * 4
    done = run_cli("copy", "--from", filled.folder, "--to", postgres_database)
    assert done.returncode == 0, done.stderr
    assert count(postgres_database, "tokens") == 2


@pytest.mark.parametrize("table", ["accounts", "tokens", "webhook_attempts", "activity_requests"])
def test_a_killed_copy_to_a_folder_is_repeated(filled, postgres_database, tmp_path, table):
    """Kill -9 while this table is read: the folder has no installation, and the next copy is whole."""
    run_cli("copy", "--from", filled.folder, "--to", postgres_database)
    command = [*PROGRAM, "copy", "--from", postgres_database, "--to", str(tmp_path / "back")]
    target = tmp_path / "back" / PATH
    with (
        psycopg.connect(postgres_database, autocommit=True) as observer,
        psycopg.connect(postgres_database) as holder,
        forked.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process,
    ):
        holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        wait_until(lambda: observer.execute(WAITING).fetchone() == (1,), "the copy waits for the table")
        process.kill()
        process.wait(20)
    if target.exists():
        with closing(sqlite.connect(str(target))) as database:
            assert database.execute("SELECT count(*) FROM accounts").fetchone() == (0,)
    done = run_cli("copy", "--from", postgres_database, "--to", tmp_path / "back")
    assert done.returncode == 0, done.stderr
    assert "copied to" in done.stderr


def test_a_copy_killed_at_any_moment_is_repeated(filled, postgres, tmp_path):
    """Kill -9 after ever longer times: nothing or everything is there, and it can be repeated until it is done."""
    address = postgres.new_database()
    command = [*PROGRAM, "copy", "--from", str(filled.folder), "--to", address]
    for pause in (0.1, 0.2, 0.3, 0.5, 0.7, 1.0):
        with forked.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(pause)
            process.kill()
    done = run_cli("copy", "--from", filled.folder, "--to", address)
    assert done.returncode == 0, done.stderr
    assert [count(address, name) for name in ("tokens", "sessions")] == [2, 1]
    postgres.drop(address)


def test_numbers_go_on_behind_the_highest_that_was_ever_given(filled, postgres_database, tmp_path):
    """A deleted row's number is not given again, on either side."""
    folder = shutil.copytree(filled.folder, tmp_path / "a")
    with closing(sqlite.connect(str(folder / PATH))) as database, database:
        database.execute("UPDATE sqlite_sequence SET seq = 500 WHERE name = 'audit'")
        [highest] = database.execute("SELECT max(id) FROM tokens").fetchone()
    assert run_cli("copy", "--from", folder, "--to", postgres_database).returncode == 0
    with psycopg.connect(postgres_database) as connection:
        numbers = [
            connection.execute(f"SELECT nextval('{table}_id_seq')").fetchone()[0]
            for table in ("audit", "tokens", "webhook_deliveries", "person_events", "webhook_attempts")
        ]
        found = [connection.execute(f"SELECT max(id) FROM {table}").fetchone()[0] for table in ("webhook_deliveries",)]
    assert numbers[:3] == [501, highest + 1, found[0] + 1]
    assert run_cli("copy", "--from", postgres_database, "--to", tmp_path / "b").returncode == 0
    with closing(sqlite.connect(str(tmp_path / "b" / PATH))) as database:
        sequences = dict(database.execute("SELECT name, seq FROM sqlite_sequence"))
    assert (sequences["audit"], sequences["tokens"]) == (501, highest + 1)


def test_the_copy_is_another_revision(filled, postgres_database):
    """No replica that knew the empty database uses what it remembers; the clock goes on behind that of the source."""
    run_cli("migrate", "--database", postgres_database)
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        before = connection.execute("SELECT number, mark FROM authority").fetchone()
        assert run_cli("copy", "--from", filled.folder, "--to", postgres_database).returncode == 0
        number, mark = connection.execute("SELECT number, mark FROM authority").fetchone()
        assert number == before[0] + 1
        assert mark != before[1]
        assert connection.execute("SELECT mark FROM revisions WHERE number = %s", [number]).fetchone() == (mark,)
        [high_water] = connection.execute("SELECT high_water FROM clock").fetchone()
    with closing(sqlite.connect(str(filled.folder / PATH))) as database:
        assert database.execute("SELECT high_water FROM clock").fetchone() == (high_water,)


def test_a_running_service_is_not_copied(postgres_database, tmp_path):
    """A data folder's service is named by its process, a replica by its machine and last heartbeat."""
    with forked.running_service(tmp_path / "a") as service:
        said = refusal("copy", "--from", tmp_path / "a", "--to", postgres_database)
        assert f"is in use by another server (process {service.process.pid})" in said
    with forked.running_service(tmp_path / "b", "--database", postgres_database) as service:
        said = refusal("copy", "--from", postgres_database, "--to", tmp_path / "c")
        assert f"replicas of database {database_name(postgres_database)} at " in said
        assert "(last heartbeat 0." in said
        service.process.kill()
        service.process.wait(20)
    assert "are running: " in refusal("copy", "--from", postgres_database, "--to", tmp_path / "c")
    assert not (tmp_path / "c").exists()
    done = run_cli("copy", "--from", postgres_database, "--to", tmp_path / "c", PRIVATE_INTEGRATIONS_LEASE="2s")
    while done.returncode:
        assert "are running: " in done.stderr
        time.sleep(0.2)
        done = run_cli("copy", "--from", postgres_database, "--to", tmp_path / "c", PRIVATE_INTEGRATIONS_LEASE="2s")
    assert (tmp_path / "c" / PATH).exists()


def test_a_row_that_is_stored_differently_undoes_the_copy(filled, postgres_database):
    """Every row is read again before the end: the copy is refused, and the target stays empty."""
    run_cli("migrate", "--database", postgres_database)
    with psycopg.connect(postgres_database, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.name = NEW.name || '!'; RETURN NEW; END $$"
        )
        connection.execute("CREATE TRIGGER spoil BEFORE INSERT ON integrations FOR EACH ROW EXECUTE FUNCTION spoil()")
    said = refusal("copy", "--from", filled.folder, "--to", postgres_database)
    assert said.startswith("row 1 of integrations was not stored in database ")
    assert said.endswith(" as it was read: nothing was copied")
    assert count(postgres_database, "accounts") == 0


def test_a_damaged_audit_log_is_not_copied(filled, postgres_database, tmp_path):
    """A changed row is named by its place in its chain, and the target stays empty."""
    folder = shutil.copytree(filled.folder, tmp_path / "a")
    with closing(sqlite.connect(str(folder / PATH))) as database, database:
        database.execute("UPDATE audit SET actor = 'key/somebody' WHERE account_id IS NULL AND sequence = 2")
    assert refusal("copy", "--from", folder, "--to", postgres_database) == (
        f"the audit log in {folder} is not whole, so nothing was copied: row 2 of the service's own log was changed: "
        "its hash is another one"
    )
    assert count(postgres_database, "accounts") == 0


def test_places_that_cannot_be_copied_are_refused(filled, postgres_database, tmp_path):
    """Each with one line: what is no installation, the same place twice, and what is neither folder nor address."""
    missing = tmp_path / "missing"
    place = f"database {database_name(postgres_database)} at"
    said = SimpleNamespace(
        missing=refusal("copy", "--from", missing, "--to", postgres_database),
        empty=refusal("copy", "--from", postgres_database, "--to", tmp_path / "b"),
        other=refusal("copy", "--from", "mysql://service:hidden@host/x", "--to", tmp_path / "b"),
        password=refusal("copy", "--from", filled.folder, "--to", "postgresql://service:hid/den@host/x"),
    )
    assert said.missing == f"there is no installation in {missing}: it has no {PATH}"
    assert not missing.exists()
    assert said.empty.startswith(place)
    assert said.empty.endswith("is empty: there is no installation in it")
    with psycopg.connect(postgres_database) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
    assert said.other == "--from is neither a data folder nor an address such as postgresql://user@host/name"
    assert said.password.startswith("--to has a password or a port that can't be read")
    run_cli("migrate", "--database", postgres_database)
    unused = refusal("copy", "--from", postgres_database, "--to", tmp_path / "b")
    assert unused.startswith(f"there is no installation in {place}")
    assert run_cli("copy", "--from", filled.folder, "--to", postgres_database).returncode == 0
    twice = refusal("copy", "--from", postgres_database, "--to", postgres_database)
    assert twice.startswith(f"--from and --to are both {place}")


def test_parents_come_before_what_belongs_to_them(postgres_database, tmp_path):
    """An agency whose id sorts behind those of its sub-accounts, and more rows than are read at once."""
    with closing(open_database(tmp_path / "a", utc_now)) as engine, engine.write() as write:
        write.connection.exec_driver_sql("INSERT INTO accounts VALUES ('z', 'Agency', 'agency', NULL, 0, NULL)")
        for number in range(2500):
            statement = "INSERT INTO accounts VALUES (?, 'Location', 'sub_account', 'z', 0, NULL)"
            write.connection.exec_driver_sql(statement, (f"a{number}",))
    assert run_cli("copy", "--from", tmp_path / "a", "--to", postgres_database).returncode == 0
    assert count(postgres_database, "accounts") == 2501
    assert run_cli("copy", "--from", postgres_database, "--to", tmp_path / "b").returncode == 0
