"""The platform's catalogue: which scope and which kind of account an endpoint asks for, which scopes exist."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

# The catalogue speaks of token classes, this service of kinds of accounts.
_KINDS = {"agency": "agency", "location": "sub_account"}
_KIND_NAMES = {"agency": "agencies", "sub_account": "sub-accounts"}

# How alike names must be (difflib's ratio) for one to be a likely slip for the other.
_NEAR = 0.85

_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_-]+)+/?")
# A slash, a backslash or a control character inside a segment means another path to somebody behind us.
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An operation of the API and what a private integration needs for it.

    `account_kinds` are the kinds of accounts (`agency`, `sub_account`) whose tokens it accepts; empty
    means that no private integration token opens it. `parameters` are positions and names of the
    path's variable segments.
    """

    method: str
    path: str
    scope: str | None
    account_kinds: frozenset[str]
    closed_because: str | None
    versions: tuple[str, ...]
    v3_only: bool
    parameters: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Match:
    """The endpoint that a request means, and the decoded values of its path parameters."""

    endpoint: Endpoint
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope: the kinds of accounts whose tokens may hold it, empty if that is undocumented; is it for OAuth alone."""

    account_kinds: frozenset[str]
    pit_refused: bool


@dataclass(frozen=True, slots=True)
class _Node:
    literals: Mapping[str, "_Node"]
    parameter: "_Node | None"
    endpoints: Mapping[str, Endpoint]


@dataclass(frozen=True)
class Catalogue:
    """Endpoints, also as a tree of path segments, and scopes by name; nothing in it changes."""

    endpoints: tuple[Endpoint, ...] = field(repr=False)
    scopes: Mapping[str, Scope] = field(repr=False)
    _root: _Node = field(repr=False)

    @classmethod
    def load(cls) -> "Catalogue":
        """Read the catalogue that comes with the package (its format: docs/platform.md §9)."""
        text = resources.files(__package__).joinpath("data/scopes.json").read_text("utf-8")
        data = json.loads(text)
        scopes = {
            entry["name"]: Scope(_account_kinds(entry["access"]), entry["pit_refused"]) for entry in data["scopes"]
        }
        endpoints = tuple(_endpoint(entry, scopes) for entry in data["endpoints"])
        root = _node([(_template_segments(endpoint.path), endpoint) for endpoint in endpoints])
        return cls(endpoints, MappingProxyType(scopes), root)

    def refuse_scope(self, scope: str, account_kind: str) -> str | None:
        """Why an integration of an account of this kind can't hold the scope, in one sentence; None if it can.

        `account_kind` is "agency" or "sub_account". Scopes whose classes are undocumented are allowed.
        """
        known = self.scopes.get(scope)
        if known is None:
            return f"there is no scope {scope!r}{self._suggestion(scope)}"
        if known.pit_refused:
            return f"scope {scope} is for OAuth apps only; no private integration can hold it"
        if known.account_kinds and account_kind not in known.account_kinds:
            others = " and ".join(sorted(_KIND_NAMES[kind] for kind in known.account_kinds))
            return f"scope {scope} is for {others} only, not for {_KIND_NAMES[account_kind]}"
        return None

    def match(self, method: str, path: str) -> Match | None:
        """The endpoint that this method and raw path (still percent-encoded, no query) mean.

        Literal segments win over parameters, a trailing slash means nothing, the method's case counts.
        Segments are decoded after splitting; a path with an encoded slash, a backslash, a dot segment,
        a control character, an empty segment or invalid UTF-8 means nothing at all.
        """
        segments = _path_segments(path)
        endpoint = None if segments is None else _find(self._root, segments, 0, method)
        if segments is None or endpoint is None:
            return None
        return Match(endpoint, {name: segments[position] for position, name in endpoint.parameters})

    def _suggestion(self, scope: str) -> str:
        near = difflib.get_close_matches(scope, self.scopes, n=3, cutoff=_NEAR)
        return f"; did you mean {' or '.join(near)}?" if near else ""


def _endpoint(entry: Mapping[str, Any], scopes: Mapping[str, Scope]) -> Endpoint:
    scope = entry["scopes"][0] if entry["scopes"] else None
    kinds = _accepted_kinds(entry, None if scope is None else scopes[scope])
    return Endpoint(
        method=entry["method"],
        path=entry["path"],
        scope=scope,
        account_kinds=kinds,
        closed_because=None if kinds else _reason_to_close(entry),
        versions=tuple(entry["versions"]),
        v3_only=entry["versions"] == ["v3"] and entry["gen"] == ["v3"],
        parameters=tuple(
            (position, segment[1:-1])
            for position, segment in enumerate(_template_segments(entry["path"]))
            if segment.startswith("{")
        ),
    )


def _accepted_kinds(entry: Mapping[str, Any], scope: Scope | None) -> frozenset[str]:
    """Nobody without a scope or where the platform refuses these tokens; undocumented means as the scope says."""
    if scope is None or entry["pit_refused"]:
        return frozenset()
    return _account_kinds(entry.get("pit_access", entry["access"])) or scope.account_kinds


def _reason_to_close(entry: Mapping[str, Any]) -> str:
    if entry["pit_refused"]:
        return "the platform refuses private integration tokens there"
    return "nobody knows its scope" if not entry["scopes"] else "nobody knows which class of token it is for"


def _account_kinds(access: Iterable[str]) -> frozenset[str]:
    return frozenset(_KINDS[name] for name in access)


def _template_segments(path: str) -> tuple[str, ...]:
    return tuple(path.strip("/").split("/"))


def _node(routes: Sequence[tuple[tuple[str, ...], Endpoint]]) -> _Node:
    literals: dict[str, list[tuple[tuple[str, ...], Endpoint]]] = {}
    variable: list[tuple[tuple[str, ...], Endpoint]] = []
    endpoints: dict[str, Endpoint] = {}
    for segments, endpoint in routes:
        if not segments:
            endpoints.setdefault(endpoint.method, endpoint)
        elif segments[0].startswith("{"):
            variable.append((segments[1:], endpoint))
        else:
            literals.setdefault(segments[0], []).append((segments[1:], endpoint))
    return _Node(
        literals=MappingProxyType({literal: _node(below) for literal, below in literals.items()}),
        parameter=_node(variable) if variable else None,
        endpoints=MappingProxyType(endpoints),
    )


def _find(node: _Node, segments: Sequence[str], depth: int, method: str) -> Endpoint | None:
    if depth == len(segments):
        return node.endpoints.get(method)
    literal = node.literals.get(segments[depth])
    if literal is not None:
        found = _find(literal, segments, depth + 1, method)
        if found is not None:
            return found
    return None if node.parameter is None else _find(node.parameter, segments, depth + 1, method)


def _path_segments(path: str) -> list[str] | None:
    if _PLAIN_PATH.fullmatch(path):
        return path.strip("/").split("/")
    if not path.startswith("/"):
        return None
    segments = []
    for raw in path[1:].removesuffix("/").split("/"):
        segment = _decoded(raw)
        if segment is None:
            return None
        segments.append(segment)
    return segments


def _decoded(raw: str) -> str | None:
    try:
        segment = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        return None
    if segment in ("", ".", "..") or _UNSAFE.search(segment):
        return None
    return segment
