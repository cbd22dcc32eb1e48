"""End leaked tokens; anyone who holds a token may report it."""

from collections.abc import Sequence

from private_integrations.contract import AuditAction, EndReason, Event, LeakReceipt, LeakReport

from ..access.actors import Actor
from ..storage import audit, integrations
from ..storage import tokens as stored
from ..storage.engine import StorageEngine, Write
from ..tokens.format import presented_token, without_secrets
from ..tokens.lifecycle import plan_leak
from .events import publish
from .operation import ends_access


def report(engine: StorageEngine, found: LeakReport, *, actor: Actor) -> LeakReceipt:
    """End the live ones of the reported tokens, and publish this to their owners; ignore all others.

    Raises StorageError, and then the tokens may work on. A report of tokens that are unknown or dead does not take the
    write lock.
    """
    presented = {presented_token(token.strip().encode()) for token in found.tokens}
    digests = [digest for digest in presented if digest is not None]
    with engine.read() as connection:
        known = stored.tokens_of_digests(connection, digests)
    ended = end_leaked(engine, digests, _shown(found.where), actor) if known else 0
    return LeakReceipt(received=len(found.tokens), ended=ended)


@ends_access
def end_leaked(write: Write, digests: Sequence[bytes], where: str, actor: Actor) -> int:
    """End the live tokens among these, and publish an event for each; returns their number."""
    ended = 0
    for integration_id, token_id in stored.tokens_of_digests(write.connection, digests):
        integration = integrations.integration_by_id(write.connection, integration_id)
        assert integration is not None, "a deleted one has no token that hasn't ended"
        tokens = stored.tokens_of(write.connection, [integration_id])[integration_id]
        for token in plan_leak(tokens, token_id, write.now).tokens:
            stored.save_tokens(write, integration_id, [token])
            if token.end_reason != EndReason.LEAKED:
                continue
            ended += 1
            about = {"generation": token.generation, "fingerprint": token.fingerprint, "where": where}
            audit.record(write, integration, actor=actor, action=AuditAction.REPORT_LEAKED, **about)
            publish(
                write,
                Event.TOKEN_LEAKED,
                account=integration.account,
                integration=integration,
                actor=actor.name,
                **about,
            )
    return ended


def _shown(where: str) -> str:
    """Return the reporter's text about the place, on one line, without control characters and without tokens."""
    printable = "".join(character if character.isprintable() else " " for character in without_secrets(where))
    return " ".join(printable.split())
