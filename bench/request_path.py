"""Measure the cost of the request path, against the same without it and against common alternatives.

Every comparison runs in rounds in which the contenders take turns under the same load (wrk, 32 connections
kept open, a thousand tokens and never one of them twice in a row). The contender has one core; wrk and the upstream
share another. A row of the table is the ratio of two contenders, in CPU seconds per request or in requests per
second, as the median of the rounds with the smallest and the largest. The second table has the figures of each
contender: "busy" is the share of its core that it used; far below 1, it waited for another program.

    python bench/request_path.py                    # everything, about five minutes
    python bench/request_path.py --only endpoint    # one of: see --help

Linux with two cores; wrk, nginx and taskset as Debian has them. The alternatives get a venv of their own,
.venv/bench, from bench/requirements.txt. Listens on loopback only, and ends all that it starts.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import lookups
import psutil
from load import CLIENT_CORE, SERVER_CORE, Contender, Sample, find, free_port, missing_tools, rounds, running
from stock import ACCOUNT, stock, write_credentials

HERE = Path(__file__).resolve().parent
COMPARED = HERE / "compared"
VENV = HERE.parent / ".venv" / "bench"
REQUIREMENTS = HERE / "requirements.txt"

CLI = (sys.executable, "-m", "private_integrations.cli")
CONTACT = "/contacts/sx6wyHhbFdRXh302LunR"
FEW, MANY = 1_000, 1_000_000
IN_USE = 1_000  # tokens that take part, of all that exist
SATURATED = 0.9  # from this share of its core on, a contender was at its limit
UNCACHED = 50_000  # enough that the pages of the database they are on don't stay close


@dataclass(frozen=True)
class Row:
    """Define a line of the table: the ratio of contender `of` to `to`, and its upper or lower limit."""

    label: str
    of: str
    to: str
    measure: Literal["CPU", "throughput"]
    target: float | None = None

    def ratios(self, samples: Mapping[str, Sequence[Sample]]) -> list[float]:
        """Return the ratio of each round."""
        field = "cpu" if self.measure == "CPU" else "throughput"
        pairs = zip(samples[self.of], samples[self.to], strict=True)
        return [getattr(ours, field) / getattr(theirs, field) for ours, theirs in pairs]


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

    def envoy(self, name: str, upstream: str) -> Contender:
        """Run Envoy with one thread; it has all keys in its configuration, and lets each read the contacts."""
        port, folder = free_port(), Path(tempfile.mkdtemp(dir=self.folder, prefix="envoy-"))
        credentials = self.credentials()
        keys = [line.removeprefix("Bearer ") for line in credentials.read_text().splitlines()]
        host, _, at = upstream.partition(":")
        text = (COMPARED / "envoy.json").read_text()
        made = [{"key": key, "client": f"client-{number}"} for number, key in enumerate(keys)]
        for word, value in {"port": str(port), "host": host, "at": at, "keys": json.dumps(made)}.items():
            text = text.replace(f'"@{word}@"', f'"{value}"' if word == "host" else value)
        (folder / "envoy.json").write_text(text)
        command = [str(Path(sys.executable).with_name("envoy")), "-c", str(folder / "envoy.json")]
        command += ["--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]
        process = self.start(name, command, port)
        return Contender(name, f"http://127.0.0.1:{port}{CONTACT}", credentials, (process,))

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


def endpoint(bench: Bench) -> list[Contender]:
    return [
        bench.ours("open", "trivial", bench.few(), "--open"),
        bench.ours("authorized", "trivial", bench.few()),
        bench.uvicorn("uvicorn + Starlette", "starlette_app:app"),
        bench.drf("DRF API key"),
    ]


def sandbox(bench: Bench) -> list[Contender]:
    return [
        bench.ours("open sandbox", "sandbox", bench.few(), "--open"),
        bench.ours("authorized sandbox", "sandbox", bench.few()),
    ]


def gateway(bench: Bench) -> list[Contender]:
    upstream, data = bench.upstream(), bench.few()
    new_key = subprocess.run([*CLI, "upstreams", "new-key"], capture_output=True, text=True, check=True).stdout
    sealing = {"PRIVATE_INTEGRATIONS_SEALING_KEYS": new_key.strip()}
    process, address = bench.serve("gateway", data, "--upstream", f"http://{upstream}", **sealing)
    give_credential(data, address)
    return [
        bench.nginx("nginx", PROXY, pool("behind", upstream)),
        Contender("gateway", f"http://{address}{CONTACT}", bench.credentials(), (process,)),
        bench.envoy("Envoy", upstream),
        bench.uvicorn("FastAPI + httpx", "httpx_proxy:app", UPSTREAM=f"http://{upstream}"),
    ]


def give_credential(data: Path, address: str) -> None:
    """Store the gateway's upstream credential, as an operator does."""
    key = (data / "admin.key").read_text().strip()
    environment = os.environ | {"PRIVATE_INTEGRATIONS_URL": f"http://{address}", "PRIVATE_INTEGRATIONS_KEY": key}
    command = [*CLI, "upstreams", "set", ACCOUNT]
    subprocess.run(command, input="pit-of-the-upstream\n", text=True, env=environment, check=True, capture_output=True)


def auth_request(bench: Bench) -> list[Contender]:
    upstream = bench.upstream()
    process, address = bench.serve("authorizer", bench.few())
    asking = bench.nginx("nginx + authorize", ASK, pool("behind", upstream) + pool("authorizer", address))
    # Allows every request in the authorizer's place, to show the cost of asking the fastest possible one.
    yes = bench.nginx("static yes", STATIC)
    yes_address = yes.url.removeprefix("http://").removesuffix(CONTACT)
    asking_yes = bench.nginx("nginx + a static yes", ASK, pool("behind", upstream) + pool("authorizer", yes_address))
    return [
        bench.nginx("nginx", PROXY, pool("behind", upstream)),
        Contender(asking_yes.name, asking_yes.url, asking_yes.credentials, (*asking_yes.processes, *yes.processes)),
        Contender(asking.name, asking.url, asking.credentials, (*asking.processes, process)),
        Contender("nginx that asks", asking.url, asking.credentials, asking.processes),
    ]


def cached(bench: Bench) -> list[Contender]:
    return [
        bench.ours("1,000 tokens", "trivial", bench.stocked(FEW)),
        bench.ours("1,000,000 tokens", "trivial", bench.million, credentials=bench.credentials(IN_USE, MANY)),
    ]


def uncached(bench: Bench) -> list[Contender]:
    off, spread = ("--cached-grants", "0"), bench.credentials(UNCACHED, MANY)
    return [
        bench.ours("1,000 tokens, uncached", "trivial", bench.stocked(FEW), *off),
        bench.ours("1,000,000 tokens, uncached", "trivial", bench.million, *off, credentials=spread),
    ]


HEATS: dict[str, tuple[Callable[[Bench], list[Contender]], tuple[Row, ...]]] = {
    "endpoint": (
        endpoint,
        (
            Row("authorized ÷ without authorization", "authorized", "open", "CPU", 1.15),
            Row("authorized ÷ uvicorn + Starlette, bare", "authorized", "uvicorn + Starlette", "throughput", 1.0),
            Row("authorized ÷ djangorestframework-api-key", "authorized", "DRF API key", "throughput", 16),
        ),
    ),
    "sandbox": (
        sandbox,
        (Row("authorized ÷ without, a read of the sandbox", "authorized sandbox", "open sandbox", "CPU", 1.15),),
    ),
    "gateway": (
        gateway,
        (
            Row("gateway ÷ nginx `proxy_pass`", "gateway", "nginx", "throughput", 0.25),
            Row("nginx `proxy_pass` ÷ gateway", "nginx", "gateway", "CPU"),
            Row("gateway ÷ Envoy, api_key_auth + RBAC", "gateway", "Envoy", "CPU", 0.9),
            Row("gateway ÷ FastAPI + httpx", "gateway", "FastAPI + httpx", "throughput", 20),
        ),
    ),
    "auth-request": (
        auth_request,
        (
            Row("nginx + `/authorize` ÷ nginx, on one core", "nginx + authorize", "nginx", "throughput", 0.6),
            Row("nginx ÷ nginx + `/authorize`, both programs", "nginx", "nginx + authorize", "CPU"),
            Row("nginx ÷ nginx + `/authorize`, nginx's own time", "nginx", "nginx that asks", "CPU"),
            Row("nginx ÷ nginx + a static yes, both programs", "nginx", "nginx + a static yes", "CPU"),
        ),
    ),
    "tokens": (
        cached,
        (Row("1,000,000 tokens ÷ 1,000, a request", "1,000,000 tokens", "1,000 tokens", "CPU", 1.05),),
    ),
    "uncached": (
        uncached,
        (
            Row(
                "1,000,000 tokens ÷ 1,000, a request that reads the database",
                "1,000,000 tokens, uncached",
                "1,000 tokens, uncached",
                "CPU",
                1.05,
            ),
        ),
    ),
}


def line(row: Row, samples: Mapping[str, Sequence[Sample]]) -> str:
    """Format a line of the first table."""
    ratios = row.ratios(samples)
    ratio = statistics.median(ratios)
    cells = [row.label, row.measure, f"{ratio:.2f}", f"{min(ratios):.2f}", f"{max(ratios):.2f}"]
    if row.target is None:
        cells += ["", ""]
    elif row.measure == "CPU":
        cells += [f"≤ {row.target:g}", "met" if ratio <= row.target else "missed"]
    else:
        cells += [f"≥ {row.target:g}", "met" if ratio >= row.target else "missed"]
        # A contender that waits for the load or the upstream was not at its limit.
        waited = [name for name in (row.of, row.to) if median(samples[name], "busy") < SATURATED]
        if waited:
            cells[-1] = f"void: {' and '.join(waited)} waited for others"
    return f"| {' | '.join(cells)} |"


def median(samples: Sequence[Sample], field: str) -> float:
    return statistics.median(getattr(sample, field) for sample in samples)


def contender_line(name: str, samples: Sequence[Sample]) -> str:
    """Format a line of the second table."""
    throughput, cpu, busy = (median(samples, field) for field in ("throughput", "cpu", "busy"))
    return f"| {name} | {throughput:,.0f} | {cpu * 1e6:.1f} | {busy:.2f} |"


def main() -> None:
    """Run the chosen comparisons, and print both tables."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    arguments.add_argument("--only", choices=(*HEATS, *lookups.MEASURES), action="append", default=[])
    arguments.add_argument("--rounds", type=int, default=12)
    arguments.add_argument("--seconds", type=int, default=1, help="of every turn")
    options = arguments.parse_args()
    # As for Ctrl-C: end the started programs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    prepare()
    wanted = options.only or [*HEATS, *lookups.MEASURES]
    rows, contenders = [], []
    with tempfile.TemporaryDirectory(prefix="request-path-") as folder:
        for name in wanted:
            if name not in HEATS:
                continue
            say(f"{name}: {options.rounds} rounds")
            make, of = HEATS[name]
            with ExitStack() as stack:
                running_now = make(Bench(Path(folder), stack))
                samples = rounds(running_now, options.rounds, options.seconds)
            rows += [line(row, samples) for row in of]
            contenders += [contender_line(each, found) for each, found in samples.items()]
        if rows:
            print("| comparison | of | ratio | min | max | target | |\n|---|---|---|---|---|---|---|", *rows, sep="\n")
            print("\n| | requests/s | CPU µs per request | busy |\n|---|---|---|---|", *contenders, sep="\n")
        for name in wanted:
            if name in lookups.MEASURES:
                print()
                command = [sys.executable, str(HERE / "lookups.py"), name, folder]
                subprocess.run(["taskset", "--cpu-list", str(SERVER_CORE), *command], check=True)


def prepare() -> None:
    """Report missing programs, and make the venv of the alternatives."""
    if (os.cpu_count() or 1) < 2 or not sys.platform.startswith("linux"):
        sys.exit("request_path: error: this takes Linux and two cores")
    missing = missing_tools()
    if missing:
        sys.exit(f"request_path: error: missing: install Debian's {' '.join(missing)}")
    installed = VENV / "installed"
    if not installed.exists() or installed.read_text() != REQUIREMENTS.read_text():
        say("making .venv/bench")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
        pip = [str(VENV / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--requirement", str(REQUIREMENTS)], check=True)
        installed.write_text(REQUIREMENTS.read_text())


def say(text: str) -> None:
    print(f"request_path: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
