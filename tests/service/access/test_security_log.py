"""The security log: which events there are, what their lines hold and never hold, and how many are written."""

import errno
import json
import os
import re
import stat
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from forked import running_service
from guests import HOME, OPERATOR, PASSWORD, Guest, cheap_pages, invited, try_to_sign_in, user_id
from management import API, Management, problem
from private_integrations.contract import KeyRequest, digest_of, new_management_key
from private_integrations.errors import ConfigurationError
from private_integrations_service.access import security_log
from private_integrations_service.access.security_log import (
    ALARMING,
    BURST,
    COMMON_FIELDS,
    FIELDS,
    FILE_NAME,
    NUMBERS,
    WINDOW,
    SecurityEvent,
    SecurityLog,
    sink_of,
)
from private_integrations_service.authorizer import Authorizer
from private_integrations_service.management_api import management_api
from private_integrations_service.operations import keys, sign_in
from private_integrations_service.operations.passwords import Passwords
from private_integrations_service.sandbox.storage.furniture import furnish
from private_integrations_service.server.application import Application
from private_integrations_service.settings import Settings
from visitors import Visitor

PAGE = Path(__file__).parents[3] / "docs" / "security.md"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CANARY = "canary7harbours"


class Lines(list):
    """A sink that keeps the lines, as they were parsed."""

    def __call__(self, line):
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        self.append(json.loads(line))
        return True

    @property
    def events(self):
        """The events so far."""
        return [line["event"] for line in self]


@pytest.fixture
def lines():
    """Return the list of the written lines."""
    return Lines()


@pytest.fixture
def log(lines):
    """A log that writes to `lines`."""
    return SecurityLog(memoryview(bytearray(NUMBERS * 8)).cast("Q"), lines)


@pytest.fixture
def app(database, catalogue, clock, log):
    """The pages, which note in the log."""
    made = cheap_pages(database, catalogue, clock)
    made.state.parts = replace(made.state.parts, security=log)
    return made


def test_every_event_is_in_the_table_of_the_documentation():
    """docs/security.md has each event with what else its lines hold, and no other one."""
    rows = PAGE.read_text().partition("| event | written when | what else is in the line |\n|---|---|---|\n")[2]
    told = {}
    for row in rows.partition("\n\n")[0].splitlines():
        event, when, fields = (cell.strip() for cell in row.strip("|").split("|"))
        assert when
        told[event.strip("`")] = set(re.findall(r"`(\w+)`", fields))
    assert told == {event.value: set(fields) for event, fields in FIELDS.items()}
    assert set(FIELDS) == set(SecurityEvent)


def test_everything_that_happens_is_written_and_no_secret_is(
    app, api, middleware, database, catalogue, clock, accounts, log, lines
):
    """Cause each event as people and programs do; no line has their input, their secrets or their names."""
    email = f"bob.{CANARY}@example.com"
    secrets = {email, PASSWORD, CANARY}
    # Links, passwords and sessions.
    ada = Guest(app)
    code = invited(database, clock(), "ada@example.com", **{accounts.location: "admin"})
    secrets.add(code)
    assert ada.post(f"/settings/welcome/{code}", password=PASSWORD).location == HOME
    assert lines.events == ["link-redeemed", "signed-in-new-browser"]
    assert ada.get(f"/settings/welcome/{code}").status == 404
    ada.get("/settings/me")
    assert try_to_sign_in(ada, PASSWORD).location == HOME
    assert lines.events[2:] == ["link-unknown", "signed-in"]
    stranger = Guest(app, address="198.51.100.66")
    for _ in range(5):
        assert try_to_sign_in(stranger, CANARY, CANARY).status == 401
    assert try_to_sign_in(stranger, CANARY, CANARY).status == 429
    assert try_to_sign_in(Guest(app, address="198.51.100.67"), CANARY).status == 401
    assert lines.events[4:] == ["sign-in-failed"] * 5 + ["sign-in-throttled", "sign-in-failed"]
    assert lines[-1]["user"] == user_id(database, "ada@example.com")
    assert "user" not in lines[-2]
    with app.state.parts.passwords.turn():
        app.state.parts = replace(app.state.parts, passwords=Passwords(at_once=1, waiting=0))
        with app.state.parts.passwords.turn():
            assert try_to_sign_in(Guest(app), CANARY, "x@example.com").status == 503
    app.state.parts = replace(app.state.parts, passwords=cheap_pages(database, catalogue, clock).state.parts.passwords)
    assert lines.events[-1] == "sign-in-busy"
    # People.
    ada.get("/settings/me")
    roles = f"/settings/accounts/{accounts.location}/roles"
    made = ada.post(f"{roles}/invite", email=email, role="user")
    link = re.search(r"/settings/welcome/([\w-]+)", made.text)[1]
    secrets.add(link)
    bob = Guest(app)
    assert bob.post(f"/settings/welcome/{link}", password=PASSWORD).location == HOME
    bob.get("/settings/me")
    assert bob.get(HOME).status == 403
    assert bob.get(f"/settings/accounts/{accounts.stranger}/roles").status == 404
    assert [(line["by"], line["path"], line["problem"]) for line in lines[-2:]] == [
        (f"person/{user_id(database, email)}", HOME, "not-allowed"),
        (f"person/{user_id(database, email)}", "/settings/accounts/{account_id}/roles", "not-there"),
    ]
    assert lines[-1]["account"] == accounts.stranger
    assert bob.post("/settings/sign-out", headers={"origin": "https://evil.example"}).status == 403
    assert bob.post("/settings/sign-out", form_key=CANARY).status == 403
    assert lines.events[-2:] == ["form-refused"] * 2
    secrets |= {bob.cookies["session"], bob.cookies["known"], bob.form_key}
    assert ada.post("/settings/me/password", present=CANARY, password="nine loud mountains").status == 422
    assert ada.post("/settings/me/password", present=PASSWORD, password="nine loud mountains").notice
    ada.get("/settings/me")
    assert ada.post("/settings/me/end-other-sessions", up_to="0").notice
    assert lines.events[-3:] == ["sign-in-failed", "password-changed", "sessions-ended"]
    made = sign_in.sign_in_by_provider(
        database, sign_in.Claims("https://login.test", "bob", email), sign_in.Browser("", ""), clock()
    )
    assert made.ended.password
    # The management API.
    key, bound, ended = new_management_key(), new_management_key(), new_management_key()
    secrets |= {key, bound, ended}
    with database.write() as write:
        request = KeyRequest(role="admin", digest=digest_of(key).hex())
        admin_id = keys.make.step(write, "admin@example.com", request, actor=OPERATOR).key.id
        request = KeyRequest(role="deployer", digest=digest_of(bound).hex(), accounts=[accounts.location])
        bound_id = keys.make.step(write, "bound", request, actor=OPERATOR).key.id
        gone = keys.make.step(write, "ended", KeyRequest(role="admin", digest=digest_of(ended).hex()), actor=OPERATOR)
        keys.revoke.step(write, gone.key.id, actor=OPERATOR)
    service = Guest(management_api(database, catalogue, Settings(), None, None, furnish, log))

    def ask(method, path, presented, body=None):
        headers = {"authorization": f"Bearer {presented}", "content-type": "application/json", "user-agent": f"x {key}"}
        return service.ask(method, API + path, headers, json.dumps(body or {}).encode()).status

    assert ask("GET", "/accounts", new_management_key()) == 401
    assert ask("GET", "/accounts", ended) == 401
    assert ask("GET", "/users", bound) == 403
    assert ask("GET", f"/integrations/{CANARY}", bound) == 404
    assert ask("GET", f"/integrations/{CANARY}", key) == 404
    assert ask("POST", f"/users/{email}/link", key) == 200
    assert ask("DELETE", f"/users/{email}/identities", key) == 200
    assert ask("POST", "/leaked", key, {"tokens": ["pit-" + "0" * 8], "where": CANARY}) == 200
    assert lines.events[-7:] == [
        "key-unknown",
        "key-ended",
        "action-refused",
        "action-refused",
        "link-made",
        "identities-forgotten",
        "leak-reported",
    ]
    assert lines[-6]["by"] == f"key/{gone.key.id}"
    assert [lines[number]["by"] for number in (-5, -3)] == [f"key/{bound_id}", f"key/{admin_id}"]
    assert (lines[-1]["received"], lines[-1]["ended"]) == (1, 0)
    # The data API.
    authorizer = Authorizer(database, catalogue, 10, security=log)
    middleware.authorizer.close()
    middleware.authorizer = authorizer
    for number in range(101):
        assert api.ask("GET", "/contacts/", token=f"pit-{number:08x}-0000-0000-0000-000000000000").status == 401
    assert [(line["event"], line["count"]) for line in lines[-1:]] == [("tokens-unknown", 100)]
    assert log.counts()[SecurityEvent.TOKENS_UNKNOWN] == 101
    # Every event was written but one, which test_identity_provider.py writes; no line has an unknown field or a secret.
    assert set(lines.events) == set(SecurityEvent) - {SecurityEvent.IDENTITY_LINKED}
    for line in lines:
        assert line.keys() <= COMMON_FIELDS | FIELDS[SecurityEvent(line["event"])]
        assert line["at"].endswith("Z")
    written = json.dumps(lines)
    assert [secret for secret in secrets if secret in written] == []
    assert "@" not in written


# How many lines.


def test_a_flood_of_one_event_is_counted_and_not_written(log, lines, clock):
    """A burst, then a line a second with the number of those left out; other events have lines of their own."""
    for _ in range(1000):
        log.note(SecurityEvent.SIGN_IN_FAILED, clock(), address="203.0.113.7", method="password")
    assert len(lines) == BURST
    log.note(SecurityEvent.LINK_MADE, clock(), user="usr_1")
    assert lines[-1]["event"] == "link-made"
    clock.move(seconds=1)
    log.note(SecurityEvent.SIGN_IN_FAILED, clock(), method="password")
    log.note(SecurityEvent.SIGN_IN_FAILED, clock(), method="password")
    assert len(lines) == BURST + 2
    assert lines[-1]["suppressed"] == 1000 - BURST
    assert log.counts()[SecurityEvent.SIGN_IN_FAILED] == 1002
    assert log.suppressed() == 1000 - BURST + 1


def test_a_line_that_can_not_be_written_is_counted(clock):
    """Nothing fails by it."""
    log = SecurityLog(memoryview(bytearray(NUMBERS * 8)).cast("Q"), lambda _: False)
    log.note(SecurityEvent.KEY_UNKNOWN, clock())
    assert log.suppressed() == 1
    assert log.counts()[SecurityEvent.KEY_UNKNOWN] == 1


def test_what_a_client_says_is_one_short_line(log, lines, clock):
    """Control characters are escaped, long text is cut, tokens and keys are taken out."""
    agent = 'x\n{"event": "signed-in"}\x1b[31m' + "y" * 1000 + " pmk-" + "0" * 64
    log.note(SecurityEvent.KEY_UNKNOWN, clock(), address="203.0.113.7", agent=agent)
    log.note(SecurityEvent.KEY_UNKNOWN, clock(), agent="curl pit-" + "0123abcd" * 4)
    assert len(lines[0]["agent"]) == 200
    assert lines[1]["agent"] == "curl pit-…"


def test_many_refusals_raise_an_alarm_for_a_quarter_of_an_hour(log, clock):
    """Sign-ins that failed, were throttled or not looked at count together; unknown and ended keys too."""
    watched = list(security_log.WATCHED["sign-ins-refused"])
    for number in range(ALARMING - 1):
        log.note(watched[number % 3], clock(), method="password")
    assert log.alarms(clock()) == []
    clock.move(minutes=10)
    log.note(SecurityEvent.SIGN_IN_FAILED, clock(), method="password")
    log.note(SecurityEvent.SIGNED_IN, clock(), method="password")
    [alarm] = log.alarms(clock())
    assert (alarm.kind, alarm.since, alarm.count) == ("sign-ins-refused", NOW, ALARMING)
    assert log.alarms(NOW + WINDOW - timedelta(seconds=1)) == [alarm]
    assert log.alarms(NOW + WINDOW) == []
    for _ in range(ALARMING):
        log.note(SecurityEvent.KEY_UNKNOWN, clock())
    assert [alarm.kind for alarm in log.alarms(clock())] == ["sign-ins-refused", "keys-unknown"]
    assert [alarm.kind for alarm in log.alarms(NOW + WINDOW)] == ["keys-unknown"]


# The file.


def test_the_file_is_its_owners_and_no_link(tmp_path):
    """0600 from the start, never through a symbolic link or into a pipe, and no line elsewhere."""
    write = sink_of("file", tmp_path)
    file = tmp_path / FILE_NAME
    assert write(b"{}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    assert sink_of("file", tmp_path)(b"{}\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes() == b"{}\n{}\n"
    elsewhere = tmp_path / "elsewhere"
    file.unlink()
    file.symlink_to(elsewhere)
    with pytest.raises(ConfigurationError, match=r"security\.log can't be used"):
        sink_of("file", tmp_path)
    assert not write(b"{}\n")
    assert not elsewhere.exists()
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(ConfigurationError, match=r"security\.log can't be used"):
        sink_of("file", tmp_path)


def test_the_file_has_a_largest_size_and_one_before_it(tmp_path, monkeypatch):
    """A full one is moved away, by whichever process comes first; the other goes on in the new one."""
    monkeypatch.setattr(security_log, "LARGEST", 100)
    first, second = sink_of("file", tmp_path), sink_of("file", tmp_path)
    for number in range(100):
        assert (first if number % 2 else second)(b"%09d\n" % number)
    former, present = tmp_path / f"{FILE_NAME}.1", tmp_path / FILE_NAME
    assert sorted(tmp_path.iterdir()) == [present, former]
    assert former.read_bytes() == b"".join(b"%09d\n" % number for number in range(80, 90))
    assert present.read_bytes() == b"".join(b"%09d\n" % number for number in range(90, 100))
    present.rename(tmp_path / "moved")
    assert first(b"again\n")
    assert present.read_bytes() == b"again\n"


def test_a_full_disk_stops_no_start(tmp_path, monkeypatch):
    """Without room for a new file the service starts all the same; the log begins once there is room."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(security_log.os, "open", full)
        write = sink_of("file", tmp_path)
        assert not write(b"{}\n")
    assert write(b"{}\n")
    assert (tmp_path / FILE_NAME).read_bytes() == b"{}\n"


def test_where_there_is_little_room_nothing_is_written(tmp_path, monkeypatch, caplog):
    """It is left for more important changes; stderr says so once, and again if it happens again."""
    write = sink_of("file", tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(security_log, "_LEAST_ROOM", 1 << 62)
        assert [write(b"{}\n") for _ in range(3)] == [False] * 3
    assert [record.getMessage() for record in caplog.records] == [
        f"the security log {tmp_path / FILE_NAME} is not written: less than {1 << 42} MiB are free"
    ]
    assert (tmp_path / FILE_NAME).read_bytes() == b""
    assert write(b"{}\n")
    monkeypatch.setattr(security_log, "_LEAST_ROOM", 1 << 62)
    assert not write(b"{}\n")
    assert len(caplog.records) == 2


@pytest.mark.parametrize("to", ["file", "stderr", "off", " File "])
def test_where_it_goes_is_a_setting(to):
    """A variable sets the place; a wrong value is refused with a line that names the variable."""
    given = {"PRIVATE_INTEGRATIONS_SECURITY_LOG": to}
    assert Settings.from_environment(given).security_log == to.strip().lower()
    with pytest.raises(ConfigurationError, match='PRIVATE_INTEGRATIONS_SECURITY_LOG "syslog" is not "file"'):
        Settings.from_environment({"PRIVATE_INTEGRATIONS_SECURITY_LOG": "syslog"})


def test_off_writes_no_file(database):
    """And counts all the same."""
    with closing(Application(database, Settings(security_log="off"))):
        assert not (database.folder / FILE_NAME).exists()
    with closing(Application(database, Settings())):
        assert (database.folder / FILE_NAME).exists()


# The whole service.


def metrics_of(service, key=None):
    """The series of the security log."""
    answer = Management(service.url, key or service.key, "").ask("GET", "/metrics")
    return dict(re.findall(r"^private_integrations_(\S+) ([0-9.]+)$", answer.text, re.MULTILINE))


def test_two_workers_count_together_and_the_service_raises_the_alarm(data_folder):
    """On any worker, metrics have the sum and health has the alarm; a key bound to an account gets neither."""
    with running_service(data_folder, "--workers", "2") as service:
        management = Management(service.url, service.key, service.account)
        for _ in range(ALARMING):
            # Each on a connection of its own, which the kernel gives to either worker.
            assert problem(management.ask("GET", "/accounts", key=new_management_key())) == (401, "key-unknown")
        visitor = Visitor(service.url)
        assert visitor.post("/settings/sign-in", email="x@example.com", password="guess").status_code == 401
        for _ in range(6):
            series = metrics_of(service)
            assert series['security_events_total{event="key-unknown"}'] == f"{ALARMING}.0"
            assert series['security_events_total{event="sign-in-failed"}'] == "1.0"
            assert series['alarms{kind="keys-unknown"}'] == "1.0"
            assert series['alarms{kind="sign-ins-refused"}'] == "0.0"
            health = management.ask("GET", "/health").json()
            assert (health["status"], [alarm["kind"] for alarm in health["service_alarms"]]) == (
                "attention",
                ["keys-unknown"],
            )
        bound = new_management_key()
        body = {"role": "viewer", "accounts": [service.account], "digest": digest_of(bound).hex()}
        assert management.ask("PUT", "/keys/bound", body).status_code == 201
        assert management.ask("GET", "/health", key=bound).json()["service_alarms"] == []
        assert "security" not in "".join(metrics_of(service, bound))
        log = data_folder / FILE_NAME
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert [line["event"] for line in lines].count("key-unknown") == ALARMING
        assert lines[-1]["address"] == "127.0.0.1"


def test_on_stderr_it_is_lines_of_json(tmp_path):
    """Where a supervisor collects them; the data folder has none."""
    with running_service(tmp_path / "data", PRIVATE_INTEGRATIONS_SECURITY_LOG="stderr") as service:
        key = new_management_key()
        requests.get(f"{service.url}{API}/accounts", headers={"Authorization": f"Bearer {key}"}, timeout=10)
        service.process.terminate()
        said = service.process.stdout.read()
    [line] = [line for line in said.splitlines() if line.startswith("{")]
    assert json.loads(line)["event"] == "key-unknown"
    assert not (tmp_path / "data" / FILE_NAME).exists()
