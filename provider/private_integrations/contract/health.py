"""How it stands with the rotations."""

from typing import Literal

from .values import Answer, Instant


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
