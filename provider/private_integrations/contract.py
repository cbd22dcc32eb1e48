"""What the management API says: the wire models that provider and service share.

Field names are snake_case, instants RFC 3339 in UTC, durations whole seconds named `…_seconds`.
Answers may gain fields; readers ignore what they don't know. Requests refuse unknown fields.
"""

import base64
import hashlib
import re
import secrets
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, model_validator

API = "/private-integrations/v1"

# The largest generation: a 32-bit number, so every store and every float carries it exactly.
LAST_GENERATION = 2**31 - 1
MAX_SCOPES = 200
SHORTEST_INACTIVITY = 2 * 86_400
"""Seconds: a token must be unused for at least so long, or there would be no day to warn of it."""
LONGEST_INACTIVITY = 366 * 86_400
"""Seconds: for so long at most, since last uses are not remembered for ever."""
MAX_LEAKED = 100
"""How many tokens one report may name."""

CANCELLED = "rotation cancelled"
"""Why a token ended that a cancelled rotation had issued: the one reason that programs act on."""

UNUSED = "not used for "
"""How the reason begins for which a token ended that nobody had used for so long."""

LEAKED = "reported as leaked"
"""Why a token ended that somebody who held it had reported."""

TOKEN_PATTERN = re.compile(r"pit-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The shape of a token: `pit-` and 16 random bytes as 8-4-4-4-12 lower-case hex digits."""


KEY_PREFIX = "pmk-"
"""Management keys have another prefix than tokens, so that neither is ever taken for the other."""


def new_management_key() -> str:
    """A management key: `pmk-` and 256 random bits. Whoever makes one keeps it; the service learns its digest."""
    return KEY_PREFIX + secrets.token_hex(32)


SEALING_KEY_PREFIX = "psk-"
"""Sealing keys stay with the service's operator and are never sent to it; nothing else begins like this."""


def new_sealing_key() -> str:
    """A sealing key: `psk-` and 256 random bits. The operator keeps it outside the service's data folder."""
    return SEALING_KEY_PREFIX + secrets.token_hex(32)


def fingerprint(digest: bytes) -> str:
    """The first 12 hex digits of a token's SHA-256 digest: enough to tell tokens apart, useless to forge one."""
    return digest.hex()[:12]


def digest_of(value: str | bytes) -> bytes:
    """The 32 bytes that are stored in place of a token or key."""
    return hashlib.sha256(value.encode() if isinstance(value, str) else value).digest()


def token_fingerprint(token: str) -> str:
    """The fingerprint of a token given in clear."""
    return fingerprint(digest_of(token))


def instant_text(value: datetime) -> str:
    """An instant for people: `2026-11-20T00:00Z`, with seconds only where they aren't zero."""
    utc = value.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%SZ" if utc.second else "%Y-%m-%dT%H:%MZ")


def rfc3339(value: datetime) -> str:
    """An instant for programs: UTC with milliseconds, as in `2026-11-20T00:00:00.000Z`."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fault_message(fault: Mapping[str, Any]) -> str:
    """What is wrong with a value, from one of pydantic's errors; never the value."""
    return str(fault["msg"]).removeprefix("Value error, ")


def fault_reason(fault: Mapping[str, Any]) -> str:
    """The same, to go on within a sentence."""
    message = fault_message(fault)
    return message[:1].lower() + message[1:]


def _one_line(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return _without_controls(value, allowed="")


def _lines(value: str) -> str:
    return _without_controls(value, allowed="\n\t")


def _without_controls(value: str, *, allowed: str) -> str:
    if any(unicodedata.category(character) == "Cc" and character not in allowed for character in value):
        raise ValueError("must not contain control characters")
    return value


def _bearer_value(value: str) -> str:
    if not re.fullmatch("[!-~]+", value):
        raise ValueError("must be printable ASCII without spaces: the token alone, without `Bearer` before it")
    return value


def _each_once(value: list[str]) -> list[str]:
    return sorted(set(value))


Instant = Annotated[AwareDatetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_one_line)]
Description = Annotated[str, Field(max_length=1000), AfterValidator(_lines)]
Identifier = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]
AccountId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Credential = Annotated[str, Field(min_length=1, max_length=4096, repr=False), AfterValidator(_bearer_value)]
Email = Annotated[str, Field(min_length=3, max_length=254, pattern=r"^[^@/\s\x00-\x1f]+@[^@/\s\x00-\x1f]+$")]
ExternalId = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_one_line)]
Scopes = Annotated[
    list[Annotated[str, Field(max_length=100)]],
    Field(min_length=1, max_length=MAX_SCOPES),
    AfterValidator(_each_once),
]
Generation = Annotated[int, Field(ge=1, le=LAST_GENERATION)]
Seconds = Annotated[int, Field(ge=0, le=100 * 366 * 86_400)]


class Request(BaseModel):
    """A body that somebody sends us: unknown fields are a mistake."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """A body that the service sends: unknown fields are from a newer service."""

    # Built when first used: a provider's process starts with every engine command and reads two or three of them.
    model_config = ConfigDict(extra="ignore", defer_build=True)


class RotationPolicy(Request):
    """When the token is to be rotated, as declared; the service only warns, a deployment rotates.

    `schedule` is a five-field cron expression in the IANA zone `timezone`; with it there is no `every_seconds`.
    """

    every_seconds: Annotated[int, Field(ge=1, le=100 * 366 * 86_400)] | None = None
    schedule: Annotated[str, Field(max_length=200), AfterValidator(_one_line)] | None = None
    timezone: Annotated[str, Field(max_length=100)] | None = None
    overlap_seconds: Seconds
    early_window_seconds: Seconds = 0
    enabled: bool = True

    @model_validator(mode="after")
    def _one_rule(self) -> "RotationPolicy":
        if self.schedule is not None and self.every_seconds is not None:
            raise ValueError("give every_seconds or schedule, not both")
        if self.timezone is not None and self.schedule is None:
            raise ValueError("timezone is only used with schedule")
        return self


class Account(Answer):
    """An account that integrations live in."""

    id: str
    name: str
    kind: Literal["agency", "sub_account"]
    agency_id: str | None = None


class AccountList(Answer):
    """All accounts that the key may see."""

    accounts: list[Account]


InactivityRule = Literal["service", "off", "after"]
"""When tokens that nobody uses are ended: as the service is set, never, or after a time of the account's own."""


class InactivityRequest(Request):
    """Say when an account's tokens that nobody uses are ended; `after_seconds` belongs to the rule `after`."""

    rule: InactivityRule
    after_seconds: Annotated[int, Field(ge=SHORTEST_INACTIVITY, le=LONGEST_INACTIVITY)] | None = None

    @model_validator(mode="after")
    def _one_time(self) -> "InactivityRequest":
        if (self.rule == "after") != (self.after_seconds is not None):
            raise ValueError('after_seconds belongs to the rule "after", and to no other')
        return self


class Inactivity(Answer):
    """The account's rule, and what it comes to: after how long a token that nobody uses is ended, None for never."""

    account: str
    rule: InactivityRule
    after_seconds: int | None


class AccountRequest(Request):
    """Make an account known under the id that it has on the platform, or change its name.

    A sub-account belongs to an agency, which is known here already.
    """

    name: Name
    kind: Literal["agency", "sub_account"] = "sub_account"
    agency_id: AccountId | None = None

    @model_validator(mode="after")
    def _within(self) -> "AccountRequest":
        if (self.kind == "agency") != (self.agency_id is None):
            raise ValueError("a sub-account belongs to an agency (agency_id), and an agency to none")
        return self


class IntegrationRequest(Request):
    """Create an integration, replace the remains of an interrupted creation, or adopt one.

    `claim` is the owner's mark: a random value made for one creation. `replaces` names an
    integration that never had a token asked for; `adopts` one to take over as it is, tokens and all,
    from the owner whose claim is `adopts_from`, so that a late adoption takes nothing from a newer one.
    """

    account: Identifier
    name: Name
    description: Description = ""
    scopes: Scopes
    rotation: RotationPolicy | None = None
    claim: Identifier
    replaces: Identifier | None = None
    adopts: Identifier | None = None
    adopts_from: Identifier | None = None


class IntegrationEdit(Request):
    """Change what is given, leave the rest; `rotation: null` ends the schedule."""

    name: Name | None = None
    description: Description | None = None
    scopes: Scopes | None = None
    rotation: RotationPolicy | None = None


class Integration(Answer):
    """An integration as the service knows it; never a secret, never a digest."""

    id: str
    account: str
    external_id: str
    name: str
    description: str
    scopes: list[str]
    rotation: RotationPolicy | None
    claim: str
    version: int
    last_generation: int
    held_until: Instant | None = None
    created_at: Instant
    updated_at: Instant


class IntegrationList(Answer):
    """A page of integrations; `cursor` asks for the next one and is empty on the last."""

    integrations: list[Integration]
    cursor: str | None = None


class Secret(Answer):
    """One token of an integration, without its value.

    `pending` works already but was not used yet; `current` is in use; `previous` was superseded and
    lives until `expires_at`; `ended` opens nothing any more.
    """

    generation: int
    role: Literal["pending", "current", "previous", "ended"]
    fingerprint: str
    issuer: str
    issued_at: Instant
    delivered_at: Instant | None
    expires_at: Instant | None
    ended_at: Instant | None
    ended_because: str | None = None
    overlap_seconds: int
    last_used_at: Instant | None = None
    """Its last authenticated use while it was live. Only where it was asked for; else, and if no use is known, None."""


class UnusedToken(Answer):
    """The only token that works was not used since `since`: it is ended at `ends_at` unless somebody uses it."""

    generation: int
    since: Instant
    ends_at: Instant


class TokenState(Answer):
    """All that is known of an integration's tokens: the live ones and the latest ended ones.

    After a cancelled rotation the schedule is not due before `held_until`. `unused` is there once the end of a
    token that nobody uses was announced.
    """

    integration_id: str
    external_id: str
    last_generation: int
    held_until: Instant | None = None
    unused: UnusedToken | None = None
    secrets: list[Secret]

    @property
    def present(self) -> Secret | None:
        """The secret in use, else the one that waits for its first use."""
        return self.in_role("current") or self.in_role("pending")

    @property
    def newest(self) -> Secret | None:
        """The secret that a rule counts from: the one that waits for its first use, else the one in use."""
        return self.in_role("pending") or self.in_role("current")

    def in_role(self, role: str) -> Secret | None:
        """The newest secret in this role."""
        found = [secret for secret in self.secrets if secret.role == role]
        return max(found, key=lambda secret: secret.generation, default=None)

    def of_generation(self, generation: int) -> Secret | None:
        """The secret of this generation: the live one, else the last that was issued for it."""
        found = [secret for secret in reversed(self.secrets) if secret.generation == generation]
        return max(found, key=lambda secret: (secret.role != "ended", secret.issued_at), default=None)


class TokenStates(Answer):
    """The tokens asked for and the service's clock, the only one that decides."""

    now: Instant
    tokens: list[TokenState]
    cursor: str | None = None


class Deletion(Answer):
    """Whether something was deleted; not, when it was gone, or the claim given is not the present owner's."""

    deleted: bool


class GenerationRequest(Request):
    """Make a generation exist.

    `issuer` says who asks, `run` which process, `attempt` counts within the run (an answer may be
    lost), `holding` is the generation that the sender has stored safely. With `replace_pending` a
    person ends what somebody else has issued and nobody has used yet. `owner` is the external id that
    the sender acts for: a former owner's request is refused, however late it arrives.
    """

    issuer: ExternalId
    run: Identifier
    attempt: Generation
    holding: Annotated[int, Field(ge=0, le=LAST_GENERATION)] | None = None
    replace_pending: bool = False
    owner: ExternalId | None = None
    overlap_seconds: Seconds
    reason: Annotated[str, Field(max_length=500), AfterValidator(_lines)] = ""


class IssuedToken(Answer):
    """The only answer that carries a token, and it is given once."""

    token: str
    generation: int
    fingerprint: str
    issued_at: Instant


class Acknowledgement(Request):
    """The token with this fingerprint is safely stored."""

    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]


class Expiry(Request):
    """The generations to end at once."""

    generations: Annotated[list[Generation], Field(min_length=1, max_length=100)]


class LeakReport(Request):
    """Tokens that somebody found where none should be, and where that was; whoever holds a token may report it.

    What isn't shaped like a token is no error: it opens nothing anyway.
    """

    tokens: Annotated[
        list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=MAX_LEAKED, repr=False)
    ]
    where: Annotated[str, Field(max_length=1000)] = ""


class LeakReceipt(Answer):
    """None of the tokens that were reported opens anything now; `ended` of them did until then."""

    received: int
    ended: int


class AlarmReport(Answer):
    """Something that a person should look at; the alarm itself never ends a token."""

    integration_id: str
    name: str
    account: str
    external_id: str
    kind: str
    since: Instant
    detail: str


class Health(Answer):
    """How it stands with the rotations: `ok`, or `attention` and the alarms."""

    status: Literal["ok", "attention"]
    now: Instant
    alarms: list[AlarmReport]


Role = Literal["admin", "deployer", "viewer", "introspector"]


class KeyRequest(Request):
    """Make a management key known: the caller keeps the key itself and sends its SHA-256 digest.

    A `deployer` works in the `accounts` named and in no other; a `viewer` only reads and an `introspector` only
    asks what tokens open, there or everywhere without any; an `admin` does everything.
    """

    role: Role
    accounts: Annotated[list[Identifier], Field(max_length=1000), AfterValidator(_each_once)] = []
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    lifetime_seconds: Annotated[int, Field(ge=1, le=100 * 366 * 86_400)] | None = None

    @model_validator(mode="after")
    def _bound(self) -> "KeyRequest":
        if self.role == "deployer" and not self.accounts:
            raise ValueError("a deployer's key is bound to accounts: name at least one")
        if self.role == "admin" and self.accounts:
            raise ValueError("an admin's key is bound to no account")
        return self


class Key(Answer):
    """A management key without its value; `accounts` is empty where it is bound to none."""

    id: str
    name: str
    role: Role
    accounts: list[str]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None


class KeyList(Answer):
    """Every key that was ever made, the ended ones too, and the service's clock, which says whether they live."""

    now: Instant
    keys: list[Key]


class MembershipRequest(Request):
    """A person's place in an account: an admin manages its private integrations unless that is taken away."""

    account: AccountId
    role: Literal["admin", "user"] = "admin"


class UserRequest(Request):
    """A person who uses the settings pages, and where they belong."""

    name: Name | None = None
    memberships: Annotated[list[MembershipRequest], Field(min_length=1, max_length=1000)]


class Invitation(Answer):
    """A one-time code to choose a password with; it is in this answer only. None where people sign in otherwise."""

    user_id: str
    email: str
    code: str | None = None
    expires_at: Instant | None = None


PermissionSource = Literal["default", "given", "taken"]
"""Where a permission comes from: from the role, or given to this person, or taken from them."""


class MembershipEdit(Request):
    """A person's place in an account: what isn't given stays as it is; a new place is a user's unless said otherwise.

    `own` is the permission to manage the account's private integrations, `sub_accounts`, of agencies, that to manage
    those of its sub-accounts; by default admins have both and others none.
    """

    role: Literal["admin", "user"] | None = None
    own: PermissionSource | None = None
    sub_accounts: PermissionSource | None = None


class UserPlace(Answer):
    """Where a person belongs, as what, and where their permissions there come from."""

    account: str
    role: Literal["admin", "user"]
    own: PermissionSource
    sub_accounts: PermissionSource


class UserReport(Answer):
    """A person who uses the settings pages; never a password, a session or a code."""

    id: str
    email: str
    name: str
    created_at: Instant
    disabled_at: Instant | None
    has_password: bool
    memberships: list[UserPlace]


class UserList(Answer):
    """Every person, the disabled ones too."""

    users: list[UserReport]


DEPLOYMENT_AGENT = "private-integrations-deployment/"
"""What the agent of a deployment begins with: it says who asks to people, and opens nothing."""


AUDIT_CURSOR = "Audit-Cursor"
"""The header of an exported part of the audit log that asks for the rows behind it."""


class AuditEntry(Answer):
    """A row of the audit log: who did what, when, from where, chained to the row before (see `chain`).

    `account` is None for what belongs to no account, such as management keys and users. `at` is RFC 3339 in UTC, as
    long as nobody has tampered with the row. `agent` is what the caller's program says of itself.
    """

    account: str | None
    sequence: int
    at: str
    actor: str
    address: str
    agent: str
    action: str
    integration_id: str | None
    detail: dict[str, Any]
    previous: str
    hash: str

    @property
    def kind(self) -> str:
        """What the actor is: `person`, `key`, `deployment`, or `service` for what it does by itself or for a token."""
        if self.agent.startswith(DEPLOYMENT_AGENT):
            return "deployment"
        kind = self.actor.partition("/")[0]
        return kind if kind in ("person", "key") else "service"

    @property
    def who(self) -> str:
        """The actor without the id behind the name: `person/ada@example.com`, `key/ci`."""
        return self.actor.rpartition("/")[0] or self.actor

    @property
    def instant(self) -> datetime | None:
        """When it was; None where `at` is no instant."""
        try:
            return datetime.fromisoformat(self.at)
        except ValueError:
            return None

    @property
    def in_words(self) -> str:
        """The detail in one line, without brackets and quotes; empty if there is none."""
        return ", ".join(f"{name} {_plain(value)}" for name, value in self.detail.items())


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_plain, value)) or "-"
    if isinstance(value, dict):
        return " ".join(f"{name} {_plain(item)}" for name, item in value.items())
    return "-" if value is None else " ".join(str(value).split())


class AuditPage(Answer):
    """Rows of the audit log, the newest first; `cursor` asks for older ones and is empty where there are none."""

    entries: list[AuditEntry]
    cursor: str | None = None


class UpstreamRequest(Request):
    """The credential that requests for an account are sent to the upstream with.

    With `verify` the upstream is asked first, and only what it accepts is stored.
    """

    credential: Credential
    verify: bool = False


Outcome = Literal["accepted", "refused", "unexpected", "timed-out", "untrusted", "unreachable"]
"""What came of asking the upstream with a credential: a 2xx; a 401 or 403; another status; no answer in time; a
certificate that is not trusted; no connection."""


class Verification(Answer):
    """When the upstream was asked with a credential and what came of it; `status` is that of its answer, if any."""

    at: Instant
    outcome: Outcome
    status: int | None = None

    @property
    def in_words(self) -> str:
        """What came out, in one line."""
        return {
            "accepted": f"the upstream accepts it ({self.status})",
            "refused": f"the upstream refuses it ({self.status}): it ended there, or may not read its own location",
            "unexpected": f"the upstream answers {self.status}, which says nothing about it",
            "timed-out": "the upstream does not answer in time",
            "untrusted": "the upstream's certificate is not trusted",
            "unreachable": "the upstream can't be reached",
        }[self.outcome]


class UpstreamCredential(Answer):
    """What is known of an account's upstream credential; never the credential.

    `sealed_with` is the id of the key that it is sealed with; not `readable`: that key isn't at hand, or what is
    stored was tampered with. `verification` is the last one.
    """

    account: str
    set_at: Instant
    set_by: str
    sealed_with: str
    readable: bool
    verification: Verification | None = None


class UpstreamCredentialList(Answer):
    """The upstream credentials of the accounts that the key reaches."""

    upstreams: list[UpstreamCredential]


class Resealed(Answer):
    """How many credentials were sealed anew with the first key, how many were already, and which can't be opened."""

    sealed_with: str
    resealed: int
    unchanged: int
    unreadable: list[str]


Period = Literal["day", "week", "month"]
"""What an activity is asked for: 24 hours, 168 hours, or 30 days in UTC; the last one is the current one."""


class ScopeActivity(Answer):
    """What was asked of a scope: `requests` let through by the period's parts, and how many were refused.

    `granted`: the integration holds it. `last_used_at` is the last request let through, also before the period.
    """

    scope: str
    granted: bool
    requests: list[int]
    refused: int
    last_used_at: Instant | None = None


class GenerationActivity(Answer):
    """What was asked with the token of a generation: `requests` let through by the period's parts, and refusals.

    `role` is `ended` too where the token is no more among those that are shown. `last_used_at` is its last
    authenticated use while it was live, whatever was answered.
    """

    generation: int
    role: Literal["pending", "current", "previous", "ended"]
    requests: list[int]
    refused: int
    last_used_at: Instant | None = None


class RefusalActivity(Answer):
    """Requests refused for one reason, and what helps; `scope` is the one that was needed, empty if none is known."""

    reason: str
    scope: str
    requests: int
    last_at: Instant
    remedy: str


class CallerActivity(Answer):
    """Who used the token of a generation: an address and the program that it named; empty where unknown.

    Counted since `first_at`, not since the period's beginning.
    """

    generation: int
    address: str
    agent: str
    requests: int
    first_at: Instant
    last_at: Instant


class UnusedScope(Answer):
    """A scope that was granted and not used in 90 days, all of them observed; `observed_since` is since when."""

    scope: str
    last_used_at: Instant | None
    observed_since: Instant


class Hint(Answer):
    """What the activity asks somebody to do, in a sentence; `change` is what to do it with, line by line, if known.

    `scopes-unused`, `scope-missing`: the line of the Pulumi program as it is (`-`) and as it should be (`+`), or a
    command. `previous-in-use`: a superseded token that still works. `ended-in-use`: one that does not.
    """

    kind: Literal["scopes-unused", "scope-missing", "previous-in-use", "ended-in-use"]
    text: str
    change: list[str] = []


class ActivityReport(Answer):
    """What an integration's tokens were used for in a period, in equal parts of it, and what that says.

    `recorded_until` is None while nothing is recorded; `observed_since` is since when there is no gap.
    """

    integration_id: str
    now: Instant
    period: Period
    since: Instant
    part_seconds: int
    requests: list[int]
    """Let through, by the period's parts, the oldest first."""
    refused: list[int]
    recorded_until: Instant | None
    observed_since: Instant | None
    scopes: list[ScopeActivity]
    generations: list[GenerationActivity]
    refusals: list[RefusalActivity]
    callers: list[CallerActivity]
    unused: list[UnusedScope]
    hints: list[Hint]


WEBHOOK_EVENTS = (
    "rotation.due",
    "rotation.overdue",
    "rotation.rotated",
    "rotation.delivered",
    "rotation.cancelled",
    "token.retired",
    "token.inactive_warning",
    "token.expired_inactive",
    "token.leaked",
    "scope.refused_often",
    "integration.created",
    "integration.edited",
    "integration.deleted",
)
"""What the service tells of; the names are stable, and more may come."""

PING = "ping"
"""The event that tests an endpoint; it is sent to one, whatever it is subscribed to."""

WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of Standard Webhooks, no secret


def new_webhook_secret() -> str:
    """A signing secret: `whsec_` and 256 random bits in base64, as Standard Webhooks writes them."""
    return WEBHOOK_SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


_SIGNING_SHAPE = r"^whsec_([A-Za-z0-9+/]{4}){8,21}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


def _signing_secret(value: str) -> str:
    # The shape leaves room for a byte too much.
    if not re.fullmatch(_SIGNING_SHAPE, value) or len(base64.b64decode(value.partition("_")[2])) > 64:
        raise ValueError(f"must be {WEBHOOK_SECRET_PREFIX} and 24 to 64 random bytes in base64")
    return value


WebhookUrl = Annotated[str, Field(min_length=1, max_length=2048)]
WebhookSecret = Annotated[
    str, Field(repr=False, json_schema_extra={"pattern": _SIGNING_SHAPE}), AfterValidator(_signing_secret)
]
WebhookEvents = Annotated[
    list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=100), AfterValidator(_each_once)
]


class WebhookRequest(Request):
    """Have an account's events sent to a URL, signed with `secret`, which the caller makes and keeps.

    `events` null means all of them, those of later releases too. With `sub_accounts`, what happens in an agency's
    sub-accounts is sent as well.
    """

    account: Identifier
    url: WebhookUrl
    secret: WebhookSecret
    events: WebhookEvents | None = None
    description: Description = ""
    sub_accounts: bool = False


class WebhookEdit(Request):
    """Change what is given, leave the rest; `events: null` means all of them. `enabled` ends or resumes sending."""

    url: WebhookUrl | None = None
    events: WebhookEvents | None = None
    description: Description | None = None
    sub_accounts: bool | None = None
    enabled: bool | None = None


class WebhookSecretRequest(Request):
    """Sign with this secret from now on, and for the overlap with the one before it too."""

    secret: WebhookSecret
    overlap_seconds: Annotated[int, Field(ge=0, le=30 * 86_400)] = 86_400


class Webhook(Answer):
    """Where events are sent; never its secret.

    `disabled_because` says why nothing is sent, null if it is; `failing_since` is the first failed attempt since the
    last accepted one, `waiting` the number of messages that are still to be sent, `former_secret_until` how long the
    secret before the present one signs too. `secret_readable` is false if the service's sealing keys don't open it.
    """

    id: str
    account: str
    kind: str
    integration_id: str | None
    url: str
    events: list[str] | None
    description: str
    sub_accounts: bool
    created_at: Instant
    created_by: str
    disabled_at: Instant | None
    disabled_because: str | None
    failing_since: Instant | None
    former_secret_until: Instant | None
    secret_readable: bool
    waiting: int


class WebhookList(Answer):
    """Webhooks, the oldest first."""

    webhooks: list[Webhook]


class DataWebhookRequest(Request):
    """Have the events of the data that an integration may read sent to a URL; `events` null means all of them."""

    url: WebhookUrl
    events: WebhookEvents | None = None
    description: Description = ""


class DataWebhook(Answer):
    """What there is to know of an integration's data webhook; `webhook`, its id, and `url` are null without one.

    `events` are those that it is told of now: its scopes count, and what it asked for. Each names the integration as
    `appId`, and is signed with the service's Ed25519 key: `public_key` is SPKI in base64, null as long as nobody has a
    data webhook.
    """

    integration: str
    webhook: str | None
    url: str | None
    events: list[str]
    app_id: str
    version_id: str
    public_key: str | None


class WebhookAttempt(Answer):
    """One try to send a message: what came of it, as a stable word, and the status of the answer if there was one."""

    at: Instant
    outcome: str
    status: int | None
    milliseconds: int

    @property
    def in_words(self) -> str:
        """What came of it, in a few words."""
        return {
            "accepted": f"accepted ({self.status})",
            "answered": f"answered {self.status}",
            "gone": "answered 410 Gone",
            "timed-out": "no answer in time",
            "unreachable": "no connection, or it broke off",
            "untrusted": "its certificate is not trusted, or is another name's",
            "unreadable": "its answer is no HTTP",
            "not-allowed": "its URL may not be asked",
            "no-address": "its name has no address that may be asked",
            "secret-sealed": "its secret can't be opened with the service's sealing keys",
        }.get(self.outcome, self.outcome)


class WebhookDelivery(Answer):
    """A message for a webhook: `waiting` for its next attempt, `delivered`, or `failed` and to be replayed."""

    message_id: str
    event: str
    created_at: Instant
    state: Literal["waiting", "delivered", "failed"]
    next_attempt_at: Instant | None
    settled_at: Instant | None
    attempts: list[WebhookAttempt]


class WebhookDeliveryList(Answer):
    """A page of messages, the newest first; `cursor` asks for the next page and is empty on the last."""

    deliveries: list[WebhookDelivery]
    cursor: str | None = None


class ReplayRequest(Request):
    """Send these messages again, under their ids, or all that failed since an instant."""

    messages: Annotated[list[Identifier], Field(max_length=1000)] = []
    failed_since: AwareDatetime | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "ReplayRequest":
        if bool(self.messages) == (self.failed_since is not None):
            raise ValueError("give messages or failed_since")
        return self


class Replayed(Answer):
    """How many messages are sent again."""

    replayed: int


class Pinged(Answer):
    """The message that was sent to test a webhook."""

    message_id: str


class Introspection(Answer):
    """What a token opens (RFC 7662); anything that isn't live is `{"active": false}` and nothing more.

    `client_id` is the integration, `sub` the account, instants are whole seconds since 1970 in UTC. An answer
    may be used again until `cache_until`, at most a second later: revoking holds at once only for those who ask.
    """

    active: bool
    client_id: str | None = None
    sub: str | None = None
    token_type: Literal["Bearer"] | None = None
    iat: int | None = None
    cache_until: int | None = None
    integration_id: str | None = None
    integration: str | None = None
    account: str | None = None
    scope: str | None = None
    generation: int | None = None
    role: str | None = None
    exp: int | None = None


class Problem(Answer):
    """RFC 9457 problem details; `type` is stable, everything beyond `detail` belongs to the type."""

    model_config = ConfigDict(extra="allow", defer_build=True)

    type: str
    title: str
    status: int
    detail: str

    @property
    def slug(self) -> str:
        """The problem's stable short name, such as `external-id-taken`."""
        return self.type.removeprefix(PROBLEM_PREFIX)

    @property
    def about(self) -> dict[str, Any]:
        """The members beyond the standard ones."""
        return dict(self.model_extra or {})


PROBLEM_PREFIX = "urn:private-integrations:problem:"
