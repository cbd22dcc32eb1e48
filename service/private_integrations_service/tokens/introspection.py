"""Describe a live token to those who introspect it (RFC 7662)."""

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from private_integrations.contract import Introspection


class Introspected(Protocol):
    """A live token."""

    @property
    def generation(self) -> int:
        """Return its generation."""

    @property
    def role(self) -> str:
        """Return its role."""

    @property
    def issued_at(self) -> datetime:
        """Return when it was issued."""

    @property
    def expires_at(self) -> datetime | None:
        """Return its deadline, None without one."""


def introspection(
    token: Introspected, now: datetime, *, integration_id: str, name: str, account: str, scopes: Iterable[str]
) -> Introspection:
    """Describe a live token of an integration at `now`; the answer may be used for a second, but for no dead token."""
    expires = int(token.expires_at.timestamp()) if token.expires_at else None
    soon = int(now.timestamp()) + 1
    return Introspection(
        active=True,
        client_id=integration_id,
        sub=account,
        token_type="Bearer",  # noqa: S106 - a token type of RFC 7662
        iat=int(token.issued_at.timestamp()),
        cache_until=soon if expires is None else min(soon, expires),
        integration_id=integration_id,
        integration=name,
        account=account,
        scope=" ".join(sorted(scopes)),
        generation=token.generation,
        role=token.role,
        exp=expires,
    )
