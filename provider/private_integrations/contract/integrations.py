"""Integrations, and the rotation policy that they declare."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from .values import Description, Identifier, Instant, Name, RequestModel, ResponseModel, Scopes, Seconds, one_line


class RotationPolicy(RequestModel):
    """Say when the token is to be rotated, as declared; the service only warns, a deployment rotates.

    `schedule` is a five-field cron expression in the IANA zone `timezone`, UTC where that is left out; with it there
    is no `every_seconds`. For an overlap or an early window that is left out, the service has defaults
    (`PolicyDefaults`), which are never stored: they may change.
    """

    every_seconds: Annotated[int, Field(ge=1, le=100 * 366 * 86_400)] | None = None
    schedule: Annotated[str, Field(max_length=200), AfterValidator(one_line)] | None = None
    timezone: Annotated[str, Field(max_length=100)] | None = None
    overlap_seconds: Seconds | None = None
    early_window_seconds: Seconds | None = None
    enabled: bool = True

    @model_validator(mode="after")
    def _one_rule(self) -> "RotationPolicy":
        if self.schedule is not None and self.every_seconds is not None:
            raise ValueError("give every_seconds or schedule, not both")
        if self.timezone is not None and self.schedule is None:
            raise ValueError("timezone is only used with schedule")
        return self


class IntegrationRequest(RequestModel):
    """Create an integration, replace the remains of an interrupted creation, or adopt one.

    `owner_nonce` marks the owner: a random value made for one creation. `replaces` names an
    integration that never had a token asked for; `adopts` one to take over as it is, tokens and all,
    from the owner whose owner_nonce is `adopts_from`, so that a late adoption takes nothing from a newer one.
    """

    account: Identifier
    name: Name
    description: Description = ""
    scopes: Scopes
    rotation: RotationPolicy | None = None
    owner_nonce: Identifier
    replaces: Identifier | None = None
    adopts: Identifier | None = None
    adopts_from: Identifier | None = None


class IntegrationEdit(RequestModel):
    """Change what is given, leave the rest; `rotation: null` ends the schedule."""

    name: Name | None = None
    description: Description | None = None
    scopes: Scopes | None = None
    rotation: RotationPolicy | None = None


class Integration(ResponseModel):
    """Describe an integration as the service knows it; never a secret, never a digest.

    `rotation` is what was declared. `effective_rotation` is what holds: the same with the service's defaults in place
    of what was left out. Every answer of the API has it.
    """

    id: str
    account: str
    external_id: str
    name: str
    description: str
    scopes: list[str]
    rotation: RotationPolicy | None
    effective_rotation: RotationPolicy | None = None
    owner_nonce: str
    version: int
    last_generation: int
    held_until: Instant | None = None
    created_at: Instant
    updated_at: Instant


class IntegrationList(ResponseModel):
    """A page of integrations; `cursor` asks for the next one and is empty on the last."""

    integrations: list[Integration]
    cursor: str | None = None


class Deletion(ResponseModel):
    """Report whether something was deleted: not if it was gone, or the owner nonce is not the present owner's."""

    deleted: bool
