"""Requests as access logs record them, read line by line and in little memory, also from a large log.

A line is of the common or combined format, or any with the request in quotes (Envoy's text, load balancers); a JSON
object with the keys that nginx, Envoy, Caddy or Traefik are usually configured to write; or has method and
target side by side, as Squid's and those of a list that you wrote yourself.
"""

import json
import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple
from urllib.parse import urlsplit

_METHOD = "GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|CONNECT"
_QUOTED = re.compile(rf'"({_METHOD}) ([^\s"]+)(?: HTTP/[\d.]+)?"(?: (\d{{3}})\b)?')
_BARE = re.compile(rf"(?:^|\s)({_METHOD})\s+(\S+)")
_REQUEST_LINE = re.compile(rf"({_METHOD}) (\S+)")

# In JSON, by the key's letters alone: `request_method`, `RequestMethod` and `request-method` are one.
_NESTED = ("request", "httprequest")
_METHOD_KEYS = ("requestmethod", "method", "verb")
# As the client sent it first: rewritten paths are the proxy's own business.
_TARGET_KEYS = ("xenvoyoriginalpath", "requesturi", "requesturl", "requestpath", "uri", "url", "path")
_HOST_KEYS = ("authority", "requesthost", "httphost", "host")
_STATUS_KEYS = ("responsecode", "downstreamstatus", "statuscode", "status")

# A line beyond this is no request, and no reason to hold it in memory.
_LONGEST_LINE = 65_536


class LoggedRequest(NamedTuple):
    """A request: its method, the path with neither query nor fragment, its host if the line names one, and the answer.

    `host` is in lower case, with no port; "" where the line has none. `proxied` says that the host is part of the
    request's target, as in requests to a forward proxy. `status` is None where the log doesn't have it.
    """

    method: str
    path: str
    host: str
    proxied: bool
    status: int | None


def read_requests(log: BinaryIO) -> Iterator[LoggedRequest | None]:
    """Return the log's requests, a line each; None for a line that holds none. Empty lines are passed over."""
    while line := log.readline(_LONGEST_LINE):
        whole = line.endswith(b"\n") or len(line) < _LONGEST_LINE
        while not whole:
            rest = log.readline(_LONGEST_LINE)
            whole = rest.endswith(b"\n") or len(rest) < _LONGEST_LINE
            line = b"?"
        text = line.decode(errors="replace").strip()
        if text:
            yield _request(text)


def _request(line: str) -> LoggedRequest | None:
    if line.startswith("{"):
        return _from_json(line)
    quoted = _QUOTED.search(line)
    if quoted is not None:
        method, target, status = quoted.groups()
        return _made(method, target, "", None if status is None else int(status))
    bare = _BARE.search(line)
    return None if bare is None else _made(bare[1], bare[2], "", None)


def _from_json(line: str) -> LoggedRequest | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    values = _plain(entry)
    for nested in _NESTED:
        values |= _plain(values.get(nested))
    method, target = _first(values, _METHOD_KEYS), _first(values, _TARGET_KEYS)
    if not (method and target):
        request_line = _REQUEST_LINE.match(_first(values, ("request",)))
        if request_line is None:
            return None
        method, target = request_line.groups()
    status = _first(values, _STATUS_KEYS)
    return _made(
        method, target, _first(values, _HOST_KEYS), int(status) if re.fullmatch(r"[1-5]\d\d", status) else None
    )


def _plain(value: object) -> dict[str, object]:
    return {re.sub("[^a-z]", "", key.lower()): each for key, each in value.items()} if isinstance(value, dict) else {}


def _first(values: dict[str, object], keys: tuple[str, ...]) -> str:
    return next((str(values[key]) for key in keys if isinstance(values.get(key), str | int)), "")


def _made(method: str, target: str, host: str, status: int | None) -> LoggedRequest | None:
    """Make the request; the host of a URL wins over one in another field."""
    proxied = not target.startswith("/")
    try:
        # Behind two slashes a path is a path, however many it begins with.
        url = urlsplit(target if "://" in target and proxied else f"//{target}")
        told = url if proxied else urlsplit(f"//{host}")
        return LoggedRequest(method.upper(), url.path, told.hostname or "", proxied, status)
    except ValueError:
        return None
