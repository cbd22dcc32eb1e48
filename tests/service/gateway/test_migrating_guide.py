"""docs/migrating-from-api-keys.md is true: its steps are gone, with a real nginx, the real engine and the real service.

API v1 is a server of ours that answers anything; the platform behind API v2 is the sandbox.
"""

import io
import os
import re
import shlex
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from engines import storage_independent
from private_integrations.cli import run
from throwaway import REPOSITORY, engine_environment, make_stack

GUIDE = (REPOSITORY / "docs" / "migrating-from-api-keys.md").read_text()
BLOCKS = re.findall(r"<!-- ([^>]+) -->\n```\w+\n(.*?)(?=```)", GUIDE, re.DOTALL)
STEPS = ("nginx", "transcript: suggest", "transcript: look up", "program", "run: contacts", "run: verify")
LOCATION = "ve9EPM428h8vShlRW1KT"

# What the program of the guide asks for.
CALLS = (
    ("GET", "/v1/contacts/?limit=100"),
    ("GET", "/v1/contacts/?limit=100&startAfterId=ocQHyuzHvysMo5N5VsXc"),
    ("GET", "/v1/contacts/lookup?email=ada@example.com"),
    ("POST", "/v1/contacts/ocQHyuzHvysMo5N5VsXc/notes"),
    ("GET", "/v1/custom-fields/"),
    ("POST", "/v1/appointments/"),
)


class Anything(BaseHTTPRequestHandler):
    """API v1, which answers with an empty object."""

    def do_GET(self):
        """Answer."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def old_api():
    """The address of API v1."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Anything) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def recording(folder, configuration):
    """A real nginx with the guide's configuration; answers its port. When it has ended, the log is complete."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    configuration = configuration.replace("listen 127.0.0.1:8080", f"listen 127.0.0.1:{port}")
    temporary = "".join(f"{name}_temp_path {folder};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}}\nhttp {{ {temporary}\n{configuration}}}\n"
    )
    command = ["/usr/sbin/nginx", "-c", folder / "nginx.conf", "-p", folder, "-e", "stderr"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            while process.poll() is None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
            assert process.poll() is None, process.stderr.read()
            yield port
        finally:
            process.terminate()


def printed(command):
    """What a command of this project prints, with nothing to connect to."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        assert run(shlex.split(command)[1:]) == 0
    return said.getvalue()


def test_every_block_of_the_guide_is_a_step():
    """No command stands in the guide that the tests don't run."""
    assert tuple(name for name, _ in BLOCKS) == STEPS
    assert GUIDE.count("\n```") == 2 * len(STEPS)


def test_recording_and_proposing(tmp_path, old_api):
    """What nginx has recorded of a program leads to the guide's proposal, and the rest can be looked up."""
    log = tmp_path / "calls.log"
    blocks = dict(BLOCKS)
    configuration = blocks["nginx"]
    for here, there in (
        ("proxy_pass https://rest.gohighlevel.com", f"proxy_pass {old_api}"),
        ("/var/log/nginx/calls.log", str(log)),
    ):
        assert here in configuration
        configuration = configuration.replace(here, there)
    with recording(tmp_path, configuration) as port:
        for method, target in CALLS:
            answer = requests.request(
                method, f"http://127.0.0.1:{port}{target}", headers={"Authorization": "Bearer old-key"}, timeout=10
            )
            assert answer.status_code == 200
    recorded = log.read_text()
    assert recorded.count("\n") == len(CALLS)
    assert not re.search("old-key|ada@|limit", recorded)
    for name in ("transcript: suggest", "transcript: look up"):
        command, _, shown = blocks[name].removeprefix("$ ").partition("\n")
        assert printed(command.replace("/var/log/nginx/calls.log", str(log))) == shown


@storage_independent
def test_declaring_and_moving(tmp_path, service):
    """The program makes the integration; its token reads the contacts through v2, and nothing that wasn't declared."""
    blocks = dict(BLOCKS)
    code = compile(blocks["program"].replace(LOCATION, service.account), "the guide's program", "exec")
    settings = {"PRIVATE_INTEGRATIONS_URL": service.url, "PRIVATE_INTEGRATIONS_KEY": service.key}
    engine = tmp_path / "engine"
    stack = make_stack(
        engine, "migration", lambda: exec(code, {"__name__": "__main__"}), engine_environment(engine, settings)
    )
    token = stack.up().outputs["bookings"].value
    environment = (
        os.environ
        | settings
        | {
            "PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}",
            "CRM_TOKEN": token,
        }
    )

    def typed(text):
        text = text.replace("https://integrations.example.com", service.url).replace(LOCATION, service.account)
        done = subprocess.run(
            ["sh", "-euc", text], capture_output=True, text=True, env=environment, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert f'"locationId":"{service.account}"' in typed(blocks["run: contacts"])
    assert "bookings" in typed(blocks["run: verify"])
    refused = requests.get(
        f"{service.url}/forms/?locationId={service.account}",
        headers={"Authorization": f"Bearer {token}", "Version": "2021-07-28"},
        timeout=10,
    )
    assert refused.headers["X-PIT-Problem"] == "scope-missing"
    stack.destroy()
