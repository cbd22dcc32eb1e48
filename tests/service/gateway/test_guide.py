"""docs/gateway.md is true: its commands are run in their order, a second instance of the service being the platform.

The gateway stands behind a real nginx with the guide's configuration, so consumers speak TLS to it; `systemctl` is us.
"""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import requests
from requests.adapters import HTTPAdapter

from forked import Popen, running_service
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import IntegrationRequest
from private_integrations_service.authorizer.replies import PlatformError
from private_integrations_service.gateway import refusals
from throwaway import REPOSITORY, engine_environment, listening_address, make_stack

GUIDE = REPOSITORY / "docs" / "gateway.md"
BLOCK = re.compile(r"<!-- (?P<name>[^>]+) -->\n```\w+\n(?P<text>.*?)(?=```)", re.DOTALL)
LOCATION, AGENCY = "ve9EPM428h8vShlRW1KT", "5DP4iH6HLkQsiKESj6rh"

# In the guide's order; `install` is tests/package/test_wheel.py's.
STEPS = (
    "install",
    "run: sealing key",
    "unit",
    "systemctl: start",
    "nginx",
    "run: account",
    "run: credential; stdin: the platform's token",
    "run: look at it",
    "run: pipeline",
    "program",
    "run: curl",
    "python",
    "javascript",
    "run: watch",
    "run: new sealing key",
    "systemctl: restart",
    "run: seal anew",
    "run: drop the old sealing key",
    "systemctl: restart",
    "run: nothing is lost",
)


def blocks():
    """Names and texts of the guide's blocks, in their order."""
    return [(block["name"], block["text"]) for block in BLOCK.finditer(GUIDE.read_text())]


def free_port():
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@contextmanager
def ended(process):
    """The process, which is told to stop at the end of the block."""
    with process:
        try:
            yield process
        finally:
            process.terminate()


@dataclass
class Platform:
    """The second instance: the platform, with the location and the tokens that somebody makes on its page."""

    url: str
    location: str
    client: Client
    made: dict = field(default_factory=dict)

    def token(self, name, *scopes):
        """Make a private integration of this name by hand, or rotate it: both tokens work on."""
        if name not in self.made:
            request = IntegrationRequest(
                account=self.location, name=name, scopes=list(scopes), owner_nonce=uuid.uuid4().hex
            )
            self.made[name] = [self.client.declare(f"page/{name}", request).id, 0]
        made, generation = self.made[name]
        self.made[name][1] = generation + 1
        issued = self.client.issue(
            made, generation + 1, issuer="page", holding=generation or None, overlap_seconds=604_800, reason=""
        )
        return issued.token

    def expire(self, name):
        """End every token of an integration but the newest."""
        made, generation = self.made[name]
        self.client.expire(made, list(range(1, generation)))


@dataclass
class Machine:
    """Where the guide is followed: its names stand for this test's folders, ports and ids."""

    folder: object
    names: dict
    environment: dict
    port: int
    gateway: "subprocess.Popen | None" = None

    def here(self, text):
        """The guide's text with this machine's names."""
        for name, own in self.names.items():
            text = text.replace(name, own)
        return text

    def run(self, text, *, stdin="", **environment):
        """Run a block as somebody types it; what it exports stays."""
        script = f"set -eu\n{self.here(text)}\nenv -0 > {self.folder}/environment"
        done = subprocess.run(
            ["sh", "-c", script],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment | environment,
            timeout=60,
        )
        assert done.returncode == 0, (text, done.stderr)
        kept = (self.folder / "environment").read_text().split("\0")
        exported = dict(line.split("=", 1) for line in kept if line.startswith("PRIVATE_INTEGRATIONS_"))
        self.environment |= exported
        return done

    def start(self, unit):
        """Start the unit as `systemctl start` does, with its Environment and ExecStart, here on a free port."""
        command = shlex.split(re.search(r"^ExecStart=(.*)$", self.here(unit), re.MULTILINE)[1])
        assert command[0] == "/opt/private-integrations/bin/private-integrations"
        program = [sys.executable, "-m", "private_integrations.cli", *command[1:], "--port", str(self.port)]
        plain = {name: value for name, value in self.environment.items() if not name.startswith("PRIVATE_INTEGR")}
        plain |= dict(re.findall(r"^Environment=([A-Z_]+)=(\S+)$", self.here(unit), re.MULTILINE))
        self.gateway = Popen(
            program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=plain, start_new_session=True
        )
        assert listening_address(self.gateway) == f"http://127.0.0.1:{self.port}"

    def stop(self):
        """What `systemctl stop` does; answers all that the service has said."""
        if self.gateway is None:
            return ""
        with ended(self.gateway) as process:
            process.terminate()
            said = process.stdout.read()
        self.gateway = None
        return said


@pytest.fixture
def platform(tmp_path):
    """The platform with the location that the team uses."""
    with running_service(tmp_path / "platform") as started:
        yield Platform(started.url, started.account, Client(ServiceConnection(started.url, started.key)))


@pytest.fixture
def certificate(tmp_path):
    """A certificate for localhost, which is its own authority, and its key."""
    made = tmp_path / "integrations.pem", tmp_path / "integrations.key"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 1"
    options += f" -addext subjectAltName=DNS:localhost -out {made[0]} -keyout {made[1]}"
    subprocess.run(["openssl", *options.split()], check=True, capture_output=True)
    return made


@pytest.fixture
def machine(tmp_path, platform, certificate):
    """A machine with the programs of this project, on which nothing was done yet."""
    port, tls_port = free_port(), free_port()
    trusted = str(certificate[0])
    made = Machine(
        folder=tmp_path,
        names={
            "https://services.leadconnectorhq.com": platform.url,
            "https://integrations.example.com": f"https://localhost:{tls_port}",
            "/etc/private-integrations": str(tmp_path / "etc"),
            "/var/lib/private-integrations": str(tmp_path / "data"),
            "/etc/ssl/integrations.pem": trusted,
            "/etc/ssl/private/integrations.key": str(certificate[1]),
            "listen 443 ssl": f"listen 127.0.0.1:{tls_port} ssl",
            "127.0.0.1:8750": f"127.0.0.1:{port}",
            LOCATION: platform.location,
        },
        environment=os.environ
        | {
            "PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "NODE_PATH": str(REPOSITORY / ".venv" / "javascript" / "node_modules"),
            "REQUESTS_CA_BUNDLE": trusted,
            "CURL_CA_BUNDLE": trusted,
            "SSL_CERT_FILE": trusted,
            "NODE_EXTRA_CA_CERTS": trusted,
        },
        port=port,
    )
    yield made
    made.stop()


@contextmanager
def nginx(machine, server):
    """A real nginx with the guide's server block."""
    folder = machine.folder / "nginx"
    folder.mkdir()
    temporary = "".join(f"{name}_temp_path {folder};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{machine.here(server)}}}\n"
    )
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    command = [program, "-c", configuration, "-p", folder, "-e", "stderr"]
    with ended(subprocess.Popen(command, stderr=subprocess.PIPE, text=True)) as process:
        while process.poll() is None:
            with socket.socket() as probe:
                address = re.search(r"listen ([\d.]+):(\d+) ssl", machine.here(server))
                if probe.connect_ex((address[1], int(address[2]))) == 0:
                    break
        assert process.poll() is None, process.stderr.read()
        yield process


def test_every_block_of_the_guide_is_a_step():
    """No command stands in the guide that the test doesn't run."""
    assert tuple(name for name, _ in blocks()) == STEPS
    assert GUIDE.read_text().count("\n```") == 2 * (len(STEPS) + 1)  # and the drawing


def test_every_reason_of_the_gateway_is_explained():
    """What fails how: each reason that speaks of the upstream, with its status, is in the guide's table."""
    known = [each for each in vars(refusals).values() if isinstance(each, PlatformError)]
    known.append(refusals.credential_refused(None))
    rows = {f"| `{each.reason}` | {each.status} |" for each in known if each.reason.startswith("upstream-")}
    assert len(rows) > 5
    assert [row for row in rows if row not in GUIDE.read_text()] == []


class From(HTTPAdapter):
    """Connections from one of this machine's addresses, as of a client of its own."""

    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *arguments, **options):
        """Bind to the address."""
        super().init_poolmanager(*arguments, source_address=(self.address, 0), **options)


def sign_in(url, address, trusted, number, forwarded=None):
    """Try to sign in from an address, as another person for each number, and return the status."""
    with requests.Session() as session:
        session.mount("https://", From(address))
        headers = {"Sec-Fetch-Site": "same-origin"} | ({"X-Forwarded-For": forwarded} if forwarded else {})
        form = {"email": f"nobody-{number}@example.com", "password": "wrong wrong wrong"}
        sent = session.post(f"{url}/settings/sign-in", form, headers=headers, verify=trusted, timeout=30)
    return sent.status_code, sent.headers


def test_each_client_behind_the_guides_nginx_has_a_throttle_of_its_own(tmp_path, machine, certificate):
    """The throttle slows down the client that tries passwords, even with a false header, and no other client."""
    texts = dict(blocks())
    trusted, url = str(certificate[0]), machine.names["https://integrations.example.com"]
    environment = dict(re.findall(r"^Environment=([A-Z_]+)=(\S+)$", machine.here(texts["unit"]), re.MULTILINE))
    with running_service(tmp_path / "data", **environment) as service:
        machine.names["127.0.0.1:8750"] = service.url.removeprefix("http://")
        with nginx(machine, texts["nginx"]):
            tries = (sign_in(url, "127.0.0.2", trusted, n, f"203.0.113.{n}")[0] for n in range(60))
            assert 429 in tries
            assert sign_in(url, "127.0.0.2", trusted, 60, "203.0.113.99")[0] == 429
            status, headers = sign_in(url, "127.0.0.3", trusted, 61)
            assert status not in (429, 500, 502)
            assert headers["Strict-Transport-Security"] == "max-age=31536000"


def test_the_guide(tmp_path, machine, platform):
    """From one pasted token to a gateway, step by step; and nobody's requests fail on the way."""
    steps = iter(blocks())

    def step(name):
        found, text = next(steps)
        assert found == name
        return text

    pasted = platform.token("Everything", "contacts.readonly", "contacts.write")
    assert asked(platform.url, platform.location, pasted).status_code == 200

    step("install")
    machine.run(step("run: sealing key"))
    unit = step("unit")
    assert step("systemctl: start") == "systemctl enable --now private-integrations\n"
    machine.start(unit)
    with nginx(machine, step("nginx")):
        listed = machine.run(step("run: account"))
        assert platform.location in listed.stdout

        gateways = platform.token("Gateway", "contacts.readonly", "contacts.write", "locations.readonly")
        set_credential = step("run: credential; stdin: the platform's token")
        told = machine.run(set_credential, stdin=gateways)
        assert "is stored; the upstream accepts it (200)" in told.stderr
        assert "accepted 200" in machine.run(step("run: look at it")).stdout

        machine.run(step("run: pipeline"))
        tokens = deployed(machine, step("program"))
        assert asked(platform.url, platform.location, tokens["nightly-export"]).status_code == 401
        consumers_change(machine, step, platform, tokens)

        watched = machine.run(step("run: watch"))
        assert re.search("web-form .*not used yet", watched.stdout)
        assert '{"status":"ok"}' in watched.stdout

        refused = reads(machine, tokens, by="web-form")
        assert (refused.status_code, refused.headers["X-PIT-Problem"]) == (401, "scope-missing")

        platform.client.delete(platform.made["Everything"][0])
        assert asked(platform.url, platform.location, pasted).status_code == 401
        assert reads(machine, tokens).status_code == 200

        rotated = platform.token("Gateway")
        machine.run(set_credential, stdin=rotated)
        platform.expire("Gateway")
        assert asked(platform.url, platform.location, gateways).status_code == 401
        assert reads(machine, tokens).status_code == 200

        machine.run(step("run: new sealing key"))
        assert step("systemctl: restart") == "systemctl restart private-integrations\n"
        said = machine.stop()
        machine.start(unit)
        assert "sealed 1 anew" in machine.run(step("run: seal anew")).stderr
        machine.run(step("run: drop the old sealing key"))
        assert step("systemctl: restart") == "systemctl restart private-integrations\n"
        said += machine.stop()
        machine.start(unit)
        assert "accepts it" in machine.run(step("run: nothing is lost")).stdout
        assert reads(machine, tokens).status_code == 200

        machine.run(f"private-integrations upstreams remove {LOCATION} --yes")
        refused = reads(machine, tokens)
        assert (refused.status_code, refused.headers["X-PIT-Problem"]) == (502, "upstream-credential-missing")
    said += machine.stop()
    on_disk = b"".join(file.read_bytes() for file in (tmp_path / "data").iterdir())
    for secret in (pasted, gateways, rotated, *tokens.values()):
        assert secret not in said
        assert secret.encode() not in on_disk


def consumers_change(machine, step, platform, tokens):
    """Step 7: by hand and with both clients, all that the guide changes being base URL and token."""
    contacts = len(asked(platform.url, platform.location, platform.token("Everything")).json()["contacts"])
    assert contacts > 0
    curl, python, javascript = step("run: curl"), step("python"), step("javascript")
    answer = machine.run(curl, CRM_TOKEN=tokens["nightly-export"])
    assert answer.stdout.count('"locationId"') >= contacts
    export = {"CRM_TOKEN": tokens["nightly-export"]}
    (machine.folder / "consumer.py").write_text(machine.here(python))
    assert machine.run(f"{sys.executable} consumer.py", **export).stdout == "200\n"
    (machine.folder / "consumer.js").write_text(machine.here(javascript))
    assert machine.run("node consumer.js", **export).stdout == f"{contacts}\n"


def deployed(machine, program):
    """Run the guide's program by the real engine, as the pipeline does; the tokens that it exports."""
    code = compile(machine.here(program), f"{GUIDE.name}, program", "exec")
    settings = {
        "PRIVATE_INTEGRATIONS_URL": machine.environment["PRIVATE_INTEGRATIONS_URL"],
        "PRIVATE_INTEGRATIONS_KEY": (machine.folder / "ci.key").read_text().strip(),
        "REQUESTS_CA_BUNDLE": machine.environment["REQUESTS_CA_BUNDLE"],
    }
    engine = machine.folder / "engine"
    stack = make_stack(
        engine, "crm", lambda: exec(code, {"__name__": "__main__"}), engine_environment(engine, settings)
    )
    return {name: output.value for name, output in stack.up().outputs.items()}


def reads(machine, tokens, by="nightly-export"):
    """A consumer's request through nginx and the gateway."""
    url = machine.here("https://integrations.example.com")
    return asked(url, machine.names[LOCATION], tokens[by], machine)


def asked(url, location, token, machine=None):
    """A request for the location's contacts."""
    return requests.get(
        f"{url}/contacts/",
        params={"locationId": location},
        headers={"Authorization": f"Bearer {token}", "Version": "2021-07-28"},
        verify=True if machine is None else machine.environment["REQUESTS_CA_BUNDLE"],
        timeout=10,
    )
