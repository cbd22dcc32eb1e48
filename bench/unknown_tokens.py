"""What valid requests notice of a storm of unknown tokens: their latency with and without it, side by side.

Run it as `python bench/unknown_tokens.py`. One service, one well-behaved client of steady pace, and beside it, in every
other second, as many requests with tokens that were never issued as other processes can send.
"""

import asyncio
import multiprocessing
import secrets
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

from throwaway import Service, running_service

API = "/private-integrations/v1"
ROUNDS = 5
SECONDS = 1.0
PACE = 0.005


def issue_token(service: Service) -> str:
    """A token of a new integration."""
    key = {"Authorization": f"Bearer {service.key}"}
    body = {"account": service.account, "name": "x", "scopes": ["locations.readonly"], "claim": uuid.uuid4().hex}
    made = requests.put(f"{service.url}{API}/integrations/by-external-id/a/b/c/d", json=body, headers=key, timeout=10)
    run = {"issuer": "bench", "run": "r", "attempt": 1, "overlap_seconds": 0}
    path = f"{service.url}{API}/integrations/{made.json()['id']}/generations/1"
    return requests.put(path, json=run, headers=key, timeout=10).json()["token"]


def request_of(account: str, token: str) -> bytes:
    """The bytes of one request."""
    head = f"GET /locations/{account} HTTP/1.1\r\nHost: bench\r\nVersion: v3\r\nAuthorization: Bearer {token}\r\n\r\n"
    return head.encode()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """Send a request and read its answer; the status."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12])


async def flood(
    port: int, account: str, connections: int, sent: "multiprocessing.sharedctypes.Synchronized[int]"
) -> None:
    """Send unknown tokens, each of them once, as fast as they are answered."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            digits = secrets.token_hex(16)
            token = "pit-" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
            assert await exchange(reader, writer, request_of(account, token)) == 401
            sent.value += 1

    await asyncio.gather(*(one() for _ in range(connections)))


def storm(port: int, account: str, connections: int, sent: "multiprocessing.sharedctypes.Synchronized[int]") -> None:
    """The flood as a process of its own."""
    asyncio.run(flood(port, account, connections, sent))


async def steady(port: int, request: bytes) -> list[float]:
    """Latencies in milliseconds of valid requests at a steady pace."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        begun = time.perf_counter()
        assert await exchange(reader, writer, request) == 200
        found.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(PACE)
    writer.close()
    return found


def at(latencies: list[float], share: float) -> float:
    """A percentile."""
    return sorted(latencies)[int(share * (len(latencies) - 1))]


def main() -> None:
    """Measure, interleaved, and print."""
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        port = urlsplit(service.url).port or 0
        request = request_of(service.account, issue_token(service))
        for connections in (1, 8, 64):
            calm, stormy, rates = [], [], []
            for _ in range(ROUNDS):
                calm += asyncio.run(steady(port, request))
                sent = multiprocessing.Value("l", 0, lock=False)
                flooding = multiprocessing.Process(target=storm, args=(port, service.account, connections, sent))
                flooding.start()
                while sent.value < 100:
                    time.sleep(0.01)
                before = sent.value
                stormy += asyncio.run(steady(port, request))
                rates.append((sent.value - before) / SECONDS)
                flooding.kill()
                flooding.join()
            rate, ratio = statistics.median(rates), at(stormy, 0.99) / at(calm, 0.99)
            print(
                f"{connections:3} connections with unknown tokens, {rate:6.0f} a second: "
                f"p50 {at(calm, 0.5):.2f} -> {at(stormy, 0.5):.2f} ms, "
                f"p99 {at(calm, 0.99):.2f} -> {at(stormy, 0.99):.2f} ms: {ratio:.2f} times"
            )


if __name__ == "__main__":
    main()
