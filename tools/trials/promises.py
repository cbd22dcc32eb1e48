"""Record the service's promises about tokens, independently of the code that decides.

The promises are those of docs/how-it-works.md, as far as they are visible from outside. The ledger sees
every request before it is sent and every answer that arrives. From these alone it derives until when each
issued token must work. If it can't know whether a request arrived, it assumes the weaker promise: it may
miss a broken promise, but never invents one.
"""

import json
import math
import re
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from private_integrations.contract import API

_GENERATION = re.compile(rf"{API}/integrations/([^/]+)/generations/(\d+)")
_EXPIRY = re.compile(rf"{API}/integrations/([^/]+)/expire")
_DECLARATION = re.compile(rf"{API}/integrations/by-external-id/(.+)")
_INTEGRATION = re.compile(rf"{API}/integrations/([^/]+)")

_SLACK = 60.0
"""Allow for so many seconds by which a trial's own duration shifts a deadline; overlaps are far longer."""
_MOST_LIVE = 4
"""With so many live tokens (three superseded and the newest) the service may have ended one that was never used."""


@dataclass(frozen=True)
class Broken:
    """Describe a broken promise; `in_hand` if an actor is left holding a dead token by it."""

    promise: str
    detail: str
    in_hand: bool = False


@dataclass(eq=False)
class Request:
    """Hold a request, and whether it was answered with success; without an answer it may have arrived or not."""

    at: float
    kind: str
    integration: str = ""
    generation: int = 0
    body: Mapping[str, Any] = field(default_factory=dict)
    owner_nonce: str | None = None
    granted: bool = False

    @property
    def overlap(self) -> float:
        """Return the seconds of overlap that an issue asked for."""
        return float(self.body.get("overlap_seconds", 0))


@dataclass(frozen=True)
class Given:
    """Hold a token that an answer carried to an actor."""

    value: str
    fingerprint: str
    integration: str
    generation: int
    issuer: str
    run: str

    def __str__(self) -> str:
        return f"generation {self.generation} of {self.integration} ({self.fingerprint}, for {self.issuer})"


class Ledger:
    """Record all requests and answers of one trial, and derive the promises."""

    def __init__(self) -> None:
        self.moved = 0.0
        self.given: dict[str, Given] = {}
        self.broken: list[Broken] = []
        self._requests: dict[str, list[Request]] = defaultdict(list)
        self._owners: dict[str, str] = {}
        self._ended_owner_nonces: set[str] = set()
        self._crowded: set[str] = set()
        self._deadlines: dict[str, str] = {}

    @property
    def now(self) -> float:
        """Return the seconds of the service's clock since some moment."""
        return time.monotonic() + self.moved

    def sent(self, method: str, url: str, body: str | bytes | None, headers: Mapping[str, str]) -> Request:
        """Note a request that is about to be sent."""
        parts = urlsplit(url)
        request = self._read(method, parts.path, body, headers)
        request.owner_nonce = request.body.get("owner_nonce") or parse_qs(parts.query).get("owner_nonce", [None])[0]
        self._requests[request.integration].append(request)
        return request

    def answered(self, request: Request, status: int, body: bytes) -> None:
        """Note an answer; one that broke off within its head passes for a short one, and says nothing."""
        try:
            said = json.loads(body)
        except ValueError:
            return
        request.granted = 200 <= status < 300
        if not request.granted:
            return
        if request.kind == "issue":
            self._note_given(request, said)
        elif request.kind == "declare":
            self._owners[said["id"]] = said["owner_nonce"]
        elif request.kind == "delete":
            request.granted = said["deleted"]
            if request.granted and request.owner_nonce:
                self._ended_owner_nonces.add(request.owner_nonce)

    def owned(self, integration: str, owner_nonce: str) -> bool:
        """Tell whether this owner nonce is the last one that an answer confirmed."""
        return self._owners.get(integration) == owner_nonce

    def must_live(self, token: Given) -> bool:
        """Tell whether this token has to work now, by every promise made so far."""
        return self.now < self._promised_until(token) - _SLACK

    def must_be_dead(self, token: Given) -> bool:
        """Tell whether a request that ends this token for good was answered with success."""
        return any(request.granted and self._ends(request, token) for request in self._requests[token.integration])

    def check_states(self, states: Iterable[Mapping[str, Any]], held: Collection[str | None]) -> None:
        """Compare the service's states of all tokens (`GET /tokens`) with the promises; `held` are values in use."""
        live: set[str] = set()
        for state in states:
            secrets = [secret for secret in state["tokens"] if secret["role"] != "ended"]
            live.update(secret["fingerprint"] for secret in secrets)
            if len(secrets) >= _MOST_LIVE:
                self._crowded.add(state["integration_id"])
            self._check_roles(state["integration_id"], secrets)
        for token in [*self.given.values()]:
            if token.fingerprint not in live and self.must_live(token):
                self.fail("a returned token lives", f"{token} is dead", in_hand=token.value in held)
            if token.fingerprint in live and self.must_be_dead(token):
                self.fail("what was ended is dead", f"{token} is alive")

    def check_left(self, left: Iterable[Mapping[str, Any]]) -> None:
        """Check that no integration is left with an owner nonce whose deletion was confirmed."""
        for integration in left:
            if integration["owner_nonce"] in self._ended_owner_nonces:
                self.fail("a creation happens once", f"{integration['id']} came back after its delete")

    def check_use(self, value: str, status: int, who: str) -> None:
        """Compare the data API's answer to a token with the promises."""
        token = self.given.get(value)
        if token is None:
            return
        if status == 401 and self.must_live(token):
            self.fail("a returned token lives", f"{token} is refused to {who}", in_hand=True)
        if status == 200 and self.must_be_dead(token):
            self.fail("what was ended is dead", f"{token} opens to {who}")

    def fail(self, promise: str, detail: str, *, in_hand: bool = False) -> None:
        """Note a broken promise."""
        self.broken.append(Broken(promise, detail, in_hand))

    def _read(self, method: str, path: str, body: str | bytes | None, headers: Mapping[str, str]) -> Request:
        fields = json.loads(body) if body else {}
        if not path.startswith(API):
            value = headers.get("Authorization", "").removeprefix("Bearer ")
            token = self.given.get(value)
            return Request(self.now, "use", token.integration, token.generation) if token else Request(self.now, "use")
        if method == "PUT" and (found := _GENERATION.fullmatch(path)):
            return Request(self.now, "issue", found[1], int(found[2]), fields)
        if method == "PUT" and _DECLARATION.fullmatch(path):
            return Request(self.now, "declare", body=fields)
        if method == "POST" and (found := _EXPIRY.fullmatch(path)):
            return Request(self.now, "expire", found[1], body=fields)
        if method == "DELETE" and (found := _INTEGRATION.fullmatch(path)):
            return Request(self.now, "delete", found[1])
        return Request(self.now, "other")

    def _note_given(self, request: Request, said: Mapping[str, Any]) -> None:
        token = Given(
            said["token"],
            said["fingerprint"],
            request.integration,
            request.generation,
            request.body["issuer"],
            request.body["run"],
        )
        for other in self.given.values():
            same = (other.integration, other.generation) == (token.integration, token.generation)
            if same and other.run != token.run:
                self.fail("one generation, one process", f"{token} was given to two")
        self.given[token.value] = token

    def _promised_until(self, token: Given) -> float:
        """Return the earliest instant at which this token may end."""
        until = math.inf
        requests = self._requests[token.integration]
        superseded_for_sure = False
        for request in requests:
            if self._ends(request, token):
                until = min(until, request.at)
            if superseded_for_sure:
                continue
            if self._replaces_unused(request, token):
                crowded = token.integration in self._crowded
                until = min(until, request.at if crowded else request.at + request.overlap)
            newer = self._delivers(request)
            if newer > token.generation and self._maybe_delivered(token, request.at):
                until = min(until, request.at + self._overlap_of(token.integration, newer))
                # No later request shortens a promised overlap.
                superseded_for_sure = request.kind == "use" and request.granted
        return until

    def _ends(self, request: Request, token: Given) -> bool:
        if request.kind == "expire":
            return token.generation in request.body["generations"]
        if request.kind == "issue":
            return request.overlap == 0 and request.generation > token.generation
        return request.kind == "delete" and self._by_the_owner(request)

    def _by_the_owner(self, request: Request) -> bool:
        """Tell whether a delete may have met its own owner nonce: not if another one was confirmed before or since."""
        return (
            request.owner_nonce is None
            or self._owners.get(request.integration, request.owner_nonce) == request.owner_nonce
        )

    def _replaces_unused(self, request: Request, token: Given) -> bool:
        """Tell whether the token's own issuer went on to another number, maybe before this one was used."""
        return (
            request.kind == "issue"
            and request.generation > token.generation
            and request.body["issuer"] == token.issuer
            and not self._surely_used(token, request.at)
        )

    def _delivers(self, request: Request) -> int:
        """Return the generation that counts as delivered if this request arrives; 0 if none does."""
        if request.kind == "use":
            return request.generation
        return int(request.body.get("holding") or 0) if request.kind == "issue" else 0

    def _maybe_delivered(self, token: Given, by: float) -> bool:
        requests = self._requests[token.integration]
        return any(request.at <= by and self._delivers(request) == token.generation for request in requests)

    def _surely_used(self, token: Given, by: float) -> bool:
        requests = self._requests[token.integration]
        return any(
            request.kind == "use" and request.granted and request.at < by and request.generation == token.generation
            for request in requests
        )

    def _overlap_of(self, integration: str, generation: int) -> float:
        asked = [each for each in self._requests[integration] if each.kind == "issue"]
        return min((each.overlap for each in asked if each.generation == generation), default=0.0)

    def _check_roles(self, integration: str, secrets: list[dict[str, Any]]) -> None:
        roles = [secret["role"] for secret in secrets]
        if roles.count("current") > 1 or roles.count("pending") > 1 or roles.count("previous") > 3:
            self.fail("one current, one pending, three superseded", f"{integration} has {roles}")
        for secret in secrets:
            if secret["role"] == "previous" and secret["expires_at"] is None:
                self.fail("a superseded token has a deadline", f"{secret['fingerprint']} of {integration}")
            before = self._deadlines.get(secret["fingerprint"], "")
            if secret["expires_at"] and secret["expires_at"] < before:
                detail = f"{secret['fingerprint']} of {integration}: {secret['expires_at']}, was {before}"
                self.fail("a promised overlap is never shortened", detail)
            if secret["expires_at"]:
                self._deadlines[secret["fingerprint"]] = secret["expires_at"]
