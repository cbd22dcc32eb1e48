"""Where the gateway gets the credential of an account from, to ask the upstream with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from ..authorizer.replies import PlatformError
from ..authorizer.storage_errors import refuse_storage
from ..sealing import SealBroken
from ..storage.engine import StorageError
from . import refusals


# Not frozen, which costs three times as much, and not a tuple, whose repr would show the value.
@dataclass(slots=True)
class Credential:
    """An upstream credential in clear."""

    value: str = field(repr=False)


class CredentialSource(Protocol):
    """Find the upstream credential of an account; used by one event loop.

    A source may await: for a refresh of a credential that has expired, for example. It must not block the loop, and
    it should keep credentials in memory, as the gateway asks once for each request.
    """

    async def credential(self, account_id: str) -> Credential | PlatformError:
        """Return the account's credential, valid now, or why there is none."""

    def rejected(self, account_id: str, credential: Credential) -> None:
        """Note that the upstream answered 401 to the account's credential, so that the next one may be another."""


class PastedCredentials:
    """The credentials that an operator pasted, stored sealed: they have no expiry, and are replaced by an operator.

    Args:
        open_credential: Returns an account's credential, None if there is none; raises SealBroken, and StorageError.

    """

    def __init__(self, open_credential: Callable[[str], Awaitable[str | None]]) -> None:
        self._open = open_credential

    async def credential(self, account_id: str) -> Credential | PlatformError:
        """Return the account's credential, or why there is none."""
        try:
            value = await self._open(account_id)
        except SealBroken:
            return refusals.CREDENTIAL_UNREADABLE
        except StorageError as error:
            return refuse_storage(error)
        return Credential(value) if value else refusals.CREDENTIAL_MISSING

    def rejected(self, account_id: str, credential: Credential) -> None:
        """Keep the credential: only an operator can replace it."""
