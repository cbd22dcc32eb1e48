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
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import lookups
import results
from load import SERVER_CORE, Contender, rounds
from programs import ASK, CONTACT, FEW, HERE, IN_USE, MANY, PROXY, STATIC, Bench, pool, prepare, say
from report import COMPARISON, CONTENDER, Row, cells, contender_cells

from private_integrations.contract import API

UNCACHED = 50_000  # enough that the pages of the database they are on don't stay close


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
    upstream = bench.upstream()
    return [
        bench.nginx("nginx", PROXY, pool("behind", upstream)),
        bench.gateway("gateway", upstream, bench.few()),
        bench.uvicorn("FastAPI + httpx", "httpx_proxy:app", UPSTREAM=f"http://{upstream}"),
    ]


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


def introspection(bench: Bench) -> list[Contender]:
    data = bench.few()
    process, address = bench.serve("introspect", data)
    key, url = (data / "admin.key").read_text().strip(), f"http://{address}{API}/introspect"
    return [
        bench.ours("authorized", "trivial", bench.few()),
        Contender("introspect", url, bench.credentials(), (process,), introspector=key),
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
    "introspection": (
        introspection,
        (Row("introspection ÷ an authorized request", "introspect", "authorized", "CPU"),),
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


def main() -> None:
    """Run the chosen comparisons, and print both tables."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    arguments.add_argument("--only", choices=(*HEATS, *lookups.MEASURES), action="append", default=[])
    arguments.add_argument("--rounds", type=int, default=12)
    arguments.add_argument("--seconds", type=int, default=1, help="of every turn")
    results.add_option(arguments)
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
            rows += [cells(row, samples) for row in of]
            contenders += [contender_cells(each, found) for each, found in samples.items()]
        if rows:
            results.show(
                "request-path", {"comparisons": (COMPARISON, rows), "contenders": (CONTENDER, contenders)}, options.save
            )
        for name in wanted:
            if name in lookups.MEASURES:
                print()
                command = [sys.executable, str(HERE / "lookups.py"), name, folder]
                subprocess.run(["taskset", "--cpu-list", str(SERVER_CORE), *command], check=True)


if __name__ == "__main__":
    main()
