"""Measure how much a storm of bad requests slows down good ones: their latency with and without it, side by side.

Run it as `python bench/storms.py [--only NAME] [--seconds 1] [--rounds 5]`. For each storm one service; well-behaved
clients of steady pace; and beside them, in every other second, the flood of another process. The figure of a
storm is the 99th percentile of good requests during it over the 99th percentile without it, in one run; the target is
2. `consumers` are slow requests of another account that go through a gateway.
"""

import argparse
import asyncio
import multiprocessing
import secrets
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from private_integrations.contract import new_sealing_key
from throwaway import Service, running_service

API = "/private-integrations/v1"
PACE = 0.005
TARGET = 2.0
CONNECTIONS = 64


@dataclass(frozen=True)
class Good:
    """Describe a request of a well-behaved client, with its token or with its management key."""

    name: str
    request: bytes


@dataclass(frozen=True)
class Storm:
    """Describe a flood over many connections, as fast as it is answered; `drip` is the seconds between two bytes."""

    name: str
    make: Callable[[Service], bytes]
    connections: int = CONNECTIONS
    drip: float = 0.0


def get(path: str, *headers: str) -> bytes:
    """Return the bytes of one request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def unknown_token(service: Service) -> bytes:
    """Return a request with a token that was never issued."""
    return get(f"/locations/{service.account}", f"Authorization: Bearer pit-{uuid.uuid4()}", "Version: v3")


def unknown_key(_: Service) -> bytes:
    """Return a request with a management key that was never made."""
    return get(f"{API}/accounts", f"Authorization: Bearer pmk-{secrets.token_hex(32)}")


def unknown_introspector(_: Service) -> bytes:
    """Build a question about a token, with a management key that does not exist."""
    body = urlencode({"token": f"pit-{uuid.uuid4()}"}).encode()
    head = f"POST {API}/introspect HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    return (
        f"{head}Authorization: Bearer pmk-{secrets.token_hex(32)}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def sign_in(_: Service) -> bytes:
    """Return a request to sign in with a wrong password, as the page's own form sends it."""
    body = urlencode({"email": f"{secrets.token_hex(4)}@example.com", "password": secrets.token_hex(8)}).encode()
    head = "POST /settings/sign-in HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n"
    head += "Content-Type: application/x-www-form-urlencoded\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


STORMS = (
    Storm("unknown tokens", unknown_token),
    Storm("unknown tokens, 1,000 connections", unknown_token, 1000),
    Storm("unknown management keys", unknown_key),
    Storm("unknown introspectors", unknown_introspector),
    Storm(
        "leak reports",
        lambda _: b"POST %b/leaked HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}" % API.encode(),
    ),
    Storm("sign-ins", sign_in),
    Storm("sign-in pages", lambda _: get("/settings/sign-in")),
    Storm("openapi.json", lambda _: get(f"{API}/openapi.json")),
    Storm("health", lambda _: get("/health")),
    Storm("idle connections", lambda _: b"", 1000, drip=5.0),
    Storm("half-sent heads", lambda _: b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", 1000, drip=0.5),
)


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """Send a request, read its answer and return the status."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    await reader.readexactly(length)
    return int(head[9:12])


async def flood(
    port: int, service: Service, storm: Storm, sent: "multiprocessing.sharedctypes.Synchronized[int]"
) -> None:
    """Send the storm's requests, each of them anew, over connections that are made again when they are lost."""

    async def one() -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                if storm.drip:
                    writer.write(storm.make(service))
                while True:
                    sent.value += 1
                    if not storm.drip:
                        await exchange(reader, writer, storm.make(service))
                        continue
                    await asyncio.sleep(storm.drip)
                    if storm.make(service):
                        writer.write(b"x")
                        await writer.drain()
            except (OSError, EOFError):
                await asyncio.sleep(0.05)

    await asyncio.gather(*(one() for _ in range(storm.connections)))


def rage(port: int, service: Service, storm: Storm, sent: "multiprocessing.sharedctypes.Synchronized[int]") -> None:
    """Send the storm, in a process of its own."""
    asyncio.run(flood(port, service, storm, sent))


async def steady(port: int, request: bytes, seconds: float) -> list[float]:
    """Measure the latencies in milliseconds of good requests at a steady pace, over one kept connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        begun = time.perf_counter()
        status = await exchange(reader, writer, request)
        assert status == 200, f"a good request was answered {status}"
        found.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(PACE)
    writer.close()
    return found


def at(latencies: list[float], share: float) -> float:
    """Return a percentile."""
    return sorted(latencies)[int(share * (len(latencies) - 1))]


@contextmanager
def raging(port: int, service: Service, storm: Storm) -> Iterator["multiprocessing.sharedctypes.Synchronized[int]"]:
    """Run the storm until the block ends, which begins once the storm has; yield the number of requests sent."""
    sent = multiprocessing.Value("l", 0, lock=False)
    # The sending process needs the service's address and key, but not the handle of its process.
    bare = Service(service.url, service.key, service.account, service.data_dir, None)  # type: ignore[arg-type]
    process = multiprocessing.Process(target=rage, args=(port, bare, storm, sent))
    process.start()
    begun = time.monotonic()
    while sent.value < storm.connections and time.monotonic() < begun + 10:
        time.sleep(0.01)
    try:
        yield sent
    finally:
        process.kill()
        process.join()


def measured(service: Service, good: Good, storm: Storm, rounds: int, seconds: float) -> None:
    """Measure, interleaved, and print."""
    port = urlsplit(service.url).port or 0
    calm, stormy, rates = [], [], []
    for _ in range(rounds):
        calm += asyncio.run(steady(port, good.request, seconds))
        with raging(port, service, storm) as sent:
            before = sent.value
            stormy += asyncio.run(steady(port, good.request, seconds))
            rates.append((sent.value - before) / seconds)
    ratio = at(stormy, 0.99) / at(calm, 0.99)
    print(
        f"| {storm.name} | {good.name} | {statistics.median(rates):.0f} | {at(calm, 0.5):.2f} | {at(stormy, 0.5):.2f} "
        f"| {at(calm, 0.99):.2f} | {at(stormy, 0.99):.2f} | {ratio:.2f} | {'met' if ratio <= TARGET else 'missed'} |",
        flush=True,
    )


def issued_token(service: Service, account: str) -> str:
    """Return a token of a new integration, in use."""
    key = {"Authorization": f"Bearer {service.key}"}
    scopes = ["locations.readonly", "contacts.readonly", "medias.write"]
    body = {"account": account, "name": "x", "scopes": scopes, "owner_nonce": uuid.uuid4().hex}
    path = f"{service.url}{API}/integrations/by-external-id/a/b/c/{uuid.uuid4().hex}"
    made = requests.put(path, json=body, headers=key, timeout=10).json()
    run = {"issuer": "bench", "run": "r", "attempt": 1, "overlap_seconds": 0}
    path = f"{service.url}{API}/integrations/{made['id']}/generations/1"
    return str(requests.put(path, json=run, headers=key, timeout=10).json()["token"])


def good_requests(service: Service) -> list[Good]:
    """Return a read with a token, and one with a management key."""
    token = issued_token(service, service.account)
    return [
        Good("a token", get(f"/locations/{service.account}", f"Authorization: Bearer {token}", "Version: v3")),
        Good("a key", get(f"{API}/accounts", f"Authorization: Bearer {service.key}")),
    ]


class _Upstream(BaseHTTPRequestHandler):
    """Answer `/contacts/hangs` never, `/contacts/large` with a large body, and all else at once."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if "hangs" in self.path:
            self.rfile.read()
            return
        body = b"x" * 20_000_000 if "large" in self.path else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # The gateway breaks off an answer whose client stops reading.
        with suppress(ConnectionError):
            self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def slow_requests(token: str) -> tuple[Storm, ...]:
    """Build the requests of a consumer that takes as many resources as possible."""
    who = (f"Authorization: Bearer {token}", "Version: v3")
    upload = get("/medias/upload-file", *who, "Content-Type: image/png", "Content-Length: 500000")
    upload = upload.replace(b"GET", b"POST")
    return (
        Storm("slow uploads", lambda _: upload, 110, drip=0.5),
        Storm("slow JSON", lambda _: upload.replace(b"image/png", b"application/json"), 110, drip=0.5),
        Storm("unread large answers", lambda _: get("/contacts/large", *who), 110, drip=0.5),
        Storm("an upstream that hangs", lambda _: get("/contacts/hangs", *who), 110, drip=0.5),
    )


def measure_consumers(folder: Path, rounds: int, seconds: float) -> None:
    """Measure requests of one account through a gateway, beside slow requests of another one."""
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), _Upstream)
    upstream.daemon_threads = True
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{upstream.server_port}"
    with running_service(folder, "--upstream", url, PRIVATE_INTEGRATIONS_SEALING_KEYS=new_sealing_key()) as service:
        key = {"Authorization": f"Bearer {service.key}"}
        accounts = {"slow": "locationSlowAAAAAAAA", "good": "locationGoodAAAAAAAA"}
        requests.put(
            f"{service.url}{API}/accounts/agencyAAAAAAAAAAAAAA",
            json={"name": "a", "kind": "agency"},
            headers=key,
            timeout=10,
        )
        for account in accounts.values():
            body = {"name": "a", "kind": "sub_account", "agency_id": "agencyAAAAAAAAAAAAAA"}
            requests.put(
                f"{service.url}{API}/accounts/{account}", json=body, headers=key, timeout=10
            ).raise_for_status()
            path = f"{service.url}{API}/upstreams/{account}"
            requests.put(path, json={"credential": "held"}, headers=key, timeout=10).raise_for_status()
        token = issued_token(service, accounts["good"])
        good = Good("another account", get("/contacts/abc", f"Authorization: Bearer {token}", "Version: v3"))
        for storm in slow_requests(issued_token(service, accounts["slow"])):
            measured(service, good, storm, rounds, seconds)
    upstream.shutdown()


def main() -> None:
    """Measure the chosen storms."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [storm.name for storm in STORMS] + ["consumers"]
    parser.add_argument("--only", choices=names, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    print("| storm | good requests with | sent/s | p50 ms | in it | p99 ms | in it | ratio | |")
    print("|---|---|---|---|---|---|---|---|---|")
    for storm in STORMS:
        if not given.only or storm.name in given.only:
            with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
                for good in good_requests(service):
                    measured(service, good, storm, given.rounds, given.seconds)
    if not given.only or "consumers" in given.only:
        with tempfile.TemporaryDirectory() as folder:
            measure_consumers(Path(folder), given.rounds, given.seconds)


if __name__ == "__main__":
    main()
