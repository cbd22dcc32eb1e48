"""Name every reason for which the service refuses a request, with its HTTP status and its meaning.

A decision returns `Refused(Problem.GENERATION_USED, "generation 3 was asked for before")` as a value. Only an edge
turns it into a problem document, a page, an exit code or an exception. Clients compare members, never their text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self


class Named(StrEnum):
    """Parse names that a newer service may have more of."""

    @classmethod
    def named(cls, name: str) -> Self | str:
        """Return the member of this name, or the name itself where this release lacks it."""
        return next((member for member in cls if member == name), name)


class Problem(Named):
    """List the problems; a member's text is its name on the wire, which never changes."""

    status: int
    meaning: str

    def __new__(cls, name: str, status: int = 0, meaning: str = "") -> Self:
        """Make a member of its name on the wire, its HTTP status and one sentence about it."""
        problem = str.__new__(cls, name)
        problem._value_ = name
        problem.status = status
        problem.meaning = meaning
        return problem

    ACCOUNT_FIXED = "account-fixed", 409, "The account exists with another class or agency, which never change."
    ACCOUNT_UNKNOWN = "account-unknown", 404, "The account doesn't exist, or the caller doesn't reach it."
    ACCOUNT_WITHOUT_ADMIN = "account-without-admin", 409, "The account would lose its last admin."
    ATTEMPT_STALE = "attempt-stale", 409, "A later attempt for the same generation was already answered."
    BODY_TOO_LARGE = "body-too-large", 413, "The request's body has more bytes than the service accepts."
    BODY_TOO_SLOW = "body-too-slow", 408, "The request's body did not arrive in time."
    CANCEL_TOO_LATE = "cancel-too-late", 409, "The rotation can't be cancelled any more."
    CODE_UNKNOWN = "code-unknown", 404, "The link of an invitation or a password reset was used or has expired."
    CREDENTIAL_MISSING = "credential-missing", 404, "The account has no upstream credential."
    CREDENTIAL_NOT_ACCEPTED = "credential-not-accepted", 422, "The upstream did not accept the credential."
    CREDENTIAL_NOT_UPSTREAMS = "credential-not-upstreams", 422, "The credential is this service's own."
    CREDENTIAL_REPLACED = "credential-replaced", 409, "The upstream credential was changed during the request."
    CREDENTIAL_UNREADABLE = "credential-unreadable", 409, "The sealing keys don't open the stored upstream credential."
    DATA_WEBHOOKS_OF_PLATFORM = "data-webhooks-of-platform", 409, "A gateway's data webhooks are the platform's."
    EMAIL_UNVERIFIED = "email-unverified", 403, "The identity provider does not vouch for the email address."
    EXTERNAL_ID_TAKEN = "external-id-taken", 409, "Another integration has this external id."
    FINGERPRINT_UNKNOWN = "fingerprint-unknown", 409, "The generation has no token with this fingerprint."
    GENERATION_ENDED = "generation-ended", 409, "The generation has no working token any more."
    GENERATION_UNKNOWN = "generation-unknown", 422, "The generation was never issued."
    GENERATION_USED = "generation-used", 409, "The generation was issued before, by another run or issuer."
    IDENTITY_OTHER = "identity-other", 403, "The email address belongs to another identity of the provider."
    INTEGRATION_UNKNOWN = "integration-unknown", 404, "The integration doesn't exist, or the caller doesn't reach it."
    INVALID_REQUEST = "invalid-request", 422, "Values of the request are missing, malformed or not allowed."
    KEY_ENDED = "key-ended", 401, "The management key has expired or was revoked."
    KEY_LAST_ADMIN = "key-last-admin", 409, "The service would lose its last admin key."
    KEY_MISSING = "key-missing", 401, "The request carries no management key."
    KEY_NAME_TAKEN = "key-name-taken", 409, "Another management key has this name."
    KEY_NOT_ALLOWED = "key-not-allowed", 403, "The role of the management key does not allow the request."
    KEY_NOT_FOUND = "key-not-found", 404, "The management key to revoke doesn't exist."
    KEY_REPEATED = "key-repeated", 400, "The request carries more than one Authorization header."
    KEY_UNKNOWN = "key-unknown", 401, "The service doesn't know the management key."
    KEY_USED = "key-used", 409, "The new management key was used before; make another one."
    OWNER_NONCE_OLD = "owner-nonce-old", 409, "Another stack or person has taken the integration over."
    OWNER_NONCE_USED = "owner-nonce-used", 409, "The owner nonce was used before and is not the present one."
    PASSWORD_WEAK = "password-weak", 422, "The password is too short or too easy to guess."
    PERMISSION_NOT_THERE = "permission-not-there", 422, "The account's class has no such permission."
    PERMISSION_NOT_YOURS = "permission-not-yours", 403, "You don't have the permission to do this."
    PROVIDER_FAILED = "provider-failed", 502, "The identity provider did not answer, or did not sign the person in."
    REPORTS_TOO_MANY = "reports-too-many", 429, "Too many reports of leaked tokens arrive; wait and repeat it."
    REQUEST_MALFORMED = "request-malformed", 400, "The request breaks the rules of HTTP."
    REQUESTS_TOO_MANY = "requests-too-many", 429, "Too many requests arrive; wait and repeat it."
    ROTATION_NOT_ALLOWED = "rotation-not-allowed", 422, "The service does not allow this rotation policy."
    ROTATION_OPEN = "rotation-open", 409, "Another issuer's new token is not in use yet."
    ROUTE_UNKNOWN = "route-unknown", 404, "The service has no such method and path."
    SCOPE_NOT_ALLOWED = "scope-not-allowed", 422, "An integration of this account can't hold the scope."
    SEALING_KEYS_MISSING = "sealing-keys-missing", 409, "The service runs without sealing keys."
    SIGN_IN_BUSY = "sign-in-busy", 503, "Too many people sign in at the same moment; repeat it."
    SIGN_IN_LOST = "sign-in-lost", 400, "The identity provider's answer belongs to no sign-in of this browser."
    SIGN_IN_REFUSED = "sign-in-refused", 401, "The email address and the password don't belong together."
    SIGN_IN_THROTTLED = "sign-in-throttled", 429, "Too many sign-ins failed; wait and repeat it."
    STORAGE_BUSY = "storage-busy", 503, "Too many changes wait; nothing was changed."
    STORAGE_FULL = "storage-full", 507, "The disk is full; nothing was changed."
    STORAGE_UNAVAILABLE = "storage-unavailable", 503, "The database does not answer, or has not confirmed a change."
    TOO_MANY_LIVE_TOKENS = "too-many-live-tokens", 409, "More superseded tokens would work than the service allows."
    UPSTREAM_MISSING = "upstream-missing", 409, "The service has no upstream: it is no gateway."
    USER_DISABLED = "user-disabled", 409, "The person is disabled on the whole service."
    USER_EXISTS = "user-exists", 409, "The person exists already, or belongs to the account already."
    USER_NOT_INVITED = "user-not-invited", 403, "No account has invited the person."
    USER_UNKNOWN = "user-unknown", 404, "The person doesn't exist, or doesn't belong to the account."
    VERSION_OLD = "version-old", 412, "The record was changed after the version that the request names."
    WEBHOOK_DISABLED = "webhook-disabled", 409, "The webhook is disabled; enable it first."
    WEBHOOK_EVENT_UNKNOWN = "webhook-event-unknown", 422, "There is no webhook event of this name."
    WEBHOOK_LIMIT = "webhook-limit", 409, "The account has as many webhooks as it may have."
    WEBHOOK_NOT_AGENCY = "webhook-not-agency", 422, "The account has no sub-accounts whose events it could receive."
    WEBHOOK_NOT_SERVICE = "webhook-not-service", 409, "A data webhook has no secret of its own."
    WEBHOOK_SECRET_USED = "webhook-secret-used", 409, "The secret is or was one of the account's webhooks'."
    WEBHOOK_SUB_ACCOUNTS = "webhook-sub-accounts", 403, "You don't reach all sub-accounts of the agency."
    WEBHOOK_UNKNOWN = "webhook-unknown", 404, "The webhook doesn't exist, or the caller doesn't reach it."
    WEBHOOK_URL_NOT_ALLOWED = "webhook-url-not-allowed", 422, "The service does not post to this URL."


@dataclass(frozen=True)
class Refused:
    """Refuse a request: the problem, one sentence with its facts, and the same facts for programs."""

    problem: Problem
    detail: str
    about: Mapping[str, object] = field(default_factory=dict)


class EndReason(Named):
    """List why tokens end; a member's text is its name on the wire and in the database, `sentence` is for people."""

    sentence: str

    def __new__(cls, name: str, sentence: str = "") -> Self:
        """Make a member of its name and its sentence, in which `{}` stands for the detail."""
        reason = str.__new__(cls, name)
        reason._value_ = name
        reason.sentence = sentence
        return reason

    OVERLAP_ENDED = "overlap-ended", "overlap ended"
    GAVE_WAY = "gave-way", "gave way to a newer token"
    REPLACED_WITHOUT_OVERLAP = "replaced-without-overlap", "replaced without overlap"
    REPLACED_ON_REQUEST = "replaced-on-request", "replaced on request"
    ISSUED_AGAIN = "issued-again", "answer lost, issued again"
    CANCELLED = "cancelled", "rotation cancelled"
    EXPIRED_ON_REQUEST = "expired-on-request", "expired on request"
    INACTIVE = "inactive", "not used for {}"
    LEAKED = "leaked", "reported as leaked"
    INTEGRATION_DELETED = "integration-deleted", "integration deleted"
    ENDED_BEFORE_LOSS = "ended-before-loss", "ended before the database lost this change"

    def in_words(self, detail: str | None = None) -> str:
        """Return the sentence for people, with its detail."""
        return self.sentence.format(detail)


LOST_WITHOUT_ROTATION = frozenset({EndReason.LEAKED, EndReason.INACTIVE})
"""The reasons that the service itself ends a token for, so that people see the reason."""


class Described(Named):
    """Give each member one line that says when it is used."""

    meaning: str

    def __new__(cls, name: str, meaning: str = "") -> Self:
        """Make a member of its name and its meaning."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.meaning = meaning
        return member


class Event(Described):
    """List the events that the service publishes to webhooks; the names are stable, and later releases have more."""

    ROTATION_DUE = "rotation.due", "The schedule asks for a rotation."
    ROTATION_OVERDUE = "rotation.overdue", "No deployment has carried out a due rotation."
    ROTATION_ROTATED = "rotation.rotated", "A generation was issued."
    ROTATION_DELIVERED = "rotation.delivered", "A new token was used or acknowledged."
    ROTATION_CANCELLED = "rotation.cancelled", "A person went back to the token before."
    TOKEN_RETIRED = "token.retired", "A token ended."
    TOKEN_INACTIVE_WARNING = "token.inactive_warning", "The announced end of an unused token comes nearer."
    TOKEN_EXPIRED_INACTIVE = "token.expired_inactive", "An unused token ended, as announced."
    TOKEN_LEAKED = "token.leaked", "A token was reported as leaked, and ended."
    SCOPE_REFUSED_OFTEN = "scope.refused_often", "Many requests of a day lacked the same scope."
    INTEGRATION_CREATED = "integration.created", "An integration was created."
    INTEGRATION_EDITED = "integration.edited", "An integration was edited or adopted."
    INTEGRATION_DELETED = "integration.deleted", "An integration was deleted."


class AuditAction(Described):
    """List what the audit log records; the text is part of every row's hash, so it never changes."""

    ACKNOWLEDGE = "acknowledge", "A deployment confirmed that it has stored a token."
    ADD_ACCOUNT = "add account", "An account was made known."
    ADOPT = "adopt", "A program or person took an integration over."
    CANCEL = "cancel", "A rotation was cancelled."
    CHANGE_ROLE = "change role", "A person's role or permissions in an account changed."
    CHOOSE_PASSWORD = "choose password", "A person chose a password."
    CREATE = "create", "An integration was created."
    CREATE_KEY = "create key", "A management key was made known."
    CREATE_WEBHOOK = "create webhook", "A webhook was created."
    DELETE = "delete", "An integration was deleted."
    DELETE_WEBHOOK = "delete webhook", "A webhook was deleted."
    DELIVER = "deliver", "A new token was used for the first time."
    DISABLE_USER = "disable user", "A person was locked out of the whole service."
    DISABLE_WEBHOOK = "disable webhook", "The service stopped sending to a webhook."
    EDIT = "edit", "An integration was edited."
    EDIT_WEBHOOK = "edit webhook", "A webhook was edited."
    ENABLE_USER = "enable user", "A disabled person was let in again."
    END_ALL_SESSIONS = "end all sessions", "A person signed out everywhere."
    END_OTHER_SESSIONS = "end other sessions", "A person ended every session but the present one."
    END_SESSION = "end session", "A person ended one session."
    EXPIRE = "expire", "Generations were ended on request."
    FIND_CHANGES_LOST = "find changes lost", "The database lacked changes; tokens that had ended were ended again."
    EXPIRE_INACTIVE = "expire inactive", "The service ended an unused token, as announced."
    INVITE_USER = "invite user", "A person was given a place in an account."
    ISSUE = "issue", "A generation was issued."
    LINK_IDENTITY = "link identity", "A person was linked to an identity of the provider."
    MAKE_SIGN_IN_LINK = "make sign-in link", "A one-time sign-in link was made."
    REMOVE_UPSTREAM_CREDENTIAL = "remove upstream credential", "An upstream credential was removed."
    REMOVE_USER = "remove user", "A person's place in an account was removed."
    RENAME_ACCOUNT = "rename account", "An account got another name."
    REPLACE = "replace", "An integration was deleted, and another one created in its place."
    REPLAY_WEBHOOK = "replay webhook", "Messages of a webhook were sent again."
    REPORT_LEAKED = "report leaked", "A token was reported as leaked, and ended."
    RESEAL_SIGNING_KEY = "reseal signing key", "The signing key was sealed with another sealing key."
    RESEAL_UPSTREAM_CREDENTIAL = "reseal upstream credential", "A credential was sealed with another sealing key."
    RESEAL_WEBHOOK_SECRET = "reseal webhook secret", "A webhook's secret was sealed with another sealing key."
    REVOKE_KEY = "revoke key", "A management key was revoked."
    ROTATE_WEBHOOK_SECRET = "rotate webhook secret", "A webhook got another signing secret."
    SET_DATA_WEBHOOK = "set data webhook", "An integration's data webhook was set."
    SET_INACTIVITY = "set inactivity", "An account got another rule for unused tokens."
    SET_UPSTREAM_CREDENTIAL = "set upstream credential", "An upstream credential was stored."
    SIGN_IN = "sign in", "A person signed in."
    SWITCH_LABS_OFF = "switch labs off", "People were kept from an account's private integrations."
    SWITCH_LABS_ON = "switch labs on", "People were let at an account's private integrations again."
    UNLINK_IDENTITY = "unlink identity", "A person's identities of the provider were forgotten."
    VERIFY_UPSTREAM_CREDENTIAL = "verify upstream credential", "An upstream credential was tried."
