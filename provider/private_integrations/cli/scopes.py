"""`scopes`: what a scope opens, and what requests need; answered from the catalogue, without asking any service."""

import difflib
from collections.abc import Iterable
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from typer.core import TyperGroup

from private_integrations_service.catalogue.endpoints import Catalogue, Endpoint, Scope

from ..contract import AccountClass
from ..errors import NotFound
from ..scopes import no_such_scope
from .failures import ANSWER_IS_NO, note, usage
from .options import AsJson, complete_scope, refuse_secret
from .output import Row, print_facts, print_json, print_rows, print_table
from .suggest.command import suggest_scopes

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_NEAR = 0.7

ScopeName = Annotated[
    str | None,
    typer.Argument(metavar="SCOPE", autocompletion=complete_scope, help="A scope: show what it opens."),
]


class _ShownUnlessNamed(TyperGroup):
    """A group whose command `show` needn't be named: `scopes contacts.readonly` shows what that scope opens."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, with `show` before them unless they begin with a command's name or ask for help."""
        named = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["show", *args])


app = typer.Typer(
    cls=_ShownUnlessNamed,
    help="What scopes open and what requests need. Asks no service. `show` is what it does without a command's name.",
    rich_markup_mode=None,
)
app.command("suggest")(suggest_scopes)


@app.command("show")
def scopes(
    name: ScopeName = None,
    search: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help='Show endpoints whose method, path or scope has all of these, as "tags".'),
    ] = None,
    request: Annotated[
        tuple[str, str] | None,
        typer.Option("--for", metavar="METHOD PATH", help="Show what a token needs for this request."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show every scope, what one opens, or what a request needs. Asks no service.

    With --for it ends with 1 if no private integration token opens the endpoint, with 4 if there is none.
    """
    if sum(given is not None for given in (name, search, request)) > 1:
        raise usage("give a scope, --search or --for, not several of them")
    catalogue = Catalogue.load()
    if request is not None:
        _show_request(catalogue, *request, as_json=as_json)
    elif search is not None:
        _show_found(catalogue, search, as_json=as_json)
    elif name is not None:
        _show_scope(catalogue, name, as_json=as_json)
    else:
        _show_all(catalogue, as_json=as_json)


def _show_all(catalogue: Catalogue, *, as_json: bool) -> None:
    opened = {name: _opened_by(catalogue, name) for name in sorted(catalogue.scopes)}
    if as_json:
        print_json({"scopes": [_scope_as_json(name, catalogue.scopes[name]) for name in opened]})
    else:
        rows = [(name, _holders_of(catalogue.scopes[name]), str(len(opened[name]))) for name in opened]
        print_table(("scope", "held by tokens of", "endpoints"), rows)


def _show_scope(catalogue: Catalogue, name: str, *, as_json: bool) -> None:
    refuse_secret(name)
    scope = catalogue.scopes.get(name)
    if scope is None:
        raise usage(no_such_scope(name))
    endpoints = _opened_by(catalogue, name)
    if as_json:
        print_json(_scope_as_json(name, scope) | {"endpoints": [_as_json(endpoint) for endpoint in endpoints]})
        return
    if scope.pit_refused:
        note(f"no private integration can hold {name}: it is for OAuth apps only")
    if endpoints:
        _print_endpoints(endpoints)
    else:
        note(f"{name} opens no endpoint that is documented")


def _show_found(catalogue: Catalogue, words: str, *, as_json: bool) -> None:
    found = [endpoint for endpoint in catalogue.endpoints if _has(words, _searched(endpoint))]
    names = {endpoint.scope for endpoint in found} | {name for name in catalogue.scopes if _has(words, name)}
    listed = sorted(name for name in names if name is not None)
    if as_json:
        print_json(
            {
                "scopes": [_scope_as_json(name, catalogue.scopes[name]) for name in listed],
                "endpoints": [_as_json(endpoint) for endpoint in found],
            }
        )
    elif found:
        _print_endpoints(found)
    elif listed:
        print_table(("scope", "held by tokens of"), [(name, _holders_of(catalogue.scopes[name])) for name in listed])
    if not found and not listed:
        note(f'no scope and no endpoint has all of "{words}"')
        raise typer.Exit(ANSWER_IS_NO)


def _show_request(catalogue: Catalogue, method: str, target: str, *, as_json: bool) -> None:
    method, path = method.upper(), _path_of(target)
    match = catalogue.match(method, path)
    if match is None:
        raise NotFound(f"there is no {method} {path}{_near_misses(catalogue, method, path)}")
    endpoint = match.endpoint
    if as_json:
        print_json({"method": method, "path": path, "endpoint": _as_json(endpoint)})
    else:
        print_facts(
            [
                ("endpoint", f"{endpoint.method} {endpoint.path}"),
                ("scope", endpoint.scope or "-"),
                ("tokens of", _kinds(endpoint.account_kinds) or f"nobody: {endpoint.closed_because}"),
                ("version", _version(endpoint)),
            ]
        )
    if endpoint.closed_because is not None:
        raise typer.Exit(ANSWER_IS_NO)


def _path_of(target: str) -> str:
    try:
        return urlsplit(target).path
    except ValueError as error:
        raise usage(f"this is neither a path nor a URL: {error}", "--for") from None


def _near_misses(catalogue: Catalogue, method: str, path: str) -> str:
    others = [other for other in _METHODS if other != method and catalogue.match(other, path)]
    if others:
        return f"; this path has {', '.join(others)}"
    known = sorted({endpoint.path for endpoint in catalogue.endpoints if endpoint.method == method})
    near = difflib.get_close_matches(path, known, n=3, cutoff=_NEAR)
    return f"; the nearest: {', '.join(near)}" if near else "; try --search with a word of it"


def _opened_by(catalogue: Catalogue, name: str) -> list[Endpoint]:
    return [endpoint for endpoint in catalogue.endpoints if endpoint.scope == name]


def _has(words: str, text: str) -> bool:
    return all(word in text.lower() for word in words.lower().split())


def _searched(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path} {endpoint.scope or ''}"


def _print_endpoints(endpoints: Iterable[Endpoint]) -> None:
    rows = [
        (endpoint.method, endpoint.path, endpoint.scope or "-", _openers(endpoint), _version(endpoint))
        for endpoint in endpoints
    ]
    print_rows(("method", "path", "scope", "opens to tokens of", "version"), rows, narrow=_narrow)


def _narrow(row: Row) -> str:
    """Return the row on two lines, for a terminal that is too narrow for one."""
    method, path, scope, openers, version = row
    return f"{method} {path}\n  {scope}, {openers}, version {version}"


def _holders_of(scope: Scope) -> str:
    if scope.pit_refused:
        return "nobody (OAuth apps only)"
    return _kinds(scope.account_kinds) or "agencies, sub-accounts (undocumented)"


def _openers(endpoint: Endpoint) -> str:
    return _kinds(endpoint.account_kinds) or "nobody"


def _kinds(account_kinds: Iterable[AccountClass]) -> str:
    return ", ".join(kind.many for kind in sorted(account_kinds))


def _version(endpoint: Endpoint) -> str:
    if endpoint.v3_only:
        return "v3"
    return "before v3" if endpoint.removed_in_v3 else "any"


def _scope_as_json(name: str, scope: Scope) -> dict[str, Any]:
    return {"name": name, "classes": sorted(scope.account_kinds), "oauth_only": scope.pit_refused}


def _as_json(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "method": endpoint.method,
        "path": endpoint.path,
        "scope": endpoint.scope,
        "classes": sorted(endpoint.account_kinds),
        "closed_because": endpoint.closed_because,
        "v3_only": endpoint.v3_only,
    }
