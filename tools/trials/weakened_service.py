"""Serve the real service with a clock that can be moved and, on request, with one of its rules switched off.

    python tools/trials/weakened_service.py DATA_DIR CLOCK_FILE [RULE]

CLOCK_FILE holds the seconds by which the clock is ahead, as eight bytes. RULE is one of `RULES`: this
module replaces the rule's function from outside; the service itself has no such switch. The fault
trials use it to show the purpose of each rule (docs/faults.md).
"""

import itertools
import mmap
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from private_integrations.contract import GenerationRequest, Refused
from private_integrations_service.access.actors import Actor
from private_integrations_service.operations import generations, integrations
from private_integrations_service.server import serve
from private_integrations_service.server.clock import utc_now
from private_integrations_service.storage import integrations as stored_integrations
from private_integrations_service.tokens import lifecycle
from private_integrations_service.tokens.lifecycle import Issue, StoredToken

OFFSET = struct.Struct("d")


def ahead_by(file: Path) -> Callable[[], datetime]:
    """Return the wall clock plus the seconds in the file at that moment."""
    with file.open("rb") as stream:
        offset = mmap.mmap(stream.fileno(), OFFSET.size, access=mmap.ACCESS_READ)
    return lambda: utc_now() + timedelta(seconds=OFFSET.unpack(offset[: OFFSET.size])[0])


def without_attempt() -> None:
    """Count every request as a higher attempt; in the schema, too, which otherwise refuses an equal one."""
    issue = generations.issue
    # Above those of a service that was killed before.
    attempts = itertools.count(int(time.monotonic()) * 1000)

    def weakened(
        write: Any, integration_id: str, generation: int, request: GenerationRequest, *rest: Any, actor: Actor
    ) -> Any:
        counted = request.model_copy(update={"attempt": next(attempts)})
        return issue(write, integration_id, generation, counted, *rest, actor=actor)

    _replace(generations, "issue", weakened)


def without_run() -> None:
    """Let another process repeat the request of this one."""
    decide = lifecycle._repeat

    def weakened(
        pending: StoredToken | None, last: int, generation: int, request: GenerationRequest, now: datetime
    ) -> Any:
        if pending is not None:
            request = request.model_copy(update={"run": pending.run})
        return decide(pending, last, generation, request, now)

    _replace(lifecycle, "_repeat", weakened)


def without_issuer() -> None:
    """Count every caller as the issuer of the pending token."""
    decide = lifecycle.plan_issue

    def weakened(
        tokens: Sequence[StoredToken], last: int, generation: int, request: GenerationRequest, now: datetime, limit: int
    ) -> Issue | Refused:
        for token in tokens:
            if token.role == "pending" and token.is_live(now):
                request = request.model_copy(update={"issuer": token.issuer})
        return decide(tokens, last, generation, request, now, limit)

    _replace(generations, "plan_issue", weakened)


def without_delivery() -> None:
    """Begin the overlap of the old token when a new one is issued, instead of at its first use."""
    decide = lifecycle.plan_issue

    def weakened(
        tokens: Sequence[StoredToken], last: int, generation: int, request: GenerationRequest, now: datetime, limit: int
    ) -> Issue | Refused:
        plan = decide(tokens, last, generation, request, now, limit)
        if isinstance(plan, Refused):
            return plan
        touched = {token.id for token in plan.tokens}
        deadline = now + timedelta(seconds=request.overlap_seconds or 0)
        superseded = [
            replace(token, role="previous", expires_at=deadline)
            for token in tokens
            if token.role == "current" and token.is_live(now) and token.id not in touched
        ]
        return replace(plan, tokens=(*plan.tokens, *superseded))

    _replace(generations, "plan_issue", weakened)


def without_owner_nonce() -> None:
    """Accept a used owner nonce as a new one, and any nonce for a deletion."""
    delete = integrations.delete

    def any_owner_nonce(write: Any, integration_id: str, owner_nonce: str | None, *, actor: Actor) -> bool | Refused:
        return delete(write, integration_id, None, actor=actor)

    _replace(integrations, "delete", any_owner_nonce)
    _replace(stored_integrations, "owner_nonce_was_used", lambda *_: False)


RULES: dict[str, Callable[[], None]] = {
    "attempt": without_attempt,
    "run": without_run,
    "issuer": without_issuer,
    "delivery": without_delivery,
    "owner_nonce": without_owner_nonce,
}


def _replace(module: Any, name: str, weakened: Any) -> None:
    """Replace a function, which must exist: the trials must notice a renamed rule."""
    getattr(module, name)
    setattr(module, name, weakened)


def main(data_dir: str, clock_file: str, rule: str = "") -> None:
    """Serve on a free port."""
    if rule:
        RULES[rule]()
    _replace(serve, "utc_now", ahead_by(Path(clock_file)))
    serve.serve(data_dir=Path(data_dir), host="127.0.0.1", port=0, say=lambda line: print(line, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
