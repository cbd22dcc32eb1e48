"""A gateway that somebody else wrote, between consumers and an API that keeps what reaches it."""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from raw_http import Answer, Door
from recording_api import Received, RecordingApi

PLATFORM = "services.leadconnectorhq.com"
OVERRIDING = (
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Original-Method",
    "X-Original-URI",
    "X-Original-URL",
    "X-Original-Path",
    "X-Original-Host",
    "X-Override-URL",
    "X-Rewrite-URL",
    "X-Rewrite-URI",
    "X-Forwarded-Method",
    "X-Forwarded-URI",
    "X-Forwarded-URL",
    "X-Forwarded-Path",
    "X-Forwarded-Prefix",
    "X-Forwarded-Host",
    "X-Envoy-Original-Path",
    "X-Host",
)
"""Headers by which some servers let a client say another method, path or host than the request's own."""

CONSUMERS_NAME = "api.example.com"
CREDENTIAL = "pit-" + "11111111-2222-3333-4444-555555555555"
_START_SECONDS = 30


@dataclass(frozen=True)
class Gateway:
    """The gateway's door and the API behind it."""

    door: Door
    api: RecordingApi

    def arrived(self, method: str, target: str, token: str, *more: str, body: bytes = b"") -> Received:
        """Send a request that is granted; what the API got of it."""
        known = len(self.api.received)
        answer = self.door.ask(method, target, token, *more, body=body)
        assert (answer.status, answer.body) == (200, {}), answer
        [received] = self.api.received[known:]
        return received

    def refused(self, *lines: str) -> Answer:
        """Send a request that must not get through; the answer."""
        known = len(self.api.received)
        answer = self.door.send(*lines)
        assert self.api.received[known:] == []
        assert CREDENTIAL not in str(answer)
        return answer


def request(target: str, token: str, method: str = "GET") -> Iterable[str]:
    """The lines of a well-formed request."""
    return (
        f"{method} {target} HTTP/1.1",
        f"Host: {CONSUMERS_NAME}",
        "Version: 2021-07-28",
        f"Authorization: Bearer {token}",
    )


def until_open(door: Door, process) -> None:
    """Wait until the gateway accepts connections; fails if it ends instead."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), door.open():
            return
        time.sleep(0.01)
    raise AssertionError("the gateway does not listen")
