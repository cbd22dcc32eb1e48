"""docs/fixed-host.md is true: clients with the platform's host built in reach us by its three steps, unmodified.

The page's commands make the certificate, its server runs on a real nginx, and each client has a hosts file of its own.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from data_api import token_of
from engines import storage_independent
from mcp_client import MODULES, mcp_server
from raw_http import Door
from real_gateway import until_open
from throwaway import REPOSITORY, Service

PAGE = REPOSITORY / "docs" / "fixed-host.md"
BLOCKS = dict(re.findall(r"<!-- ([^>]+) -->\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL))
PLATFORM = "services.leadconnectorhq.com"
TAP = REPOSITORY / ".venv" / "singer" / "bin" / "tap-go-high-level"
SERVER = MODULES / "node_modules" / "ghl-mcp-server" / "dist" / "server.js"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="port 443 and a hosts file for one process need root")


@dataclass(frozen=True)
class FixedHost:
    """A proxy that is the platform's host to those who use its hosts file and trust its authority."""

    hosts: Path
    authority: Path

    @property
    def within(self) -> tuple[str, ...]:
        """A command that runs another one with this hosts file in the place of the machine's."""
        return _within({"/etc/hosts": self.hosts})

    def tap(self, configuration: dict[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
        """Run the Singer tap with the hosts file, and the authority at the end of its certifi's bundle."""
        bundle = subprocess.run([TAP.parent / "python", "-m", "certifi"], capture_output=True, text=True, check=True)
        certifi = bundle.stdout.strip()
        (folder / "bundle.pem").write_text(Path(certifi).read_text() + self.authority.read_text())
        (folder / "config.json").write_text(json.dumps(configuration))
        within = _within({"/etc/hosts": self.hosts, certifi: folder / "bundle.pem"})
        command = [*within, str(TAP), "--config", str(folder / "config.json")]
        environment = {"PATH": os.environ["PATH"]}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def _within(files: dict[str, Path]) -> tuple[str, ...]:
    """Make a command that runs another one with these files in the places of the machine's, for it alone."""
    mounts = [f"mount --bind {shlex.quote(str(here))} {shlex.quote(place)}" for place, here in files.items()]
    return "unshare", "--mount", "sh", "-c", " && ".join([*mounts, 'exec "$@"']), "sh"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's authority and certificate."""
    folder = tmp_path_factory.mktemp("certificates")
    made = subprocess.run(["sh", "-euc", BLOCKS["run: certificate"]], cwd=folder, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert sorted(file.name for file in folder.iterdir() if file.suffix != ".srl") == [
        "authority.pem",
        "platform.key",
        "platform.pem",
    ]
    return folder


@pytest.fixture(scope="module")
def fixed_host(serving: Service, certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FixedHost]:
    """The page's server on nginx in front of what serves the API, on an address of this process alone."""
    folder = tmp_path_factory.mktemp("fixed")
    address = f"127.{os.getpid() // 62500 % 250 + 2}.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
    hosts = folder / "hosts"
    [name] = {line.split()[1] for line in BLOCKS["hosts"].splitlines()}
    hosts.write_text(f"127.0.0.1 localhost\n{address} {name}\n")
    with _running_nginx(folder, certificates, {"443 ssl": f"{address}:443 ssl", "http://127.0.0.1:8750": serving.url}):
        yield FixedHost(hosts, certificates / "authority.pem")


@contextmanager
def _running_nginx(folder: Path, certificates: Path, changes: dict[str, str]) -> Iterator[None]:
    socket = folder / "ready.sock"
    server = BLOCKS["nginx"]
    changes = {
        **changes,
        "/etc/ssl/platform.pem": str(certificates / "platform.pem"),
        "/etc/ssl/private/platform.key": str(certificates / "platform.key"),
    }
    for shown, here in changes.items():
        assert shown in server, shown
        server = server.replace(shown, here)
    # Where the test sees that nginx is there.
    server = server.replace("server {\n", f"server {{\n    listen unix:{socket} ssl;\n", 1)
    folders = "".join(f"{name}_temp_path {folder / name};\n" for name in TEMPORARY)
    text = f"events {{}}\nhttp {{\naccess_log off;\n{folders}{server}}}\n"
    (folder / "nginx.conf").write_text(text)
    command = [shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin") or "nginx", "-p", str(folder)]
    command += ["-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    directives = f"daemon off; pid {folder / 'nginx.pid'}; worker_processes 1; user root;"
    with subprocess.Popen([*command, "-g", directives]) as process:
        try:
            until_open(Door(socket, certificates / "authority.pem", PLATFORM), process)
            yield
        finally:
            process.terminate()


@storage_independent
def test_a_singer_tap_reads_contacts_and_opportunities(fixed_host, data_api, unique, tmp_path):
    """A tap that only knows the platform's host reads both its streams from us."""
    headers = {"Authorization": f"Bearer {data_api.token}", "Version": "2021-07-28"}

    def made(path: str, noun: str, body: dict[str, object]) -> str:
        body = {**body, "locationId": data_api.account, "name": unique}
        answer = requests.post(data_api.url + path, json=body, headers=headers, timeout=10)
        assert answer.status_code == 201, answer.text
        return answer.json()[noun]["id"]

    query = {"locationId": data_api.account}
    pipelines = requests.get(f"{data_api.url}/opportunities/pipelines", query, headers=headers, timeout=10).json()
    contact = made("/contacts/", "contact", {"email": f"{unique}@example.com"})
    placed = {"contactId": contact, "pipelineId": pipelines["pipelines"][0]["id"], "status": "open"}
    opportunity = made("/opportunities/", "opportunity", placed)
    done = fixed_host.tap({"auth_token": data_api.token, "location_id": data_api.account}, tmp_path)
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    found = {
        (each["stream"], each["record"]["id"]): each["record"] for each in messages if each.get("type") == "RECORD"
    }
    assert found["go_high_level_contacts", contact]["email"] == f"{unique}@example.com"
    record = found["go_high_level_opportunities", opportunity]
    assert (record["contact"]["id"], record["status"], record["profile_id"]) == (contact, "open", data_api.account)


@storage_independent
def test_a_refused_singer_tap_fails_in_the_platforms_words(fixed_host, serving, tmp_path):
    """A tap with a token that lacks a scope ends with the refusal."""
    token = token_of(serving, "contacts.readonly")
    done = fixed_host.tap({"auth_token": token, "location_id": serving.account}, tmp_path)
    assert done.returncode != 0
    assert "401 Client Error: Unauthorized for path: /opportunities/search/" in done.stderr


@storage_independent
def test_an_mcp_server_without_an_address_reaches_us(fixed_host, data_api):
    """An MCP server without a configured address calls the platform's host, and finds our pipeline there."""
    environment = {
        "GHL_API_KEY": data_api.token,
        "GHL_LOCATION_ID": data_api.account,
        "NODE_EXTRA_CA_CERTS": str(fixed_host.authority),
    }
    with mcp_server(SERVER, environment, within=fixed_host.within) as call:
        assert [pipeline["name"] for pipeline in call("get_pipelines")["pipelines"]] == ["Sales Pipeline"]
        assert call("search_contacts", limit=1)["contacts"]


@storage_independent
def test_the_official_javascript_client_without_an_address_reaches_us(fixed_host, data_api):
    """The vendor's client with its own base URL reads opportunities, users, campaigns and calendars from us."""
    script = """
        const { HighLevel } = require("@gohighlevel/api-client");
        const client = new HighLevel({ privateIntegrationToken: process.env.TOKEN, logLevel: "none" });
        const locationId = process.env.LOCATION;
        Promise.all([
            client.opportunities.searchOpportunity({ locationId, getNotes: true }),
            client.users.getUserByLocation({ locationId }),
            client.campaigns.getCampaigns({ locationId }),
            client.calendars.getCalendars({ locationId }),
            client.locations.getTimezones({ locationId }),
        ]).then((answers) => console.log(JSON.stringify(answers.map((answer) => Object.keys(answer)[0]))));
    """
    environment = {
        "PATH": os.environ["PATH"],
        "TOKEN": data_api.token,
        "LOCATION": data_api.account,
        "NODE_EXTRA_CA_CERTS": str(fixed_host.authority),
        "NODE_PATH": str(MODULES / "node_modules"),
    }
    command = [*fixed_host.within, "node", "--eval", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["opportunities", "users", "campaigns", "calendars", "timeZones"]


@storage_independent
def test_without_the_authority_no_client_talks_to_us(fixed_host, data_api):
    """A client that doesn't trust the authority sends its token to no server."""
    environment = {"GHL_API_KEY": data_api.token, "GHL_LOCATION_ID": data_api.account}
    with mcp_server(SERVER, environment, within=fixed_host.within) as call:
        assert "certificate" in call.answer("get_pipelines")["error"]


def test_the_authority_speaks_for_the_platforms_name_alone(certificates):
    """The authority is limited to the one name, and its key is gone."""
    command = ["openssl", "x509", "-in", "authority.pem", "-noout", "-ext", "nameConstraints"]
    shown = subprocess.run(command, cwd=certificates, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"DNS:\S+", shown) == [f"DNS:{PLATFORM}"]
    assert not (certificates / "authority.key").exists()
