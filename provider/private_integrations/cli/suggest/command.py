"""`scopes suggest`: the least scopes that the requests of an access log need, without asking any service."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, BinaryIO

import typer

from private_integrations_service.catalogue.endpoints import Catalogue

from ..failures import ANSWER_IS_NO, note, usage
from ..options import AsJson, refuse_secret
from ..output import print_json, print_table, print_text
from .request_logs import read_requests
from .suggestions import ApiBase, Need, Suggestion, Tally, Unknown, count, suggest

# Beyond these, what wasn't found is in the JSON only.
_SHOWN = 20

_OLD = "a route of v1 without a sure counterpart"
_UNKNOWN = "not in the catalogue"


def suggest_scopes(
    log: Annotated[
        list[str],
        typer.Option("--log", metavar="FILE", help="An access log; - reads stdin. Repeatable."),
    ],
    prefix: Annotated[
        str, typer.Option(metavar="PATH", help='What stands before the API\'s paths in the log, such as "/crm".')
    ] = "",
    host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only requests to this host, where the log names hosts. Repeatable. Of a forward proxy's log, the "
            "platform's two are read without it.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Propose the least scopes for the requests in an access log. Asks no service and repeats no id, name or secret.

    Reads common and combined lines, JSON lines (nginx, Envoy, Caddy, Traefik), and METHOD and URL side by side; paths
    of the API v1 count as what does the same now. Requests that were answered 401 or 403 are left out.

    It ends with 1 if no scope is needed, or if some of the requests are open to no private integration.
    """
    catalogue, tally = Catalogue.load(), Tally()
    place = ApiBase(
        frozenset(name.lower() for name in host or ()), f"/{prefix.strip('/')}" if prefix.strip("/") else ""
    )
    for name in log:
        with _opened(name) as stream:
            for request in read_requests(stream):
                count(tally, catalogue, place, request)
    suggestion = suggest(catalogue, tally)
    if as_json:
        print_json(_as_json(suggestion, tally))
    else:
        _print(suggestion, tally)
        _tell(suggestion, tally)
    if suggestion.closed or not suggestion.scopes:
        raise typer.Exit(ANSWER_IS_NO)


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Return the log, to be read once; an error in reading is the user's to mend."""
    refuse_secret(name)
    try:
        if name != "-":
            with open(name, "rb") as file:
                yield file
        elif sys.stdin is None:
            raise usage("stdin is closed", "--log")
        else:
            yield sys.stdin.buffer
    except OSError as error:
        raise usage(f"{name} can't be read: {error.strerror}", "--log") from None


def _print(suggestion: Suggestion, tally: Tally) -> None:
    """Return the proposals, each ready to be pasted; then what is in none of them."""
    parts = []
    for kind, scopes in suggestion.scopes.items():
        _print_needs(suggestion.needs[kind])
        names = ", ".join(f'"{scope}"' for scope in scopes)
        print_text(f"\nscopes=[{names}]  # an integration of {kind.one}\n")
    for need in suggestion.closed:
        parts.append((str(need.count), need.endpoint.method, need.old or need.endpoint.path, _why_closed(need)))
    for unknown, why in ((tally.unmapped, _OLD), (tally.unmatched, _UNKNOWN)):
        shown = unknown.most_common(_SHOWN)
        parts += [(str(number), method, path or "-", why) for (method, path), number in shown]
        if len(unknown) > _SHOWN:
            note(f"{len(unknown) - _SHOWN} more are {why}; --json lists them")
    if parts:
        print_table(("requests", "method", "path", "in no proposal, because it is"), parts)


def _print_needs(needs: list[Need]) -> None:
    old = any(need.old for need in needs)
    rows = [
        (
            need.endpoint.scope or "-",
            need.endpoint.method,
            need.endpoint.path,
            *([need.old or "-"] * old),
            str(need.count),
        )
        for need in needs
    ]
    print_table(("scope", "method", "path", *(["made to"] * old), "requests"), rows)


def _why_closed(need: Need) -> str:
    return f"open to no private integration: {need.endpoint.closed_because or 'its scope is for OAuth apps'}"


def _tell(suggestion: Suggestion, tally: Tally) -> None:
    """Return what else there is to know, a line each."""
    if len(suggestion.scopes) > 1:
        note("these requests need two integrations: no token is an agency's and a sub-account's at once")
    if not suggestion.scopes:
        note("no request was found that needs a scope")
    if tally.unmapped or tally.unmatched:
        note("what is in no proposal can be looked up: private-integrations scopes --search WORDS")
    for number, what in (
        (tally.refused, "requests that were answered 401 or 403"),
        (tally.elsewhere, "requests to other hosts or paths"),
        (tally.unreadable, "lines without a request"),
    ):
        if number:
            note(f"left out: {what} ({number})")


def _as_json(suggestion: Suggestion, tally: Tally) -> dict[str, Any]:
    return {
        "integrations": [
            {"class": kind, "scopes": scopes, "requests": [_need_as_json(need) for need in suggestion.needs[kind]]}
            for kind, scopes in suggestion.scopes.items()
        ],
        "closed": [_need_as_json(need) | {"why": _why_closed(need)} for need in suggestion.closed],
        "unmapped": _unknown_as_json(tally.unmapped),
        "unmatched": _unknown_as_json(tally.unmatched),
        "refused": tally.refused,
        "elsewhere": tally.elsewhere,
        "unreadable": tally.unreadable,
    }


def _need_as_json(need: Need) -> dict[str, Any]:
    endpoint = need.endpoint
    return {
        "scope": endpoint.scope,
        "method": endpoint.method,
        "path": endpoint.path,
        "made_to": need.old or endpoint.path,
        "count": need.count,
    }


def _unknown_as_json(unknown: Counter[Unknown]) -> list[dict[str, Any]]:
    return [{"method": method, "path": path, "count": number} for (method, path), number in unknown.most_common()]
