"""Management keys, which the API is asked with, and the keys that seal what the service stores."""

import secrets
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from .accounts import Account
from .roles import Role
from .values import Identifier, Instant, RequestModel, ResponseModel, each_once

KEY_PREFIX = "pmk-"
"""Management keys have another prefix than tokens, so that neither is ever taken for the other."""


def new_management_key() -> str:
    """Return a management key: `pmk-` and 256 random bits. Its maker keeps it; the service learns its digest."""
    return KEY_PREFIX + secrets.token_hex(32)


SEALING_KEY_PREFIX = "psk-"
"""Sealing keys stay with the service's operator and are never sent to it; nothing else begins like this."""


def new_sealing_key() -> str:
    """Return a sealing key: `psk-` and 256 random bits. The operator keeps it outside the service's data folder."""
    return SEALING_KEY_PREFIX + secrets.token_hex(32)


class KeyRequest(RequestModel):
    """Make a management key known: the caller keeps the key itself and sends its SHA-256 digest.

    A `deployer` works in the `accounts` named and in no other; a `viewer` only reads and an `introspector` only
    asks what tokens open, there or everywhere without any; an `admin` does everything.
    """

    role: Role
    accounts: Annotated[list[Identifier], Field(max_length=1000), AfterValidator(each_once)] = []
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    lifetime_seconds: Annotated[int, Field(ge=1, le=100 * 366 * 86_400)] | None = None

    @model_validator(mode="after")
    def _bound(self) -> "KeyRequest":
        if self.role == Role.DEPLOYER and not self.accounts:
            raise ValueError("a deployer's key is bound to accounts: name at least one")
        if self.role == Role.ADMIN and self.accounts:
            raise ValueError("an admin's key is bound to no account")
        return self


class Key(ResponseModel):
    """A management key without its value; `accounts` is empty where it is bound to none."""

    id: str
    name: str
    role: Role
    accounts: list[str]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None


class KeyList(ResponseModel):
    """Every key that was ever made, the ended ones too, and the service's clock, which says whether they live."""

    now: Instant
    keys: list[Key]


class PrincipalReport(ResponseModel):
    """Describe the caller of the management API: its key, and the accounts that the key reaches, with their class.

    `bound` tells whether the key reaches only these accounts, or every account that there is and will be. `now` is the
    service's clock, which `expires_at` is compared with.
    """

    now: Instant
    id: str
    name: str
    role: Role
    expires_at: Instant | None
    bound: bool
    accounts: list[Account]
