"""Name every `reason` of a refusal of the data API: the service's own word beside the platform's text.

Clients find it in the body's `reason` and in the header `X-PIT-Problem`. Compare members, never the platform's text,
which is the same for several reasons.
"""

from typing import Self

from .outcomes import Named


class Reason(Named):
    """List the reasons; a member's text is its name on the wire, which never changes."""

    status: int
    """The HTTP status of the refusal; the platform gives `location-not-allowed` as 401 on some routes."""
    meaning: str

    def __new__(cls, name: str, status: int = 0, meaning: str = "") -> Self:
        """Make a member of its name on the wire, its usual HTTP status and one sentence about it."""
        reason = str.__new__(cls, name)
        reason._value_ = name
        reason.status = status
        reason.meaning = meaning
        return reason

    @classmethod
    def of_missing(cls, noun: str) -> Self:
        """Return the reason for a record of this noun, as in "Custom field", that doesn't exist. Raises ValueError."""
        return cls(f"{noun.lower().replace(' ', '-')}-not-found")

    TOKEN_MISSING = "token-missing", 401, "The request carries no token."
    TOKEN_MALFORMED = "token-malformed", 401, "The Authorization header holds no token."
    TOKEN_UNKNOWN = "token-unknown", 401, "The service never issued the token."
    TOKEN_EXPIRED = "token-expired", 401, "The token's overlap has ended."
    TOKEN_REVOKED = "token-revoked", 401, "The token was ended in the service."
    TOKEN_INACTIVE = "token-inactive", 401, "The token was ended because it was not used for too long."
    TOKEN_LEAKED = "token-leaked", 401, "The token was ended because it was reported as leaked."
    TOKEN_REPEATED = "token-repeated", 400, "The request carries more than one Authorization header."
    NOT_FOUND = "not-found", 404, "The platform's API has no such method and path."
    VERSION_TOO_OLD = "version-too-old", 404, "The operation exists in v3 only."
    VERSION_MISSING = "version-missing", 401, "The request has no Version header."
    VERSION_UNKNOWN = "version-unknown", 401, "The platform has not published this Version."
    VERSION_MALFORMED = "version-malformed", 400, "The Version has no shape of one."
    VERSION_TOO_NEW = "version-too-new", 400, "The operation was removed in v3."
    CLASS_NOT_ALLOWED = "class-not-allowed", 401, "The operation accepts tokens of the other class of account only."
    ENDPOINT_CLOSED = "endpoint-closed", 401, "No private integration token opens the operation."
    SCOPE_MISSING = "scope-missing", 401, "The integration lacks the scope of the operation."
    LOCATION_NOT_ALLOWED = "location-not-allowed", 403, "The request names a location that the token doesn't reach."
    ACCOUNTS_TOO_MANY = "accounts-too-many", 400, "The request names more accounts than a request may."
    TOKEN_SHARE_USED = "token-share-used", 429, "The token has as many requests at once as it may."
    ACCOUNT_SHARE_USED = "account-share-used", 429, "The account's tokens together have as many requests as they may."
    SERVICE_BUSY = "service-busy", 503, "Too many requests arrive at once."
    RATE_LIMIT_BURST = "rate-limit-burst", 429, "The sandbox's limit of requests in a short time is reached."
    RATE_LIMIT_DAILY = "rate-limit-daily", 429, "The sandbox's limit of requests in a day is reached."
    REQUEST_MALFORMED = "request-malformed", 400, "The request breaks the rules of HTTP."
    BODY_TOO_LARGE = "body-too-large", 413, "The body has more bytes than the service accepts."
    BODY_TOO_SLOW = "body-too-slow", 408, "The body did not arrive in time."
    BODY_MALFORMED = "body-malformed", 400, "The body is not what its Content-Type says."
    INVALID_REQUEST = "invalid-request", 422, "Fields of the body or query are missing or not allowed."
    CONTACT_NOT_FOUND = "contact-not-found", 400, "The account has no such contact."
    NOTE_NOT_FOUND = "note-not-found", 400, "The contact has no such note."
    TASK_NOT_FOUND = "task-not-found", 400, "The contact has no such task."
    BUSINESS_NOT_FOUND = "business-not-found", 400, "The account has no such business."
    LOCATION_NOT_FOUND = "location-not-found", 400, "The agency has no such location."
    TAG_NOT_FOUND = "tag-not-found", 400, "The location has no such tag."
    CUSTOM_FIELD_NOT_FOUND = "custom-field-not-found", 400, "The location has no such custom field."
    CUSTOM_VALUE_NOT_FOUND = "custom-value-not-found", 400, "The location has no such custom value."
    FOLDER_NOT_FOUND = "folder-not-found", 400, "The location has no such folder of custom fields."
    PIPELINE_NOT_FOUND = "pipeline-not-found", 400, "The location has no such pipeline."
    PIPELINE_STAGE_NOT_FOUND = "pipeline-stage-not-found", 400, "The pipeline has no such stage."
    OPPORTUNITY_NOT_FOUND = "opportunity-not-found", 400, "The location has no such opportunity."
    USER_NOT_FOUND = "user-not-found", 400, "The account has no such user."
    DUPLICATE_CONTACT = "duplicate-contact", 400, "The location has a contact with this email address or phone."
    DUPLICATE_TAG = "duplicate-tag", 400, "The location has a tag of this name."
    DUPLICATE_CUSTOM_FIELD = "duplicate-custom-field", 400, "The location has a custom field of this name."
    DUPLICATE_CUSTOM_VALUE = "duplicate-custom-value", 400, "The location has a custom value of this name."
    FOLDER_NOT_EMPTY = "folder-not-empty", 400, "The folder has fields in it."
    FILTER_UNKNOWN = "filter-unknown", 400, "The search has no such field to filter by."
    OPTIONS_MISSING = "options-missing", 400, "A custom field of this type needs options."
    NOT_IMPLEMENTED = "not-implemented", 501, "The sandbox doesn't have the operation."
    STORAGE_UNAVAILABLE = "storage-unavailable", 503, "The database does not answer; nothing was changed."
    STORAGE_BUSY = "storage-busy", 503, "Too many changes wait; nothing was changed."
    PATH_AMBIGUOUS = "path-ambiguous", 400, "The upstream may read the path as another path."
    QUERY_MALFORMED = "query-malformed", 400, "The query has characters that must be percent-encoded."
    HEADER_REPEATED = "header-repeated", 400, "A header that may come once came more than once."
    HEADER_MALFORMED = "header-malformed", 400, "A header has a line break in it."
    FRAMING_UNKNOWN = "framing-unknown", 400, "The body comes with neither one length nor in chunks."
    CLIENT_TIMEOUT = "client-timeout", 408, "The rest of the request did not arrive in time."
    CLIENT_GONE = "client-gone", 499, "The client closed the connection; the refusal is recorded and never sent."
    BODY_ENCODED = "body-encoded", 415, "A body that may name an account is compressed or not in UTF-8."
    BODY_UNREADABLE = "body-unreadable", 415, "A body that may name an account is of an unknown type."
    CONTENT_TYPE_MALFORMED = "content-type-malformed", 415, "The Content-Type is not one media type."
    UPSTREAM_UNREACHABLE = "upstream-unreachable", 502, "The upstream can't be reached."
    UPSTREAM_BROKEN = "upstream-broken", 502, "The upstream's answer is broken or missing."
    UPSTREAM_CREDENTIAL_MISSING = "upstream-credential-missing", 502, "The account has no upstream credential."
    UPSTREAM_CREDENTIAL_REFUSED = "upstream-credential-refused", 502, "The upstream refused the account's credential."
    UPSTREAM_CREDENTIAL_UNREADABLE = (
        "upstream-credential-unreadable",
        503,
        "The sealing keys don't open the credential.",
    )
    UPSTREAM_BUSY = "upstream-busy", 503, "Too many requests wait for the upstream."
    GATEWAY_CLOSING = "gateway-closing", 503, "The service is stopping."
    UPSTREAM_TIMEOUT = "upstream-timeout", 504, "The upstream did not answer in time."
    CHECK_MALFORMED = "check-malformed", 400, "A gateway's check doesn't name the request that it asks about."
    TARGET_MALFORMED = "target-malformed", 400, "The checked request's target is malformed."
    HEADER_NOT_ALLOWED = "header-not-allowed", 400, "A client sent a header that begins with X-PIT-."
    ACCOUNT_NOT_SERVED = "account-not-served", 403, "The checking gateway does not serve the token's account."
    BODY_UNCHECKED = "body-unchecked", 403, "The body may name an account, and the check doesn't see it."
