"""Read the platform's catalogue: its scopes, and the scope and account class that each endpoint needs."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import unquote

from private_integrations.contract import AccountClass
from private_integrations.rotation.acceptance import refuse_scope

from .account_fields import Names, PublishedFields, kind_of

# The catalogue names classes as the platform does.
_CLASSES = {each.platform_name: each for each in AccountClass}

# From this likeness on (difflib's ratio), one name is a likely slip for the other.
_NEAR = 0.85

# Endpoints that the v3 specifications lack and v3 serves (docs/platform.md §3): third parties measured the first three;
# the others have a parameter of another name there, or one in the place of a platform's name.
_KEPT_IN_V3 = re.compile(
    r"GET /contacts/|GET /users/|[A-Z]+ /emails/builder.*"
    r"|[A-Z]+ /ad-publishing/facebook/adsets/\{adsetId}.*"
    r"|[A-Z]+ /social-media-posting/oauth/(.*/)?[a-z-]+/(start|accounts/\{accountId})"
)

# An upstream could read a slash, a backslash or a control character inside a segment as another path.
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Describe an operation of the API, and the scope and account class that it needs.

    `account_kinds` are the classes of accounts whose tokens it accepts; empty
    means that no private integration token opens it. `parameters` are positions and names of the
    path's variable segments, the empty one before its first slash counted; `account_parameters` those that name an
    account. `body_names_account` says that the body may name one by the vendor's documents, `names_no_account` that
    nothing in a request does. An endpoint is `removed_in_v3` if the platform refuses its path to clients of v3.
    """

    method: str
    path: str
    scope: str | None
    account_kinds: frozenset[AccountClass]
    closed_because: str | None
    versions: tuple[str, ...]
    v3_only: bool
    removed_in_v3: bool
    parameters: tuple[tuple[int, str], ...]
    account_parameters: tuple[tuple[str, Names], ...]
    body_names_account: bool
    names_no_account: bool


class Match(NamedTuple):
    """Hold the endpoint of a request, and the decoded values of its path parameters."""

    endpoint: Endpoint
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scope:
    """Describe a scope: the account classes that may hold it (empty: undocumented), and if it is for OAuth alone."""

    account_kinds: frozenset[AccountClass]
    pit_refused: bool


@dataclass(frozen=True, slots=True)
class _Node:
    """Hold a node of the routing tree: the endpoint of a path that ends here, and the nodes of its next segments."""

    endpoint: Endpoint | None
    literals: Mapping[str, "_Node"]
    other: "_Node | None"


@dataclass(frozen=True)
class Catalogue:
    """Hold all scopes by name, and all endpoints, also as a tree of path segments per method; immutable."""

    endpoints: tuple[Endpoint, ...] = field(repr=False)
    scopes: Mapping[str, Scope] = field(repr=False)
    _roots: Mapping[str, _Node] = field(repr=False)

    @classmethod
    @cache
    def load(cls) -> "Catalogue":
        """Read the catalogue that comes with the package, once in a process (its format: docs/platform.md §9)."""
        published, additions = _data("scopes.json"), _data("additions.json")
        scopes = {
            entry["name"]: Scope(_account_kinds(entry["access"]), entry["pit_refused"]) for entry in published["scopes"]
        }
        fields = PublishedFields.load()
        entries = sorted([*published["endpoints"], *additions["endpoints"]], key=_place)
        endpoints = tuple(_endpoint(entry, scopes, fields) for entry in entries)
        return cls(endpoints, MappingProxyType(scopes), _trees(endpoints))

    def refuse_scope(self, scope: str, account_kind: AccountClass) -> str | None:
        """Why an integration of an account of this kind can't hold the scope, in one sentence; None if it can.

        Scopes whose classes are undocumented are allowed.
        """
        known = self.scopes.get(scope)
        if known is None:
            return f"there is no scope {scope!r}{self._suggestion(scope)}"
        return refuse_scope(scope, known.account_kinds, oauth_only=known.pit_refused, account_kind=account_kind)

    def match(self, method: str, path: str) -> Match | None:
        """Find the endpoint of a method and a raw path (still percent-encoded, no query).

        Literal segments win over parameters, a trailing slash is ignored, the method's case counts.
        Segments are decoded after splitting; a path with an encoded slash, a backslash, a dot segment,
        a control character, an empty segment or invalid UTF-8 has no endpoint.
        """
        node = self._roots.get(method)
        if node is None:
            return None
        segments = path.split("/")
        for position, segment in enumerate(segments):
            below = node.literals.get(segment)
            if below is None:
                # Most segments are of letters and digits only, which need no decoding.
                if not segment.isalnum():
                    decoded = _decoded(segment)
                    if decoded is None:
                        return None
                    segments[position] = segment = decoded
                below = node.literals.get(segment, node.other)
            if below is None:
                return None
            node = below
        if node.endpoint is None:
            return None
        params = {}
        for position, name in node.endpoint.parameters:
            params[name] = segments[position]
        return Match(node.endpoint, params)

    def _suggestion(self, scope: str) -> str:
        near = difflib.get_close_matches(scope, self.scopes, n=3, cutoff=_NEAR)
        return f"; did you mean {' or '.join(near)}?" if near else ""


def _data(name: str) -> Any:
    return json.loads(resources.files(__package__).joinpath("data", name).read_text("utf-8"))


def _place(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Sort by path, then by method, as the published data is."""
    return entry["path"], entry["method"]


def _endpoint(entry: Mapping[str, Any], scopes: Mapping[str, Scope], fields: PublishedFields) -> Endpoint:
    scope = entry["scopes"][0] if entry["scopes"] else None
    kinds = _accepted_kinds(entry, None if scope is None else scopes[scope])
    parameters = tuple(
        (position, segment[1:-1])
        for position, segment in enumerate(_segments(entry["path"]))
        if segment.startswith("{")
    )
    kinds_of_names = [(name, kind_of(name)) for _, name in parameters]
    accounts = tuple((name, kind) for name, kind in kinds_of_names if kind is not None)
    operation = (entry["method"], entry["path"])
    listed = fields.operations.get(operation)
    untyped = operation in fields.untyped_bodies
    return Endpoint(
        method=entry["method"],
        path=entry["path"],
        scope=scope,
        account_kinds=kinds,
        closed_because=None if kinds else _reason_to_close(entry),
        versions=tuple(entry["versions"]),
        v3_only=entry["versions"] == ["v3"] and entry["gen"] == ["v3"],
        removed_in_v3=entry["gen"] == ["v2"] and not _KEPT_IN_V3.fullmatch(f"{entry['method']} {entry['path']}"),
        parameters=parameters,
        account_parameters=accounts,
        body_names_account=untyped or (listed is not None and bool(listed.body)),
        names_no_account=not untyped and not accounts and listed is None,
    )


def _accepted_kinds(entry: Mapping[str, Any], scope: Scope | None) -> frozenset[AccountClass]:
    """Return no class without a scope or if the platform refuses these tokens; if undocumented, the scope's classes."""
    if scope is None or entry["pit_refused"]:
        return frozenset()
    return _account_kinds(entry.get("pit_access", entry["access"])) or scope.account_kinds


def _reason_to_close(entry: Mapping[str, Any]) -> str:
    if entry["pit_refused"]:
        return "the platform refuses private integration tokens there"
    return "nobody knows its scope" if not entry["scopes"] else "nobody knows which class of token it is for"


def _account_kinds(access: Iterable[str]) -> frozenset[AccountClass]:
    return frozenset(_CLASSES[name] for name in access)


def _segments(path: str) -> list[str]:
    return path.removesuffix("/").split("/")


_Route = tuple[tuple[str | None, ...], Endpoint]
"""Pair the rest of a path, segment by segment with None for a parameter, with its endpoint."""


def _trees(endpoints: Iterable[Endpoint]) -> Mapping[str, _Node]:
    routes: dict[str, list[_Route]] = {}
    for endpoint in endpoints:
        segments = tuple(None if segment.startswith("{") else segment for segment in _segments(endpoint.path))
        # Split at slashes, a path has an empty segment at its begin, and one at its end if a slash is last.
        routes.setdefault(endpoint.method, []).extend([(segments, endpoint), ((*segments, ""), endpoint)])
    return {method: _node(sorted(found, key=_preference)) for method, found in routes.items()}


def _preference(route: _Route) -> tuple[bool, ...]:
    """Return a smaller value for a route whose literals come earlier, for an order that the data can't change."""
    return tuple(segment is None for segment in route[0])


def _node(routes: Sequence[_Route]) -> _Node:
    """Build a tree of the routes; of several with the same segments, the first one counts.

    The routes below a parameter are also below each literal beside it, so that a search never has to go back. An empty
    segment is no parameter's value.
    """
    longer = [(path[0], (path[1:], endpoint)) for path, endpoint in routes if path]
    literals = {
        literal: _node([rest for first, rest in longer if first == literal or (first is None and literal)])
        for literal in {first for first, _ in longer}
        if literal is not None
    }
    other = [rest for first, rest in longer if first is None]
    return _Node(
        endpoint=next((endpoint for path, endpoint in routes if not path), None),
        literals=literals,
        other=_node(other) if other else None,
    )


def _decoded(raw: str) -> str | None:
    try:
        segment = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        return None
    if segment in ("", ".", "..") or _UNSAFE.search(segment):
        return None
    return segment
