"""The resources that a Pulumi program declares.

FROZEN: type tokens (`pulumi-python:dynamic/private_integrations:PrivateIntegration` and `…:Token`), input
and output names. They are written into every stack's state; docs/state-format.md lists them.
"""

import pickle
import re
from collections.abc import Awaitable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import pulumi
from pulumi import Alias, Input, Output, ResourceOptions
from pulumi.dynamic import Resource
from pulumi.output import Unknown

from .contract import rfc3339
from .deployment.identity import external_id as new_external_id
from .errors import InvalidRequest
from .provider import IntegrationProvider, TokenProvider
from .rotation.decisions import due_at
from .rotation.durations import format_duration
from .rotation.policy import NO_DEFAULTS, effective_policy, read_policy
from .scopes import Scope

Duration = str | timedelta

_LARGEST_NUMBER = 2**53


class _WrongArgument(InvalidRequest, pulumi.RunError):
    """A program gave an argument that can't be one; Pulumi shows a RunError as one line, without a traceback."""


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """When to rotate a token, and how long the old one lives on.

    every: the period, "90d", "12h" or a timedelta, counted from the last actual rotation.
    schedule: in place of `every`, a cron expression of five fields such as "0 3 * * MON#1": due at its first tick
        after the last rotation.
    timezone: the IANA zone of `schedule`, such as "Europe/Berlin"; default "UTC".
    overlap: how long the old token works on, counted from the first use of the new one. "0s" ends the old token at
        once: for a compromised one. Left out, the service's default: 7d, or half the period where that is shorter.
    early_window: an `up` this close before the due instant rotates. Left out, the service's default: an hour, or a
        tenth of the period where that is shorter; nothing with `schedule`.
    trigger: any change of this value rotates once, also while `enabled` is false. Never put a timestamp here.
    enabled: False pauses the schedule and keeps the due date.
    """

    every: Input[Duration] | None = None
    schedule: Input[str] | None = None
    timezone: Input[str] | None = None
    overlap: Input[Duration] | None = None
    early_window: Input[Duration] | None = None
    trigger: Input[str] | Input[Mapping[str, Any]] | None = None
    enabled: Input[bool] = True

    def _policy(self) -> dict[str, Any]:
        """Return the part that the service stores: everything but the trigger."""
        durations = {"every": self.every, "overlap": self.overlap, "early_window": self.early_window}
        calendar = _given(schedule=self.schedule, timezone=self.timezone)
        given = calendar | {name: _duration_text(value) for name, value in durations.items() if value is not None}
        return given if self.enabled is True else {**given, "enabled": self.enabled}

    def _with_trigger(self) -> dict[str, Any]:
        return self._policy() if self.trigger is None else {**self._policy(), "trigger": self.trigger}


@contextmanager
def _unspoiled_pickler() -> Iterator[None]:
    """Undo what the SDK leaves behind when it serializes a provider.

    One more wrapper stays on this hook with every resource, and at about the thousandth a program fails
    with RecursionError (serialize_provider in pulumi/dynamic/dynamic.py).
    """
    hook = pickle._Pickler._batch_setitems  # type: ignore[attr-defined]
    try:
        yield
    finally:
        pickle._Pickler._batch_setitems = hook  # type: ignore[attr-defined]


class PrivateIntegration(Resource, module="private_integrations", name="PrivateIntegration"):
    """A private integration: a name, a description and scopes in one account, with a token of its own.

    Editing name, description or scopes happens in place and never touches the token. The token is
    rotated as `rotation` says; each resource that consumes `token` follows in the same `up`.
    """

    name: Output[str]
    """The name people see."""
    description: Output[str | None]
    """The purpose of it."""
    scopes: Output[list[str]]
    """The scopes its tokens hold, sorted."""
    account: Output[str]
    """The account it belongs to; another account makes another integration."""
    external_id: Output[str]
    """How the service knows the owner: organization/project/stack, and what tells the resource apart in the stack."""
    token: Output[str | None]
    """Secret. The token in use; empty only after `adopt` without `adopt_token` or `adopt_rotate`."""
    previous_token: Output[str | None]
    """Secret. The token before, while it may still work."""
    generation: Output[int | None]
    """Counts rotations, from 1."""
    fingerprint: Output[str | None]
    """Tells which token a consumer holds, without showing it: 12 hex digits."""
    rotated_at: Output[str | None]
    """When the service issued the token; RFC 3339, UTC."""
    previous_token_expires_at: Output[str | None]
    """When the token before stops working; empty until the new one is used."""
    status: Output[str | None]
    """off, ok, due, overdue, pending, overlapping or paused, as of the last update or refresh."""
    effective_rotation: Output[dict[str, Any] | None]
    """The policy that holds, with the service's defaults in place of what `rotation` leaves out, as of the same."""

    def __init__(
        self,
        resource_name: str,
        *,
        scopes: Input[Sequence[Input[Scope | str]]] | None = None,
        name: Input[str] | None = None,
        description: Input[str] | None = None,
        account: Input[str] | None = None,
        rotation: Rotation | Mapping[str, Any] | None = None,
        adopt: Input[str] | None = None,
        adopt_token: Input[str] | None = None,
        adopt_rotate: bool = False,
        opts: ResourceOptions | None = None,
    ) -> None:
        """Declare an integration.

        scopes: what its token may do; see `private_integrations.Scope` for the names.
        name: what people see; default: the resource's name.
        account: default: PRIVATE_INTEGRATIONS_ACCOUNT or the stack's private-integrations:account.
        rotation: `pi.Rotation(every="90d")`, or its parts as a dict: `{"every": "90d"}`.
        adopt: the id (`int_…`) of an existing integration to take over without rotating its token.
        adopt_token: that integration's present token, so that `token` is known from the first `up`.
        adopt_rotate: True issues a token in the `up` that adopts, for when you don't have the present one; that one
            works on for the overlap, counted from the new token's first use.

        Raises pulumi.RunError, which ends the program without a traceback, for `import_` in `opts` (adopt the
        integration instead), and for `adopt_rotate` without `adopt` or together with `adopt_token`.
        """
        _refuse_import(opts)
        _check_adopt_rotate(adopt_rotate, adopt, adopt_token)
        if not isinstance(resource_name, str):
            raise _WrongArgument(f"the name of a resource must be text, not {type(resource_name).__name__}")
        existing = opts is not None and opts.id is not None
        declared = _rotation(rotation)
        props: dict[str, Any] = {
            "name": resource_name if name is None and not existing else _sendable("name", name),
            "description": _sendable("description", description),
            "scopes": _sendable("scopes", sorted(scopes) if isinstance(scopes, Set) else scopes),
            "account": _sendable("account", account),
            "external_id": None if existing else _external_id(resource_name, opts),
            **_given(
                rotation=(_sendable("rotation", declared._policy()) or None) if declared else None,
                adopt=_sendable("adopt", adopt),
                ignored_changes=_ignored_changes(opts),
                options=None if existing else _options(resource_name, opts),
            ),
        }
        with _unspoiled_pickler():
            super().__init__(IntegrationProvider(), resource_name, props, opts)
        # Another stack owns an integration that is only looked up: a child here would rotate its token.
        self._token = (
            None if existing else Token(resource_name, self, declared, adopt, adopt_token, adopt_rotate=adopt_rotate)
        )
        for output in _TOKEN_OUTPUTS:
            setattr(self, output, getattr(self._token, output) if self._token else Output.from_input(None))

    @property
    def next_rotation_at(self) -> Output[str | None]:
        """Return when the schedule is due next; RFC 3339, UTC; empty without a schedule."""
        return self._token.next_rotation_at if self._token else Output.from_input(None)

    @classmethod
    def get(cls, resource_name: str, id: Input[str], opts: ResourceOptions | None = None) -> "PrivateIntegration":
        """Look up an integration that is managed elsewhere, by its id; its token stays unknown here."""
        return cls(resource_name, opts=ResourceOptions.merge(opts, ResourceOptions(id=id)))


class Token(Resource, module="private_integrations", name="Token"):
    """The token of a PrivateIntegration, which creates it; not declared by itself."""

    integration_id: Output[str]
    external_id: Output[str]
    token: Output[str | None]
    previous_token: Output[str | None]
    generation: Output[int]
    rotation_reason: Output[str]
    fingerprint: Output[str]
    rotated_at: Output[str]
    previous_token_expires_at: Output[str | None]
    held_until: Output[str | None]
    status: Output[str]
    effective_rotation: Output[dict[str, Any] | None]

    def __init__(
        self,
        resource_name: str,
        integration: PrivateIntegration,
        rotation: Rotation | None,
        adopt: Input[str] | None,
        adopt_token: Input[str] | None,
        *,
        adopt_rotate: bool,
    ) -> None:
        self._declared = (_sendable("rotation", rotation._with_trigger()) or None) if rotation else None
        props: dict[str, Any] = {
            "integration_id": integration.id,
            # The integration's own, which may be from before a rename; known in every preview, as inputs are.
            "external_id": integration.external_id,
            **_given(
                rotation=self._declared,
                adopt=adopt,
                adopt_token=None if adopt_token is None else Output.secret(_sendable("adopt_token", adopt_token)),
                adopt_rotate=adopt_rotate or None,
            ),
            # An output becomes an attribute only if it is named here.
            **dict.fromkeys((*_TOKEN_OUTPUTS, "held_until")),
        }
        opts = ResourceOptions(parent=integration, additional_secret_outputs=["token", "previous_token"])
        with _unspoiled_pickler():
            super().__init__(TokenProvider(), resource_name, props, opts)
        for output in ("token", "previous_token", "previous_token_expires_at", "held_until", "effective_rotation"):
            setattr(self, output, _empty_if_settled(getattr(self, output), self.fingerprint))

    @property
    def next_rotation_at(self) -> Output[str | None]:
        """Compute the next due date in the program, so that it fits the policy declared in this very run."""
        parts = Output.all(rotated_at=self.rotated_at, held_until=self.held_until, declared=self._declared)
        return parts.apply(_next_rotation_at)


_TOKEN_OUTPUTS = (
    "token",
    "previous_token",
    "generation",
    "fingerprint",
    "rotated_at",
    "previous_token_expires_at",
    "status",
    "effective_rotation",
)


def _refuse_import(opts: ResourceOptions | None) -> None:
    """Refuse the option that the engine fails on with a traceback: an import has no Python class to ask."""
    if opts is not None and opts.import_ is not None:
        raise _WrongArgument(
            'a private integration can\'t be imported; declare PrivateIntegration(…, adopt="int_…") to take it over'
        )


def _check_adopt_rotate(adopt_rotate: bool, adopt: Input[str] | None, adopt_token: Input[str] | None) -> None:
    if not isinstance(adopt_rotate, bool):
        raise _WrongArgument("adopt_rotate must be True or False")
    if adopt_rotate and adopt is None:
        raise _WrongArgument("adopt_rotate goes with adopt: name the integration to take over")
    if adopt_rotate and adopt_token is not None:
        raise _WrongArgument(
            "give adopt_token to keep the present token or adopt_rotate=True for another one, not both"
        )


def _rotation(given: Any) -> Rotation | None:
    """Return the declared rotation, also from its parts alone; an error never repeats a wrong value."""
    if given is None or isinstance(given, Rotation):
        return given
    parts = [part.name for part in fields(Rotation)]
    if not isinstance(given, Mapping):
        raise _WrongArgument(f'rotation must be pi.Rotation(...), as in pi.Rotation(every="90d"), not {_kind(given)}')
    if not set(given) <= set(parts):
        raise _WrongArgument(f"rotation must be pi.Rotation(...) or a dict with parts of it: {', '.join(parts)}")
    return Rotation(**given)


def _sendable(argument: str, value: Any) -> Any:
    """Return the value of an argument, if Pulumi can send it to the provider, which then reports its faults.

    Raises _WrongArgument, which says its type and never the value, where Pulumi itself would fail with a traceback.
    """
    if value is None or isinstance(value, bool | float | Output | Awaitable):
        return value
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise _WrongArgument(f"{argument} has characters that are no Unicode text")
        return value
    if isinstance(value, int) and abs(value) < _LARGEST_NUMBER:
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {_sendable(argument, key): _sendable(argument, part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_sendable(argument, part) for part in value]
    raise _WrongArgument(f"{argument} can't be or contain a value of type {_kind(value)}")


def _kind(value: Any) -> str:
    return type(value).__name__


def _empty_if_settled(output: "Output[Any]", witness: "Output[Any]") -> "Output[Any]":
    """Return the output, known to be None where it is missing although the resource, by its `witness`, is not changing.

    The engine keeps no None, and in a preview the SDK takes what is missing for unknown: a change that never comes.
    """

    def settled(value: Any) -> Any:
        return witness.apply(lambda _: None) if isinstance(value, Unknown) else value

    return output.apply(settled, run_with_unknowns=True)


def _given(**inputs: Any) -> dict[str, Any]:
    """Return only the inputs that were given: every other one would cost each resource an unused output."""
    return {name: value for name, value in inputs.items() if value is not None}


def _next_rotation_at(parts: Mapping[str, Any]) -> str | None:
    if not parts["rotated_at"] or not parts["declared"]:
        return None
    held_until = parts["held_until"] and datetime.fromisoformat(parts["held_until"])
    # A due date depends on declared parts alone: the early window has a default only where it doesn't count.
    policy = effective_policy(read_policy(parts["declared"], lambda: NO_DEFAULTS), NO_DEFAULTS)
    due = due_at(policy, datetime.fromisoformat(parts["rotated_at"]), held_until)
    return None if due is None else rfc3339(due)


def _ignored_changes(opts: ResourceOptions | None) -> list[str] | None:
    """Return the inputs that `ignore_changes` leaves to others: the provider sees old values and no such option."""
    paths = (opts and opts.ignore_changes) or []
    return sorted({re.split(r"[.\[]", path)[0] for path in paths}) or None


def _options(resource_name: str, opts: ResourceOptions | None) -> dict[str, Any]:
    """Collect the name and options of the resource that the provider's `check` needs; `check` doesn't pass them on."""
    opts = opts or ResourceOptions()
    return _given(
        logical_name=resource_name,
        delete_before_replace=opts.delete_before_replace or None,
        retain_on_delete=opts.retain_on_delete or None,
        former_names=_former_names(opts) or None,
    )


def _former_names(opts: ResourceOptions) -> list[str]:
    """Return the logical names that the option `aliases` gives; an alias that is known later only counts as none."""
    aliases = opts.aliases if isinstance(opts.aliases, Sequence) else []
    named = [alias.name if isinstance(alias, Alias) else alias for alias in aliases]
    return sorted({name.rsplit("::", 1)[-1] for name in named if isinstance(name, str)})


def _external_id(resource_name: str, opts: ResourceOptions | None) -> Input[str]:
    # A unit test with mocks has no organization; "organization" is what self-managed backends say.
    organization = pulumi.get_organization() or "organization"
    stack = "/".join((organization, pulumi.get_project(), pulumi.get_stack()))
    parent = opts and opts.parent
    if parent is None:
        return new_external_id(stack, resource_name)
    # Of the parent's URN alone: a dependency on the parent would be one on all its children, this one included.
    known_urn: Any = parent.urn
    urn: Output[str] = Output(set(), known_urn.future(), known_urn.is_known())
    name = getattr(parent, "pulumi_resource_name", None)
    return urn.apply(lambda known: new_external_id(stack, resource_name, known, name))


def _duration_text(value: Input[Duration]) -> Input[str]:
    """Return a duration as text; that of a timedelta itself would not be recognized."""
    if isinstance(value, Output | Awaitable):
        later: Output[Duration] = Output.from_input(value)
        return later.apply(lambda known: _text_of(known) if isinstance(known, timedelta) else known)
    return _text_of(value) if isinstance(value, timedelta) else value


def _text_of(value: timedelta) -> str:
    """Return a timedelta as text; one that can't be a duration as a text that the provider refuses."""
    if value < timedelta(0) or value.microseconds:
        return f"{value.total_seconds()}s"
    return format_duration(value)
