"""Measure our gateway against the usual alternatives, in one run and by turns.

Each contender stands in front of the same static nginx and knows the same thousand keys. It has one core; the load and
the upstream share another (programs.py). Prints ratios and figures as request_path.py does, and the time that each adds
to a request at 200 requests a second.

    python bench/peers.py [--rounds 6] [--seconds 2] [--save]

The alternatives are set up as their documentation says: nginx with the keys in its configuration; Envoy with
`api_key_auth` and `rbac` over keys in its configuration; nginx, Envoy and Caddy that ask our service about each
request. Caddy takes part if it is installed (Debian has it); Tyk, Kong and others that are in no registry don't.
"""

import argparse
import asyncio
import json
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import results
from load import VERSION, Contender, free_port, rounds
from programs import ASK, CONTACT, FORWARD, PROXY, Bench, pool, prepare, say
from report import COMPARISON, CONTENDER, Row, cells, contender_cells

ROWS = (
    Row("gateway ÷ Envoy `api_key_auth` + RBAC", "our gateway", "Envoy, keys in its configuration", "CPU", 0.9),
    Row("nginx `proxy_pass` ÷ gateway", "nginx, no check", "our gateway", "CPU"),
    Row("gateway ÷ nginx + `/authorize`", "our gateway", "nginx that asks us", "CPU"),
    Row("gateway ÷ Envoy + `/authorize`", "our gateway", "Envoy that asks us", "CPU"),
)
PER_SECOND, PROBE_SECONDS = 200, 3


def nginx_with_keys(bench: Bench, upstream: str) -> Contender:
    """Run nginx with the keys in a map."""
    lines = "".join(f'"{key}" 1;\n' for key in bench.credentials().read_text().splitlines())
    known = f"map_hash_bucket_size 128; map $http_authorization $is_known {{ default 0;\n{lines} }}\n"
    refusing = f"location / {{ if ($is_known = 0) {{ return 401; }} proxy_pass http://behind; {FORWARD} }}"
    return bench.nginx("nginx, keys in a map", refusing, known + pool("behind", upstream))


def envoy(bench: Bench, name: str, upstream: str, filters: list[object], clusters: Sequence[object] = ()) -> Contender:
    """Run Envoy with one worker and these filters in front of the upstream."""
    port = free_port()
    configuration = envoy_configuration(port, upstream, filters, clusters)
    file = Path(tempfile.mkdtemp(dir=bench.folder, prefix="envoy-")) / "envoy.yaml"
    file.write_text(json.dumps(configuration))
    program = str(Path(sys.executable).with_name("envoy"))
    command = [program, "-c", str(file), "--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]
    process = bench.start(name, command, port)
    return Contender(name, f"http://127.0.0.1:{port}{CONTACT}", bench.credentials(), (process,))


def envoy_configuration(
    port: int, upstream: str, filters: list[object], clusters: Sequence[object] = ()
) -> dict[str, object]:
    """Return the configuration of Envoy with a listener at the port."""
    everything = {"match": {"prefix": "/"}, "route": {"cluster": "behind"}}
    manager = {
        "@type": _type("network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "consumers",
        "http_filters": [*filters, {"name": "router", "typed_config": {"@type": _type("http.router.v3.Router")}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [everything]}]},
    }
    listener = {
        "name": "consumers",
        "address": _address(f"127.0.0.1:{port}"),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster("behind", upstream), *clusters]}}


def cluster(name: str, address: str) -> dict[str, object]:
    """Return a cluster of Envoy with one address."""
    endpoint = {"endpoint": {"address": _address(address)}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "type": "STATIC", "connect_timeout": "2s", "load_assignment": assignment}


def key_filters(keys: Sequence[str]) -> list[object]:
    """Return the filters of Envoy that know these keys, and let their clients read contacts."""
    credentials = [{"key": key, "client": f"client-{number}"} for number, key in enumerate(keys)]
    authentication = {
        "@type": _type("http.api_key_auth.v3.ApiKeyAuth"),
        "credentials": credentials,
        "key_sources": [{"header": "Authorization"}],
        "forwarding": {"header": "x-client", "hide_credentials": True},
    }
    reads = {
        "and_rules": {
            "rules": [
                {"header": {"name": ":method", "string_match": {"exact": "GET"}}},
                {"url_path": {"path": {"prefix": "/contacts/"}}},
            ]
        }
    }
    rules = {
        "@type": _type("http.rbac.v3.RBAC"),
        "rules": {
            "action": "ALLOW",
            "policies": {
                "contacts.readonly": {
                    "permissions": [reads],
                    "principals": [{"header": {"name": "x-client", "present_match": True}}],
                }
            },
        },
    }
    return [{"name": "api_key_auth", "typed_config": authentication}, {"name": "rbac", "typed_config": rules}]


def asking_filter(address: str) -> tuple[list[object], list[object]]:
    """Return the filter of Envoy that asks our service at this address, and its cluster."""
    service = {
        "path_prefix": "/private-integrations/v1/authorize/envoy",
        "server_uri": {"uri": f"http://{address}", "cluster": "authorizer", "timeout": "10s"},
    }
    asking = {
        "@type": _type("http.ext_authz.v3.ExtAuthz"),
        "transport_api_version": "V3",
        "http_service": service,
        "allowed_headers": {"patterns": [{"exact": "version"}]},
    }
    return [{"name": "ext_authz", "typed_config": asking}], [cluster("authorizer", address)]


def _type(name: str) -> str:
    return f"type.googleapis.com/envoy.extensions.filters.{name}"


def _address(address: str) -> dict[str, object]:
    host, _, port = address.partition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def caddy(bench: Bench, upstream: str, address: str) -> Contender:
    """Run Caddy that asks our service, as its documentation of forward_auth says."""
    port, folder = free_port(), Path(tempfile.mkdtemp(dir=bench.folder, prefix="caddy-"))
    (folder / "Caddyfile").write_text(
        f"{{\n admin off\n auto_https off\n}}\nhttp://127.0.0.1:{port} {{\n"
        f" forward_auth {address} {{\n  uri /private-integrations/v1/authorize/traefik\n }}\n"
        f" reverse_proxy {upstream}\n}}\n"
    )
    command = ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    process = bench.start("caddy", command, port, GOMAXPROCS="1")
    return Contender("Caddy that asks us", f"http://127.0.0.1:{port}{CONTACT}", bench.credentials(), (process,))


def contenders(bench: Bench) -> list[Contender]:
    """Start every contender."""
    upstream = bench.upstream()
    process, address = bench.serve("authorizer", bench.few())
    keys = [line.removeprefix("Bearer ") for line in bench.credentials().read_text().splitlines()]
    asking, authorizer = asking_filter(address)
    nginx = bench.nginx("nginx that asks us", ASK, pool("behind", upstream) + pool("authorizer", address))
    ext_authz = envoy(bench, "Envoy that asks us", upstream, asking, authorizer)
    started = [
        bench.nginx("nginx, no check", PROXY, pool("behind", upstream)),
        nginx_with_keys(bench, upstream),
        envoy(bench, "Envoy, keys in its configuration", upstream, key_filters(keys)),
        bench.gateway("our gateway", upstream, bench.few()),
        _with(nginx, process),
        _with(ext_authz, process),
    ]
    if shutil.which("caddy"):
        started.append(_with(caddy(bench, upstream, address), process))
    else:
        say("caddy is not installed, and does not take part")
    return started


def _with(contender: Contender, asked: object) -> Contender:
    """Count the time of the service that a contender asks as its own."""
    return Contender(contender.name, contender.url, contender.credentials, (*contender.processes, asked))  # type: ignore[arg-type]


async def latencies(contender: Contender) -> list[float]:
    """Return the seconds of each request at a steady rate, sent when it is due whether or not others are answered."""
    parts = urlsplit(contender.url)
    credentials = contender.credentials.read_text().splitlines()
    loop = asyncio.get_running_loop()
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    begun, taken = loop.time() + 0.1, []

    async def ask(number: int) -> None:
        due = begun + number / PER_SECOND
        await asyncio.sleep(due - loop.time())
        reader, writer = idle.pop() if idle else await asyncio.open_connection(parts.hostname, parts.port)
        sent = loop.time()
        head = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nVersion: {VERSION}\r\n"
        writer.write(f"{head}Authorization: {credentials[number % len(credentials)]}\r\n\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            sys.exit(f"peers: error: {contender.name} answers {answer.splitlines()[0]!r}")
        await _body(reader, answer)
        taken.append(loop.time() - sent)
        idle.append((reader, writer))

    await asyncio.gather(*(ask(number) for number in range(PER_SECOND * PROBE_SECONDS)))
    for _, writer in idle:
        writer.close()
    return taken


async def _body(reader: asyncio.StreamReader, head: bytes) -> None:
    lines = dict(line.lower().split(b": ", 1) for line in head.splitlines()[1:] if b": " in line)
    if b"content-length" in lines:
        await reader.readexactly(int(lines[b"content-length"]))
    else:
        while size := int((await reader.readline()).strip(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()


def added(contenders: Sequence[Contender]) -> list[list[str]]:
    """Return what each contender adds to a request of the first one, in microseconds: p50 and p99."""
    rows, base = [], (0.0, 0.0)
    for contender in contenders:
        taken = asyncio.run(latencies(contender))
        p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
        base = base if rows else (p50, p99)
        rows.append([contender.name, f"{(p50 - base[0]) * 1e6:,.0f}", f"{(p99 - base[1]) * 1e6:,.0f}"])
    return rows[1:]


def main() -> None:
    """Run the comparison, and print its tables."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    arguments.add_argument("--rounds", type=int, default=6)
    arguments.add_argument("--seconds", type=int, default=2, help="of every turn")
    results.add_option(arguments)
    options = arguments.parse_args()
    # As for Ctrl-C: end the started programs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    prepare()
    with tempfile.TemporaryDirectory(prefix="peers-") as folder, ExitStack() as stack:
        running_now = contenders(Bench(Path(folder), stack))
        say(f"{len(running_now)} contenders, {options.rounds} rounds")
        samples = rounds(running_now, options.rounds, options.seconds)
        slower = added(running_now)
    tables: dict[str, results.Table] = {
        "comparisons": (COMPARISON, [cells(row, samples) for row in ROWS]),
        "contenders": (CONTENDER, [contender_cells(name, found) for name, found in samples.items()]),
        "added": (("at 200 requests a second", "p50 added, µs", "p99 added, µs"), slower),
    }
    results.show("peers", tables, options.save)


if __name__ == "__main__":
    main()
