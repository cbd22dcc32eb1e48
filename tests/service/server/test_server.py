"""Starting and stopping the service as a person does, and what it refuses to start on."""

import re
import resource
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pysqlite3.dbapi2 as sqlite
import pytest
import requests

import forked
import throwaway
from forked import running_service
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import IntegrationRequest
from private_integrations.errors import ConfigurationError
from private_integrations_service.server.clock import utc_now
from private_integrations_service.storage.sqlite.engine import open_database
from throwaway import REPOSITORY, listening_address


def start(*arguments, seconds=20):
    """Run `private-integrations serve` to its end."""
    command = [sys.executable, "-m", "private_integrations.cli", "serve", *map(str, arguments)]
    return forked.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds)


def test_first_start(tmp_path):
    """It makes an agency, a demo account with contacts and a key that only its owner can read, and shows no key."""
    folder = tmp_path / "data"
    with throwaway.running_service(folder) as service:
        file = folder / "admin.key"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE((folder / "private-integrations.db").stat().st_mode) == 0o600
        assert re.fullmatch(r"pmk-[0-9a-f]{64}\n", file.read_text())
        kinds = [
            (account.kind, account.name) for account in Client(ServiceConnection(service.url, service.key)).accounts()
        ]
        assert kinds == [("agency", "Agency"), ("sub_account", "Demo account")]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_and_comes_back(tmp_path, stop):
    """A signal ends it with status 0 and everything in one file; the next start has the same key and tokens."""
    with throwaway.running_service(tmp_path) as service:
        client = Client(ServiceConnection(service.url, service.key))
        request = IntegrationRequest(account=service.account, name="a", scopes=["contacts.readonly"], owner_nonce="c")
        made = client.declare("cli/a", request)
        issued = client.issue(made.id, 1, issuer="cli", holding=None, overlap_seconds=0, reason="")
        service.process.send_signal(stop)
        assert service.process.wait(20) == 0
        assert service.process.stdout.read() == "stopped\n"
    assert not (tmp_path / "private-integrations.db-wal").exists()
    with throwaway.running_service(tmp_path) as service:
        answer = requests.get(
            f"{service.url}/contacts/",
            params={"locationId": service.account},
            headers={"Authorization": issued.token, "Version": "v3"},
            timeout=10,
        )
        assert answer.status_code == 200
        assert len(answer.json()["contacts"]) == 5


def test_a_killed_service_lost_nothing_it_answered(tmp_path):
    """After kill -9 what was answered is there, and the database is sound."""
    with running_service(tmp_path) as service:
        request = IntegrationRequest(account=service.account, name="a", scopes=["contacts.readonly"], owner_nonce="c")
        made = Client(ServiceConnection(service.url, service.key)).declare("cli/a", request)
        service.process.kill()
        service.process.wait(20)
    with running_service(tmp_path) as service:
        assert Client(ServiceConnection(service.url, service.key)).integration(made.id) == made
    with sqlite.connect(str(tmp_path / "private-integrations.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_a_folder_in_use_is_refused(tmp_path):
    """A second server says which process has the folder, and leaves it alone."""
    with running_service(tmp_path) as service:
        second = start("--data-dir", tmp_path, "--port", 0)
        assert second.returncode == 2
        expected = (
            f"private-integrations: data folder {tmp_path} is in use by another server "
            f"(process {service.process.pid}); stop it or give another --data-dir\n"
        )
        assert second.stderr == expected
        assert requests.get(f"{service.url}/health", timeout=10).ok


def test_a_port_in_use_is_refused(tmp_path):
    """A taken address is one clear line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = start("--data-dir", tmp_path / "data", "--port", port)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"private-integrations: address 127.0.0.1:{port} is in use by another program; give another --port\n"
    )


@pytest.mark.parametrize("host", ["nothing.invalid", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_refused(tmp_path, host):
    """A name that nobody knows, or another machine's address, is one clear line."""
    refused = start("--data-dir", tmp_path, "--host", host, "--port", 0)
    assert refused.returncode == 2
    assert re.fullmatch(rf"private-integrations: address {host}:0 can't be used: .+\n", refused.stderr)


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    """A data folder that can't be one is one clear line."""
    file = tmp_path / "file"
    file.write_text("")
    refused = start("--data-dir", file, "--port", 0)
    assert refused.returncode == 2
    assert refused.stderr == f"private-integrations: data folder {file} can't be used: File exists\n"


def test_a_file_that_is_no_database_is_refused(tmp_path):
    """A damaged or foreign database file is named, and left as it is."""
    (tmp_path / "private-integrations.db").write_text("not a database, but longer than nothing " * 100)
    refused = start("--data-dir", tmp_path, "--port", 0)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"private-integrations: {tmp_path / 'private-integrations.db'} can't be used")
    assert "Traceback" not in refused.stderr


def test_an_old_sqlite_is_refused(tmp_path, monkeypatch):
    """A library that can lose a committed revocation is not used, and the way to a newer one is named."""
    monkeypatch.setattr(sqlite, "sqlite_version_info", (3, 51, 2))
    monkeypatch.setattr(sqlite, "sqlite_version", "3.51.2")
    with pytest.raises(ConfigurationError, match=r"SQLite 3\.51\.2 can lose committed changes; 3\.51\.3 or newer"):
        open_database(tmp_path, utc_now)


def test_a_bad_setting_is_refused(tmp_path, monkeypatch):
    """A setting that can't be read names its variable."""
    monkeypatch.setenv("PRIVATE_INTEGRATIONS_MINIMUM_PERIOD", "soon")
    refused = start("--data-dir", tmp_path, "--port", 0)
    assert refused.stderr.startswith(
        'private-integrations: PRIVATE_INTEGRATIONS_MINIMUM_PERIOD "soon" is not a duration'
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "127.0.0.1", "::1", "localhost"])
def test_plain_http_beyond_this_machine_is_warned_of(tmp_path, host):
    """One line, before the service listens: what can be read, and what to do; none for this machine alone."""
    command = [sys.executable, "-m", "private_integrations.cli", "serve", "--data-dir", str(tmp_path), "--port", "0"]
    with forked.Popen([*command, "--host", host], stdout=-1, stderr=-1, text=True) as process:
        listening_address(process)
        process.terminate()
        said = process.stderr.read()
    warning = (
        f"warning: --host {host} can be reached from other machines, and the service speaks plain HTTP: tokens, keys "
        "and passwords can be read on the way. Put a proxy with TLS in front and let only that reach this port "
        "(docs/operating.md, TLS), or listen on 127.0.0.1\n"
    )
    assert said == (warning if host in ("0.0.0.0", "::") else "")


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_core_is_dumped(tmp_path, workers):
    """When a process dies, its memory is written to no file, nor piped to a program that collects dumps."""
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    with throwaway.running_service(tmp_path, "--workers", workers) as service:
        processes = [service.process.pid, *(child.pid for child in psutil.Process(service.process.pid).children())]
        assert len(processes) == (1 if workers == "1" else 3)
        for pid in processes:
            limits = Path(f"/proc/{pid}/limits").read_text()
            assert re.search(r"Max core file size +0 +0 ", limits)
            # The files of a process that isn't dumpable belong to root, for any user who runs it.
            assert Path(f"/proc/{pid}/environ").stat().st_uid == 0
    assert "\nLimitCORE=0\n" in (REPOSITORY / "docs" / "gateway.md").read_text()


@pytest.mark.parametrize(
    ("url", "said"),
    [("https://tokens.example.com", "max-age=31536000"), ("http://localhost:8750", None), ("", None)],
)
def test_browsers_are_told_to_use_https(tmp_path, url, said):
    """On pages, the management API, their errors and health, where https is how people find the service."""
    with running_service(tmp_path, PRIVATE_INTEGRATIONS_PUBLIC_URL=url) as service:
        for path in ("/settings/sign-in", "/settings/nothing", "/health", "/private-integrations/v1/tokens"):
            # A proxy's word for one request changes nothing.
            answer = requests.get(service.url + path, headers={"X-Forwarded-Proto": "https"}, timeout=10)
            assert answer.headers.get("Strict-Transport-Security") == said, path


def test_huge_headers_are_refused(service):
    """A request head beyond the limit is cut off, not buffered."""
    answer = requests.get(f"{service.url}/health", headers={"X-Filler": "x" * 200_000}, timeout=10)
    assert answer.status_code in (400, 431)
