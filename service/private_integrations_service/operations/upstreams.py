"""Set, list, remove, verify, reseal and open the upstream credentials of accounts."""

from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from private_integrations.contract import (
    KEY_PREFIX,
    SEALING_KEY_PREFIX,
    Account,
    AuditAction,
    Problem,
    Refused,
    Resealed,
    UpstreamCredential,
    Verification,
)

from ..access.actors import Actor
from ..sealing import SealBroken, Sealer, key_of
from ..storage import accounts, audit
from ..storage import upstreams as stored
from ..storage.engine import StorageEngine, Write
from ..storage.epoch import Remembered
from ..storage.tokens import integration_of_digest
from ..storage.upstreams import CredentialReader, StoredCredential
from ..tokens.format import presented_token
from .operation import ends_access, reads, writes

_PURPOSE = "upstream-credential"
_MOST_KEPT = 10_000


@reads
def listed(connection: Connection, sealer: Sealer | None, *, actor: Actor) -> list[UpstreamCredential]:
    """List the credentials of the accounts that the actor reaches; never a value."""
    return [_shown(found, sealer) for found in stored.all_credentials(connection, actor.accounts)]


@reads
def refuse_credential(connection: Connection, account_id: str, credential: str) -> Account | Refused:
    """Return the account of a credential, or refuse it, for example because it is one of this service's own secrets."""
    account = accounts.account_by_id(connection, account_id)
    if account is None:
        return Refused(Problem.ACCOUNT_UNKNOWN, f"there is no account {account_id}")
    if credential.startswith((KEY_PREFIX, SEALING_KEY_PREFIX)):
        return Refused(Problem.CREDENTIAL_NOT_UPSTREAMS, "this is a key of this service, not the platform's token")
    digest = presented_token(credential.encode())
    if digest is not None and integration_of_digest(connection, digest) is not None:
        return Refused(Problem.CREDENTIAL_NOT_UPSTREAMS, "this is a token of this service, not the platform's")
    return account


def not_accepted(verification: Verification) -> Refused:
    """Refuse a credential that failed its verification."""
    about: dict[str, object] = {"outcome": verification.outcome, "upstream_status": verification.status}
    return Refused(Problem.CREDENTIAL_NOT_ACCEPTED, f"{verification.in_words}; nothing was changed", about)


@writes
def put(
    write: Write,
    account_id: str,
    credential: str,
    sealer: Sealer,
    *,
    verification: Verification | None = None,
    actor: Actor,
) -> UpstreamCredential | Refused:
    """Seal and store an account's credential; from then on requests are forwarded with it."""
    refused = refuse_credential.step(write.connection, account_id, credential)
    if isinstance(refused, Refused):
        return refused
    sealed = sealer.seal(credential, purpose=_PURPOSE, account=account_id)
    made = StoredCredential(account_id, sealed, write.now, actor.name, verification)
    stored.put_credential(write, made)
    audit.record_account(
        write, account_id, actor=actor, action=AuditAction.SET_UPSTREAM_CREDENTIAL, sealed_with=key_of(sealed)
    )
    return _shown(made, sealer)


@ends_access
def remove(write: Write, account_id: str, *, actor: Actor) -> bool | Refused:
    """Delete an account's credential; return whether there was one."""
    if accounts.account_by_id(write.connection, account_id) is None:
        return Refused(Problem.ACCOUNT_UNKNOWN, f"there is no account {account_id}")
    removed = stored.remove_credential(write, account_id)
    if removed:
        audit.record_account(write, account_id, actor=actor, action=AuditAction.REMOVE_UPSTREAM_CREDENTIAL)
    return removed


@writes
def reseal(write: Write, sealer: Sealer, *, actor: Actor) -> Resealed:
    """Seal every credential with the first key; keep those that can't be opened, and report them."""
    unchanged, unreadable, resealed = 0, [], []
    for found in stored.all_credentials(write.connection):
        try:
            value = _open(found, sealer)
        except SealBroken:
            unreadable.append(found.account_id)
            continue
        if key_of(found.sealed) == sealer.first_key:
            unchanged += 1
            continue
        sealed = sealer.seal(value, purpose=_PURPOSE, account=found.account_id)
        stored.put_sealed(write, found.account_id, sealed)
        audit.record_account(
            write,
            found.account_id,
            actor=actor,
            action=AuditAction.RESEAL_UPSTREAM_CREDENTIAL,
            before=key_of(found.sealed),
            sealed_with=sealer.first_key,
        )
        resealed.append(found.account_id)
    return Resealed(sealed_with=sealer.first_key, resealed=len(resealed), unchanged=unchanged, unreadable=unreadable)


@dataclass(frozen=True)
class Opened:
    """Hold an account's present credential in clear."""

    account: Account
    stored: StoredCredential
    value: str = field(repr=False)


@reads
def open_credential(connection: Connection, account_id: str, sealer: Sealer) -> Opened | Refused:
    """Open an account's credential for a request to the upstream."""
    account = accounts.account_by_id(connection, account_id)
    if account is None:
        return Refused(Problem.ACCOUNT_UNKNOWN, f"there is no account {account_id}")
    found = stored.credential_of(connection, account_id)
    if found is None:
        return Refused(Problem.CREDENTIAL_MISSING, f"there is no upstream credential for account {account_id}")
    try:
        return Opened(account, found, _open(found, sealer))
    except SealBroken as broken:
        return Refused(
            Problem.CREDENTIAL_UNREADABLE, f"the upstream credential of {account_id} can't be opened: {broken}"
        )


@writes
def note_verification(
    write: Write, opened: Opened, verification: Verification, sealer: Sealer, *, actor: Actor
) -> UpstreamCredential | Refused:
    """Store the result of a verification, unless another credential was set meanwhile."""
    if not stored.put_verification(write.connection, opened.stored, verification):
        account_id = opened.account.id
        return Refused(Problem.CREDENTIAL_REPLACED, f"the upstream credential of {account_id} was changed meanwhile")
    audit.record_account(
        write,
        opened.account.id,
        actor=actor,
        action=AuditAction.VERIFY_UPSTREAM_CREDENTIAL,
        outcome=verification.outcome,
        status=verification.status,
    )
    return _shown(replace(opened.stored, verification=verification), sealer)


class Credentials:
    """Cache opened credentials while the epoch stays the same; used by one event loop.

    So a change of a credential takes effect with the next request.
    """

    def __init__(self, engine: StorageEngine, sealer: Sealer) -> None:
        self._reader = CredentialReader(engine)
        self._sealer = sealer
        self._kept: Remembered[str, str] = Remembered(engine.epoch, _MOST_KEPT)

    async def of(self, account_id: str) -> str | None:
        """Return the account's credential, None if there is none; raises SealBroken and StorageError."""
        kept = self._kept.get(account_id)
        if kept is not None:
            return kept
        since = self._kept.epoch
        sealed = await self._reader.read(account_id)
        if sealed is None:
            return None
        credential = self._sealer.open(sealed, purpose=_PURPOSE, account=account_id)
        self._kept.keep(account_id, credential, since, account_id)
        return credential

    def close(self) -> None:
        """Close the connection and clear the cache."""
        self._kept.clear()
        self._reader.close()


def _open(found: StoredCredential, sealer: Sealer) -> str:
    return sealer.open(found.sealed, purpose=_PURPOSE, account=found.account_id)


def _shown(found: StoredCredential, sealer: Sealer | None) -> UpstreamCredential:
    return UpstreamCredential(
        account=found.account_id,
        set_at=found.set_at,
        set_by=found.set_by,
        sealed_with=key_of(found.sealed),
        readable=_is_readable(found, sealer),
        verification=found.verification,
    )


def _is_readable(found: StoredCredential, sealer: Sealer | None) -> bool:
    if sealer is None:
        return False
    try:
        _open(found, sealer)
    except SealBroken:
        return False
    return True
