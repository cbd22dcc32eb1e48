"""The gateway's own refusals; the upstream's answers never have these reasons."""

from collections.abc import Mapping
from types import MappingProxyType

from private_integrations.contract import Reason

from ..authorizer.replies import ACCOUNT_SHARE_USED, TOKEN_SHARE_USED, PlatformError
from ..http.fair_shares import Short

_BAD_REQUEST: Mapping[str, object] = {"error": "Bad Request"}
_UNSUPPORTED: Mapping[str, object] = {"error": "Unsupported Media Type"}

PATH_AMBIGUOUS = PlatformError(
    400, Reason.PATH_AMBIGUOUS, "The path has characters that the upstream may read as another path", _BAD_REQUEST
)
QUERY_MALFORMED = PlatformError(
    400, Reason.QUERY_MALFORMED, "The query has characters that must be percent-encoded", _BAD_REQUEST
)
FRAMING_UNKNOWN = PlatformError(
    400,
    Reason.FRAMING_UNKNOWN,
    "A body comes with one Content-Length, or with Transfer-Encoding: chunked and nothing else",
    _BAD_REQUEST,
)
HEADER_MALFORMED = PlatformError(400, Reason.HEADER_MALFORMED, "A header has a line break in it", _BAD_REQUEST)
BODY_TOO_LARGE = PlatformError(413, Reason.BODY_TOO_LARGE, "request entity too large", {"error": "Payload Too Large"})
BODY_MALFORMED = PlatformError(400, Reason.BODY_MALFORMED, "The body is not what its Content-Type says", _BAD_REQUEST)
BODY_ENCODED = PlatformError(
    415,
    Reason.BODY_ENCODED,
    "A body that may name an account comes in UTF-8 and without Content-Encoding",
    _UNSUPPORTED,
)
BODY_UNREADABLE = PlatformError(
    415,
    Reason.BODY_UNREADABLE,
    "This operation may name an account: its body must be JSON, a urlencoded form or multipart/form-data",
    _UNSUPPORTED,
)
CONTENT_TYPE_MALFORMED = PlatformError(
    415, Reason.CONTENT_TYPE_MALFORMED, "The Content-Type is not one media type with each parameter once", _UNSUPPORTED
)
CLIENT_TIMEOUT = PlatformError(
    408, Reason.CLIENT_TIMEOUT, "The rest of the request did not come", {"error": "Request Timeout"}
)
CLIENT_GONE = PlatformError(499, Reason.CLIENT_GONE, "The client closed the connection")
"""Ends the exchange; it is not sent, as the client is gone."""

CREDENTIAL_MISSING = PlatformError(
    502, Reason.UPSTREAM_CREDENTIAL_MISSING, "The gateway has no upstream credential for this account"
)
CREDENTIAL_UNREADABLE = PlatformError(
    503, Reason.UPSTREAM_CREDENTIAL_UNREADABLE, "The upstream credential of this account can't be opened"
)
UNREACHABLE = PlatformError(502, Reason.UPSTREAM_UNREACHABLE, "The upstream can't be reached")
BROKEN = PlatformError(502, Reason.UPSTREAM_BROKEN, "The upstream's answer is broken")
CLOSED_UNANSWERED = PlatformError(502, Reason.UPSTREAM_BROKEN, "The upstream closed the connection without an answer")
STALE = PlatformError(502, Reason.UPSTREAM_BROKEN, "The upstream closed a kept connection without an answer")
"""The upstream may have closed it before the request arrived: the only case in which a request is sent again."""
TIMEOUT = PlatformError(504, Reason.UPSTREAM_TIMEOUT, "The upstream did not answer in time")
BUSY = PlatformError(503, Reason.UPSTREAM_BUSY, "Too many requests wait for the upstream")
OF_SHARE: Mapping[Short, PlatformError] = MappingProxyType(
    {Short.TOKEN: TOKEN_SHARE_USED, Short.ACCOUNT: ACCOUNT_SHARE_USED, Short.ALL: BUSY}
)
"""The refusals for lack of a connection, or of memory for a body, by the share that is used up."""
CLOSING = PlatformError(503, Reason.GATEWAY_CLOSING, "The service is stopping")


def header_repeated(name: bytes) -> PlatformError:
    """Refuse a repeated header, of which the upstream might read another one than the gateway."""
    return PlatformError(400, Reason.HEADER_REPEATED, f"More than one {name.decode()} header was sent", _BAD_REQUEST)


def credential_refused(said: str | None) -> PlatformError:
    """Answer the upstream's 401, which is about the gateway's credential, not about the consumer's token."""
    about = {} if said is None else {"upstreamMessage": said}
    return PlatformError(
        502, Reason.UPSTREAM_CREDENTIAL_REFUSED, "The upstream refused the credential of this account", about
    )
