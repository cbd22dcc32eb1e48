"""Make one attempt: a POST over TLS to an address that was checked before, within bounds of time and size.

The name is resolved once, and the connection goes to one of these addresses, so a second answer of a name server
can't lead elsewhere. Only the status of the response is read. The fetcher (`http/fetching.py`) does the rest.
"""

import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from ..http.fetching import Fetcher, FetchLimits, NoAddressError, Resolve, Target, UnreadableError
from .destinations import Destinations, destination, refuse_addresses
from .redelivery import Outcome, Tried


class Poster:
    """Send single messages to allowed destinations; used by many threads."""

    def __init__(
        self, allowed: Destinations, resolver: Resolve | None = None, limits: FetchLimits | None = None
    ) -> None:
        self._allowed = allowed
        self._fetcher = Fetcher(limits, resolver)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Tried:
        """Send a message and return the result; raises Interrupted if `close` came first."""
        begun = time.monotonic()
        tried = self._try(url, headers, body)
        return replace(tried, milliseconds=round((time.monotonic() - begun) * 1000))

    def close(self) -> None:
        """Break off open requests, and send no more."""
        self._fetcher.close()

    def _try(self, url: str, headers: Mapping[str, str], body: bytes) -> Tried:
        goal = destination(url, self._allowed)
        if isinstance(goal, str):
            return Tried("not-allowed")
        try:
            answer = self._fetcher.fetch(
                "POST",
                Target(goal.host, goal.port, goal.target),
                headers,
                body,
                wants_body=False,
                refuse=lambda found: refuse_addresses(found, self._allowed),
            )
        except TimeoutError:
            return Tried("timed-out")
        except NoAddressError:
            return Tried("no-address")
        except UnreadableError:
            return Tried("unreadable")
        except ssl.SSLCertVerificationError:
            return Tried("untrusted")
        except OSError:
            return Tried("unreachable")
        # Only seconds count; a date is ignored.
        wait = re.fullmatch("[0-9]{1,9}", answer.headers.get("retry-after", ""))
        retry_after = timedelta(seconds=int(wait[0])) if wait else None
        return Tried(_outcome(answer.status), answer.status, retry_after=retry_after)


def _outcome(status: int) -> Outcome:
    if status == 410:
        return "gone"
    return "accepted" if 200 <= status < 300 else "answered"
