"""The least scopes that recorded requests need: counted from a log, one request at a time, by the catalogue alone."""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from private_integrations_service.catalogue.endpoints import Catalogue, Endpoint

from ...contract import AccountClass
from .old_routes import COUNTERPARTS, PREFIX, old_route
from .request_logs import LoggedRequest

_PLATFORM_HOSTS = frozenset({"services.leadconnectorhq.com", "rest.gohighlevel.com"})

_REFUSED = (401, 403)

# A path outside the catalogue is shown by its shape: words, and nothing that may be an id, a name or a secret.
_WORD = re.compile("[a-z][a-z_-]{0,23}|v[0-9]")
_HIDDEN = "…"
# Shapes beyond this many are counted as one, so that a log of random paths takes no memory.
_MOST_SHAPES = 1000

Unknown = tuple[str, str]
"""Method and shape of a request that the catalogue, or the table of old routes, doesn't have."""


@dataclass(frozen=True)
class Need:
    """Requests of one kind: the endpoint, the route of v1 that they were made to ("" for v2), and how many."""

    endpoint: Endpoint
    old: str
    count: int


@dataclass
class Tally:
    """Count the requests that a log has shown so far.

    `refused` were answered 401 or 403 and need nothing then; `elsewhere` went to other hosts or paths; `unreadable`
    are lines without a request.
    """

    used: Counter[tuple[Endpoint, str]] = field(default_factory=Counter)
    unmapped: Counter[Unknown] = field(default_factory=Counter)
    unmatched: Counter[Unknown] = field(default_factory=Counter)
    refused: int = 0
    elsewhere: int = 0
    unreadable: int = 0


@dataclass(frozen=True)
class ApiBase:
    """Where the API is in the log: its hosts, and what stands before its paths.

    Without `hosts` it is the platform's where a forward proxy writes the log, and everything where a server does.
    """

    hosts: Collection[str]
    prefix: str

    def path(self, request: LoggedRequest) -> str | None:
        """Return the request's path in the API; None if it is for something else."""
        hosts = self.hosts or (_PLATFORM_HOSTS if request.proxied else ())
        if hosts and request.host and request.host not in hosts:
            return None
        if not self.prefix:
            return request.path
        below = request.path.removeprefix(self.prefix)
        return below if below != request.path and below.startswith("/") else None


def count(tally: Tally, catalogue: Catalogue, place: ApiBase, request: LoggedRequest | None) -> None:
    """Add a line of the log to what it has shown."""
    if request is None:
        tally.unreadable += 1
        return
    path = place.path(request)
    if path is None:
        tally.elsewhere += 1
    elif request.status in _REFUSED:
        tally.refused += 1
    elif path.startswith(PREFIX):
        _count_old(tally, catalogue, request.method, path)
    else:
        match = catalogue.match(request.method, path)
        if match is None:
            _count_unknown(tally.unmatched, request.method, path)
        else:
            tally.used[match.endpoint, ""] += 1


def _count_old(tally: Tally, catalogue: Catalogue, method: str, path: str) -> None:
    route = old_route(method, path.removeprefix(PREFIX))
    if route is None:
        _count_unknown(tally.unmapped, method, path)
        return
    method, _, new_path = COUNTERPARTS[route].partition(" ")
    match = catalogue.match(method, new_path)
    assert match is not None, f"the catalogue has no {COUNTERPARTS[route]}"
    tally.used[match.endpoint, f"{PREFIX}{route.partition(' /')[2]}"] += 1


def _count_unknown(unknown: Counter[Unknown], method: str, path: str) -> None:
    shape = "/".join(segment if not segment or _WORD.fullmatch(segment) else _HIDDEN for segment in path.split("/"))
    seen = (method, shape)
    unknown[seen if seen in unknown or len(unknown) < _MOST_SHAPES else (_HIDDEN, _HIDDEN)] += 1


@dataclass(frozen=True)
class Suggestion:
    """The least scopes by the class of account whose integration needs them, sorted.

    `needs` says what for; `closed` are requests that no private integration token may make.
    """

    scopes: dict[AccountClass, list[str]]
    needs: dict[AccountClass, list[Need]]
    closed: list[Need]


def suggest(catalogue: Catalogue, tally: Tally) -> Suggestion:
    """Return the proposals; requests open to both kinds are the sub-account's, unless only an agency is needed."""
    needs = [Need(endpoint, old, number) for (endpoint, old), number in tally.used.items()]
    needs.sort(key=lambda need: (need.endpoint.scope or "", need.endpoint.path, need.endpoint.method, need.old))
    kinds = [_kinds(catalogue, need.endpoint) for need in needs]
    only = {kind for each in kinds for kind in each if len(each) == 1}
    shared = AccountClass.AGENCY if only == {AccountClass.AGENCY} else AccountClass.SUB_ACCOUNT
    by_kind: dict[AccountClass, list[Need]] = {}
    for need, each in zip(needs, kinds, strict=True):
        if each:
            by_kind.setdefault(shared if shared in each else each[0], []).append(need)
    return Suggestion(
        scopes={
            kind: sorted({need.endpoint.scope for need in found if need.endpoint.scope})
            for kind, found in sorted(by_kind.items(), reverse=True)
        },
        needs=by_kind,
        closed=[need for need, each in zip(needs, kinds, strict=True) if not each],
    )


def _kinds(catalogue: Catalogue, endpoint: Endpoint) -> list[AccountClass]:
    """Return the kinds of accounts whose integrations may hold its scope and make the request."""
    scope = endpoint.scope
    return [] if scope is None else [k for k in sorted(endpoint.account_kinds) if not catalogue.refuse_scope(scope, k)]
