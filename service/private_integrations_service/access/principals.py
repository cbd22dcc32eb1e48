"""Principals: the callers whose identity is proven, and the rights that their roles give them.

A person who signed in is a principal of the settings pages (operations/users.py). A management key is one of the
management API; another kind of caller there, such as a workload identity, is one more class with the same members.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from private_integrations.contract import Problem, Refused, Role
from private_integrations.rotation.acceptance import refuse_writing

from .actors import Actor

_READING = frozenset({"GET", "HEAD"})


class Principal(Protocol):
    """A caller whose identity is proven."""

    def actor(self, address: str, agent: str) -> Actor:
        """Return the principal as an actor, with the origin of the request."""


class ManagementPrincipal(Principal, Protocol):
    """A caller of the management API: its role gives it rights, and `accounts` is None if it reaches every account."""

    @property
    def id(self) -> str:
        """Return the id, which is never given again."""

    @property
    def name(self) -> str:
        """Return the name for people."""

    @property
    def role(self) -> Role:
        """Return the role."""

    @property
    def accounts(self) -> frozenset[str] | None:
        """Return the ids of the accounts that it reaches."""

    @property
    def expires_at(self) -> datetime | None:
        """Return the instant at which it ends, None if it has no end."""


@dataclass(frozen=True)
class ManagementKey:
    """A management key, with its role; `accounts` is None if it reaches every account."""

    id: str
    name: str
    role: Role
    digest: bytes
    accounts: frozenset[str] | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Return whether the key is valid at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def actor(self, address: str, agent: str) -> Actor:
        """Return the key as an actor; names may be given again once a key has ended, ids never."""
        return Actor(f"key/{self.name}/{self.id}", self.accounts, address, agent)


def refuse_method(principal: ManagementPrincipal, method: str) -> Refused | None:
    """Refuse a method that the role forbids: a viewer only reads, an introspector does not even that."""
    refusal = refuse_writing(principal.role, principal.name)
    if refusal is None or (principal.role == Role.VIEWER and method in _READING):
        return None
    return Refused(Problem.KEY_NOT_ALLOWED, refusal)


def refuse_administration(principal: ManagementPrincipal, of: str) -> Refused | None:
    """Refuse a principal that may not manage these objects, such as `keys`: only an admin may."""
    if principal.role == Role.ADMIN:
        return None
    return Refused(
        Problem.KEY_NOT_ALLOWED,
        f"management key {principal.name} is a {principal.role}'s; only an admin's manages {of}",
    )
