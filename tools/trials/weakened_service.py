"""The real service with a clock that can be moved, and, if asked, with one of its rules switched off.

    python tools/trials/weakened_service.py DATA_DIR CLOCK_FILE [RULE]

CLOCK_FILE holds the seconds by which the clock is ahead, as eight bytes. RULE is one of `RULES`: what
the rule decides is replaced here, from outside; the service itself has no such switch. Used by the
fault trials to show what each rule is for (docs/faults.md).
"""

import itertools
import mmap
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from private_integrations.contract import GenerationRequest
from private_integrations_service.access.actors import Actor
from private_integrations_service.operations import generations, integrations
from private_integrations_service.server import serve
from private_integrations_service.server.application import Application, utc_now
from private_integrations_service.storage import integrations as stored_integrations
from private_integrations_service.tokens import lifecycle
from private_integrations_service.tokens.lifecycle import Issue, Refused, Token

OFFSET = struct.Struct("d")


def ahead_by(file: Path) -> Callable[[], datetime]:
    """The wall clock, ahead by what the file says at that moment."""
    with file.open("rb") as stream:
        offset = mmap.mmap(stream.fileno(), OFFSET.size, access=mmap.ACCESS_READ)
    return lambda: utc_now() + timedelta(seconds=OFFSET.unpack(offset[: OFFSET.size])[0])


def without_attempt() -> None:
    """Whatever arrives counts as a higher attempt; in the schema, too, which else refuses an equal one."""
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
    """Another process may repeat what this one asked for."""
    decide = lifecycle._repeat

    def weakened(pending: Token | None, last: int, generation: int, request: GenerationRequest, now: datetime) -> Any:
        if pending is not None:
            request = request.model_copy(update={"run": pending.run})
        return decide(pending, last, generation, request, now)

    _replace(lifecycle, "_repeat", weakened)


def without_issuer() -> None:
    """Whoever asks counts as the issuer of the pending token."""
    decide = lifecycle.plan_issue

    def weakened(
        tokens: Sequence[Token], last: int, generation: int, request: GenerationRequest, now: datetime, limit: int
    ) -> Issue | Refused:
        for token in tokens:
            if token.role == "pending" and token.is_live(now):
                request = request.model_copy(update={"issuer": token.issuer})
        return decide(tokens, last, generation, request, now, limit)

    _replace(generations, "plan_issue", weakened)


def without_delivery() -> None:
    """The overlap of the old token begins when a new one is issued, not when it is first used."""
    decide = lifecycle.plan_issue

    def weakened(
        tokens: Sequence[Token], last: int, generation: int, request: GenerationRequest, now: datetime, limit: int
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
    """A used owner_nonce is as good as a new one, and any owner nonce will do to delete."""
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
    """Put something in the place of a function that is there: a rule that was renamed must not go unnoticed."""
    getattr(module, name)
    setattr(module, name, weakened)


def main(data_dir: str, clock_file: str, rule: str = "") -> None:
    """Serve on a free port."""
    if rule:
        RULES[rule]()
    _replace(serve, "Application", partial(Application, clock=ahead_by(Path(clock_file))))
    serve.serve(data_dir=Path(data_dir), host="127.0.0.1", port=0, say=lambda line: print(line, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
