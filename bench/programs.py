"""Start the programs that a bench compares, each on its core, and end them."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
from load import CLIENT_CORE, SERVER_CORE, Contender, find, free_port, missing_tools, running
from stock import ACCOUNT, stock, write_credentials

HERE = Path(__file__).resolve().parent
COMPARED = HERE / "compared"
VENV = HERE.parent / ".venv" / "bench"
REQUIREMENTS = HERE / "requirements.txt"

CLI = (sys.executable, "-m", "private_integrations.cli")
CONTACT = "/contacts/sx6wyHhbFdRXh302LunR"
FEW, MANY = 1_000, 1_000_000
IN_USE = 1_000  # tokens that take part, of all that exist


@dataclass(frozen=True)
class Bench:
    """Start the programs of a comparison, and end them with `stack`."""

    folder: Path
    stack: ExitStack

    def stocked(self, count: int) -> Path:
        """Make a data folder with so many tokens, for one server."""
        folder = Path(tempfile.mkdtemp(dir=self.folder, prefix="data-"))
        stock(folder, count)
        return folder

    def few(self) -> Path:
        return self.stocked(FEW)

    @property
    def million(self) -> Path:
        """Return the data folder with a million tokens, made once for all comparisons, which run one at a time."""
        folder = self.folder / "million"
        if not folder.exists():
            say("making a million tokens")
            stock(folder, MANY)
        return folder

    def credentials(self, count: int = IN_USE, among: int = IN_USE) -> Path:
        """Write the credentials of so many tokens, spread over all of them."""
        return write_credentials(self.folder / f"tokens-{count}-{among}", range(1, among + 1, among // count))

    def start(
        self, name: str, command: Sequence[str], port: int, *, core: int = SERVER_CORE, **more: str
    ) -> psutil.Process:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(COMPARED), **more}
        log = self.folder / f"{name.replace(' ', '-').replace('/', '-')}.log"
        return self.stack.enter_context(running(command, port, log, core=core, environment=environment))

    def ours(self, name: str, endpoint: str, data: Path, *more: str, credentials: Path | None = None) -> Contender:
        """Run one of our endpoints on our server; see compared/ours.py."""
        port = free_port()
        command = [sys.executable, str(COMPARED / "ours.py"), endpoint, str(port), str(data), *more]
        process = self.start(name, command, port)
        path = CONTACT if endpoint == "trivial" else f"/locations/{ACCOUNT}"
        return Contender(name, f"http://127.0.0.1:{port}{path}", credentials or self.credentials(), (process,))

    def uvicorn(self, name: str, app: str, **more: str) -> Contender:
        """Run an application on uvicorn with its fastest parts, from its own venv."""
        port = free_port()
        command = [str(VENV / "bin" / "uvicorn"), app, "--port", str(port), "--no-access-log"]
        process = self.start(name, [*command, "--loop", "uvloop", "--http", "httptools"], port, **more)
        return Contender(name, f"http://127.0.0.1:{port}{CONTACT}", self.credentials(), (process,))

    def drf(self, name: str) -> Contender:
        """Run Django REST framework with djangorestframework-api-key, on gunicorn with threads and kept connections."""
        port, credentials = free_port(), self.folder / "api-keys"
        database = str(self.folder / "drf.sqlite3")
        environment = {"PATH": os.environ["PATH"], "DRF_DATABASE": database}
        command = [str(VENV / "bin" / "python"), str(COMPARED / "drf_app.py"), str(credentials), str(IN_USE)]
        subprocess.run(command, check=True, env=environment)
        command = [str(VENV / "bin" / "gunicorn"), "drf_app:application", "--bind", f"127.0.0.1:{port}"]
        command += ["--worker-class", "gthread", "--threads", "4", "--keep-alive", "60", "--log-level", "error"]
        process = self.start(name, command, port, DRF_DATABASE=database)
        return Contender(name, f"http://127.0.0.1:{port}{CONTACT}", credentials, (process,))

    def nginx(self, name: str, server: str, http: str = "", *, core: int = SERVER_CORE) -> Contender:
        """Run nginx with one worker; `server` and `http` are the contents of these blocks."""
        port, folder = free_port(), Path(tempfile.mkdtemp(dir=self.folder, prefix="nginx-"))
        text = (COMPARED / "nginx.conf").read_text()
        for word, value in {"folder": str(folder), "port": str(port), "http": http, "server": server}.items():
            text = text.replace(f"@{word}@", value)
        (folder / "nginx.conf").write_text(text)
        command = [find("nginx") or "nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        process = self.start(name, command, port, core=core)
        return Contender(name, f"http://127.0.0.1:{port}{CONTACT}", self.credentials(), (process,))

    def upstream(self) -> str:
        """Run an upstream with a static answer, for every proxy; return its address."""
        static = self.nginx("upstream", STATIC, core=CLIENT_CORE)
        return static.url.removeprefix("http://").removesuffix(CONTACT)

    def serve(self, name: str, data: Path, *options: str, **environment: str) -> tuple[psutil.Process, str]:
        """Run `private-integrations serve` as you would; return its process and address."""
        port = free_port()
        command = [*CLI, "serve", "--data-dir", str(data), "--port", str(port), *options]
        process = self.start(name, command, port, **environment)
        return process, f"127.0.0.1:{port}"

    def gateway(self, name: str, upstream: str, data: Path, *options: str) -> Contender:
        """Run our gateway in front of an upstream; its tokens are those of the data folder."""
        new_key = subprocess.run([*CLI, "upstreams", "new-key"], capture_output=True, text=True, check=True).stdout
        sealing = {"PRIVATE_INTEGRATIONS_SEALING_KEYS": new_key.strip()}
        process, address = self.serve(name, data, "--upstream", f"http://{upstream}", *options, **sealing)
        give_credential(data, address)
        return Contender(name, f"http://{address}{CONTACT}", self.credentials(), (process,))


STATIC = 'location / { default_type application/json; return 200 \'{"contact":{"id":"sx6wyHhbFdRXh302LunR"}}\'; }'
POOL = "upstream @name@ { server @address@; keepalive 64; keepalive_requests 1000000000; }\n"
FORWARD = 'proxy_http_version 1.1; proxy_set_header Connection "";'
PROXY = f"location / {{ proxy_pass http://behind; {FORWARD} }}\n"
ASK = f"""
location / {{ auth_request /authorize; proxy_pass http://behind; {FORWARD} proxy_set_header Authorization upstream; }}
location = /authorize {{
    internal;
    proxy_pass http://authorizer/private-integrations/v1/authorize/nginx;
    {FORWARD}
    proxy_pass_request_body off;
    proxy_set_header Content-Length "";
    proxy_set_header X-Original-Method $request_method;
    proxy_set_header X-Original-URI $request_uri;
}}
"""


def pool(name: str, address: str) -> str:
    return POOL.replace("@name@", name).replace("@address@", address)


def give_credential(data: Path, address: str) -> None:
    """Store the gateway's upstream credential, as an operator does."""
    key = (data / "admin.key").read_text().strip()
    environment = os.environ | {"PRIVATE_INTEGRATIONS_URL": f"http://{address}", "PRIVATE_INTEGRATIONS_KEY": key}
    command = [*CLI, "upstreams", "set", ACCOUNT]
    subprocess.run(command, input="pit-of-the-upstream\n", text=True, env=environment, check=True, capture_output=True)


def prepare() -> None:
    """Report missing programs, and make the venv of the alternatives."""
    if (os.cpu_count() or 1) < 2 or not sys.platform.startswith("linux"):
        sys.exit("bench: error: this takes Linux and two cores")
    missing = missing_tools()
    if missing:
        sys.exit(f"bench: error: missing: install Debian's {' '.join(missing)}")
    installed = VENV / "installed"
    if not installed.exists() or installed.read_text() != REQUIREMENTS.read_text():
        say("making .venv/bench")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        pip = [str(VENV / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--requirement", str(REQUIREMENTS)], check=True)
        installed.write_text(REQUIREMENTS.read_text())


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
