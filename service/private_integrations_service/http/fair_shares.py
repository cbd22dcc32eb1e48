"""Share something scarce fairly: limit what one account and one token hold at once, so that some is left for others.

An account holds at most half of what the other accounts leave, and a token at most half of what the other tokens of
its account leave of that. Of 100 connections one busy token gets 25 and one busy account 50; a second account then
still gets 25, a third one 12. The first unit of an account or token is limited by the total only.
"""

from collections import deque
from enum import Enum
from typing import Generic, NamedTuple, Protocol, TypeVar


class Short(Enum):
    """The share that is used up."""

    TOKEN = "token"  # noqa: S105 - a kind of share
    ACCOUNT = "account"
    ALL = "all"


class ShareHolder(NamedTuple):
    """The account, and its token or other credential, that holds units."""

    account: str
    token: int | bytes
    """A token's number, or a digest; no two accounts have the same."""


class Shares:
    """Count the units that each account and token holds of `total`; used by one thread."""

    def __init__(self, total: int) -> None:
        self.used = 0
        self._total = total
        self._accounts: dict[str, int] = {}
        self._tokens: dict[int | bytes, int] = {}

    def take(self, owner: ShareHolder, units: int = 1) -> Short | None:
        """Hold more units for the owner, or hold none and return the share that is too small."""
        account, token = owner
        of_account = self._accounts.get(account, 0)
        of_token = self._tokens.get(token, 0)
        if self.used + units > self._total:
            return Short.ALL
        if of_account:
            accounts_share = (self._total - self.used + of_account) // 2
            if of_account + units > accounts_share:
                return Short.ACCOUNT
            if of_token and of_token + units > (accounts_share - of_account + of_token) // 2:
                return Short.TOKEN
        self.used += units
        self._accounts[account] = of_account + units
        self._tokens[token] = of_token + units
        return None

    def give_back(self, owner: ShareHolder, units: int = 1) -> None:
        """Hold fewer units for the owner."""
        self.used -= units
        _lower(self._accounts, owner.account, units)
        _lower(self._tokens, owner.token, units)


_Key = TypeVar("_Key")


def _lower(held: dict[_Key, int], key: _Key, units: int) -> None:
    left = held[key] - units
    if left:
        held[key] = left
    else:
        # Memory is bounded by the units: an account or token without any is forgotten.
        del held[key]


class Waiter(Protocol):
    """An entry of a line, such as a future."""

    def done(self) -> bool:
        """Return whether it has stopped waiting."""


_Waiting = TypeVar("_Waiting", bound=Waiter)


class Line(Generic[_Waiting]):
    """A queue of waiters for a unit: accounts alternate, and so do the tokens of an account; used by one thread."""

    def __init__(self) -> None:
        self._accounts: dict[str, dict[ShareHolder, deque[_Waiting]]] = {}

    def join(self, owner: ShareHolder, waiter: _Waiting) -> None:
        """Enter the line behind the other waiters of the same token."""
        self._accounts.setdefault(owner.account, {}).setdefault(owner, deque()).append(waiter)

    def leave(self, owner: ShareHolder, waiter: _Waiting) -> None:
        """Leave the line, if the waiter still stands in it."""
        waiters = self._accounts.get(owner.account, {}).get(owner)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            self._drop_empty(owner)

    def next(self, shares: Shares) -> _Waiting | None:
        """Take a unit for the first waiter with room in its shares; remove that waiter from the line, and return it."""
        for tokens in list(self._accounts.values()):
            for owner in list(tokens):
                if not self._is_awaited(owner):
                    continue
                short = shares.take(owner)
                if short is None:
                    return self._let_out(owner)
                if short is Short.ALL:
                    return None
                if short is Short.ACCOUNT:
                    break
        return None

    def _is_awaited(self, owner: ShareHolder) -> bool:
        """Return whether any waiter of a token still waits; remove those in front that gave up."""
        waiters = self._accounts[owner.account][owner]
        while waiters and waiters[0].done():
            waiters.popleft()
        self._drop_empty(owner)
        return bool(waiters)

    def _let_out(self, owner: ShareHolder) -> _Waiting:
        """Remove and return the first waiter of a token; move the token and its account to the end of the line."""
        tokens = self._accounts.pop(owner.account)
        waiters = tokens.pop(owner)
        waiter = waiters.popleft()
        tokens[owner] = waiters
        self._accounts[owner.account] = tokens
        self._drop_empty(owner)
        return waiter

    def _drop_empty(self, owner: ShareHolder) -> None:
        tokens = self._accounts[owner.account]
        if not tokens[owner]:
            del tokens[owner]
        if not tokens:
            del self._accounts[owner.account]
