"""Webhooks, and data webhooks: where events are sent and what came of it."""

import base64
import re
import secrets
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from .values import Description, Identifier, Instant, RequestModel, ResponseModel, each_once

PING = "ping"
"""The event that tests an endpoint; it is sent to one, with any subscription."""

WEBHOOK_SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of Standard Webhooks, no secret


def new_webhook_secret() -> str:
    """Return a signing secret: `whsec_` and 256 random bits in base64, as Standard Webhooks writes them."""
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
    list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=100), AfterValidator(each_once)
]


class WebhookRequest(RequestModel):
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


class WebhookEdit(RequestModel):
    """Change what is given, leave the rest; `events: null` means all of them. `enabled` ends or resumes sending."""

    url: WebhookUrl | None = None
    events: WebhookEvents | None = None
    description: Description | None = None
    sub_accounts: bool | None = None
    enabled: bool | None = None


class WebhookSecretRequest(RequestModel):
    """Sign with this secret from now on, and for the overlap with the one before it too."""

    secret: WebhookSecret
    overlap_seconds: Annotated[int, Field(ge=0, le=30 * 86_400)] = 86_400


class Webhook(ResponseModel):
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


class WebhookList(ResponseModel):
    """Webhooks, the oldest first."""

    webhooks: list[Webhook]


class DataWebhookRequest(RequestModel):
    """Have the events of the data that an integration may read sent to a URL; `events` null means all of them."""

    url: WebhookUrl
    events: WebhookEvents | None = None
    description: Description = ""


class DataWebhook(ResponseModel):
    """Describe an integration's data webhook; `webhook`, its id, and `url` are null without one.

    `events` are those that it receives now: its scopes count, and what it asked for. Each names the integration as
    `appId`, and is signed with the service's Ed25519 key: `public_key` is SPKI in base64, null until the first data
    webhook is made.
    """

    integration: str
    webhook: str | None
    url: str | None
    events: list[str]
    app_id: str
    version_id: str
    public_key: str | None


class WebhookAttempt(ResponseModel):
    """One try to send a message: what came of it, as a stable word, and the status of the answer if there was one."""

    at: Instant
    outcome: str
    status: int | None
    milliseconds: int

    @property
    def in_words(self) -> str:
        """Return what came of it, in a few words."""
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


class WebhookDelivery(ResponseModel):
    """A message for a webhook: `waiting` for its next attempt, `delivered`, or `failed` and to be replayed."""

    message_id: str
    event: str
    created_at: Instant
    state: Literal["waiting", "delivered", "failed"]
    next_attempt_at: Instant | None
    settled_at: Instant | None
    attempts: list[WebhookAttempt]


class WebhookDeliveryList(ResponseModel):
    """A page of messages, the newest first; `cursor` asks for the next page and is empty on the last."""

    deliveries: list[WebhookDelivery]
    cursor: str | None = None


class ReplayRequest(RequestModel):
    """Send these messages again, under their ids, or all that failed since an instant."""

    messages: Annotated[list[Identifier], Field(max_length=1000)] = []
    failed_since: AwareDatetime | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "ReplayRequest":
        if bool(self.messages) == (self.failed_since is not None):
            raise ValueError("give messages or failed_since")
        return self


class Replayed(ResponseModel):
    """How many messages are sent again."""

    replayed: int


class Pinged(ResponseModel):
    """The message that was sent to test a webhook."""

    message_id: str
