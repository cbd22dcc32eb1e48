"""Implement the calls of the Pulumi engine for an integration and for its token.

FROZEN: the module's path and the two class names are written into every stack's state, where `read`
and `delete` look them up. Moving or renaming one makes existing stacks impossible to refresh or
destroy. Both classes carry no instance state into it, for the same reason.
"""

import secrets
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from pulumi import get_project
from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)
from pulumi.output import Unknown
from pydantic import ValidationError

from .connection import find_account, find_connection
from .contract import Integration, IntegrationEdit, IntegrationRequest, Problem, TokenReport, fault_reason, rfc3339
from .deployment.batched_reads import Deployment, KnownTokens, deployment_for
from .deployment.declaration import INTEGRATION_ID, Properties, is_unknown, normalize_integration, normalize_token
from .deployment.drift import EDITABLE, changed_since, in_words, left_alone, unlike
from .deployment.messages import inform, warn
from .deployment.ownership import (
    recorded_name,
    refuse_adopting,
    refuse_existing,
    refuse_lost,
    refuse_new,
    refuse_renamed_alone,
    refuse_replacing,
    taken,
)
from .deployment.plan import (
    changed_defaults,
    declared_policy,
    is_going_back,
    observed,
    planned_generation,
    refuse_plan,
    refuse_state,
    shown_policy,
    token_before,
    token_to_go_back_to,
)
from .deployment.refusals import refuse_account, refuse_next_token, refuse_values
from .errors import Conflict, InvalidRequest, NotFound, PrivateIntegrationError
from .rotation.acceptance import refuse_writing
from .rotation.policy import effective_policy

P = ParamSpec("P")
R = TypeVar("R")


class _CleanError(Exception):
    """Shown by the engine as one line, `private-integrations: message`, without a traceback."""


# The engine prints `traceback.format_exc()`: a class of builtins is shown without its module.
_CleanError.__module__ = "builtins"
_CleanError.__qualname__ = "private-integrations"


def _clean_errors(method: Callable[P, R]) -> Callable[P, R]:
    """Let expected errors end as one line, and nothing end the process: that would hang the engine."""

    @wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except PrivateIntegrationError as error:
            message = str(error)
        except ValidationError as error:
            # No check covers this case. pydantic's own text would repeat the value, which may be a secret.
            faults = [f"{'.'.join(map(str, fault['loc'][:1]))} {fault_reason(fault)}" for fault in error.errors()]
            message = f"the values can't be sent: {'; '.join(faults)}"
        except (SystemExit, KeyboardInterrupt) as error:
            message = f"interrupted ({type(error).__name__})"
        sys.tracebacklimit = 0
        raise _CleanError(message) from None

    return wrapper


class _Provider(ResourceProvider):
    """Share between both resources: configuration, and a serialized form that is the class path alone."""

    serialize_as_secret_always = False

    _deployment: Deployment
    _default_account: str | None

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Keep the parts that `configure` attached out of the state."""
        return (type(self), ())

    @_clean_errors
    def configure(self, req: ConfigureRequest) -> None:
        """Connect to the service that the environment or the stack's configuration names."""
        self._deployment = deployment_for(find_connection(stack=req.config.get), get_project())
        self._default_account = find_account(stack=req.config.get)

    def _warn_of_viewer(self) -> None:
        """Say once that an `up` needs another key: for a preview, as in a pull request, a viewer's is enough."""
        principal = self._deployment.principal()
        refusal = refuse_writing(principal.role, principal.name)
        if refusal is not None and self._deployment.is_first(refusal):
            warn(f"{refusal}: an up with it will be refused")


class IntegrationProvider(_Provider):
    """`PrivateIntegration`: a name, a description and scopes in an account; no secret of its own."""

    @_clean_errors
    def check(self, _olds: Properties, news: Properties) -> CheckResult:
        """Validate and normalize: scopes sorted and each once, the account filled in, durations in one spelling.

        And refuse what would take an integration from another resource, or make a second one where one is.
        """
        declared = _without(news, "__provider", "options")
        if declared.get("account") is None:
            declared["account"] = self._default_account
        if "external_id" in _olds:
            # A renamed resource or stack keeps the identity under which the service knows it.
            declared["external_id"] = _olds["external_id"]
        checked, faults = normalize_integration(declared, self._deployment.policy_defaults)
        if faults:
            return CheckResult(checked, _failures(faults))
        refusal = self._refuse_ownership(_olds, checked, news.get("external_id"), news.get("options"))
        refusal = refusal or self._refuse_values(_olds, checked)
        if refusal is not None:
            return CheckResult(checked, _failures([refusal]))
        if "external_id" in _olds:
            checked |= recorded_name(_olds, news.get("options"))
        self._show_scopes(_olds, checked)
        return CheckResult(checked | self._changed_elsewhere(_olds, checked), [])

    @_clean_errors
    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        """Compare with the service: name, description, scopes and policy change in place, another account replaces.

        If a person has already changed the integration to what is declared, nothing is updated.
        """
        _raise(refuse_lost(self._deployment, _id, _olds))
        replaces = ["account"] if _differ(_olds, _news, ["account"]) else []
        live = self._deployment.integration(_id, _olds.get("external_id"))
        differ = (
            _differ(_olds, _news, EDITABLE)
            if live is None
            else bool(unlike(live, _news, self._deployment.policy_defaults))
        )
        return DiffResult(changes=bool(replaces) or differ, replaces=replaces)

    @_clean_errors
    def create(self, props: Properties) -> CreateResult:
        """Create, or take over the integration to adopt, in one request; replace the remains of an interrupted `up`."""
        request = IntegrationRequest(
            account=props["account"],
            name=props["name"],
            description=props.get("description", ""),
            scopes=props["scopes"],
            rotation=declared_policy(props),
            owner_nonce=secrets.token_hex(16),
        )
        client, external_id = self._deployment.client, props["external_id"]
        if "adopt" in props:
            present = self._deployment.integration(props["adopt"], None)
            if present is None:
                raise NotFound("the integration to adopt is not in the service, or this key does not reach its account")
            _raise(refuse_adopting(self._deployment, present, external_id))
            request = request.model_copy(update={"adopts": present.id, "adopts_from": present.owner_nonce})
        try:
            integration = client.declare(external_id, request)
        except Conflict as error:
            if error.problem != Problem.EXTERNAL_ID_TAKEN or error.about.get("issued"):
                raise _taken(error) from error
            remains = str(error.about["id"])
            _raise(refuse_replacing(self._deployment, (props["account"], external_id), remains, external_id))
            replacing = request.model_copy(update={"replaces": remains})
            integration = client.declare(external_id, replacing)
        if integration.last_generation == 0:
            self._deployment.remember_new(integration)
        return CreateResult(integration.id, {**_without(props, "__provider"), "claim": integration.owner_nonce})

    @_clean_errors
    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Send what changed in one request, on top of what is there now; the tokens are not touched."""
        declared = {
            "name": _news["name"],
            "description": _news.get("description", ""),
            "scopes": _news["scopes"],
            "rotation": declared_policy(_news),
        }
        edit = IntegrationEdit(**_without(declared, *left_alone(_news)))
        present = self._deployment.integration(_id, _news.get("external_id"))
        version = None if present is None else present.version
        edited = self._deployment.client.edit(_id, edit, owner_nonce=_olds.get("claim"), version=version)
        return UpdateResult({**_without(_news, "__provider"), "claim": edited.owner_nonce})

    @_clean_errors
    def read(self, id_: str, props: Properties) -> ReadResult:
        """Read what the service has, so that drift shows; an integration is gone only if the service says so."""
        # The state calls the owner nonce `claim`. Without it, a program looks an integration up by its id.
        is_lookup = "claim" not in props
        if is_lookup and not INTEGRATION_ID.fullmatch(id_):
            raise InvalidRequest("look an integration up by its id, int_…, as `private-integrations list` shows it")
        live = self._deployment.integration(id_, props.get("external_id"))
        if live is None and is_lookup:
            raise NotFound(f"there is no integration {id_}, or this key does not reach its account")
        if live is None:
            self._deployment.refuse_key(id_, props.get("account"), to="read")
            return ReadResult("", {})
        declared = _without(props, "__provider", "claim")
        inputs = {
            **declared,
            "account": live.account,
            "external_id": declared.get("external_id", live.external_id),
            "name": live.name,
            "scopes": live.scopes,
        }
        if live.description or "description" in declared:
            inputs["description"] = live.description
        outputs = {**inputs, "claim": props.get("claim", live.owner_nonce)}
        # Without inputs the engine keeps its own, which have what no output has: the logical name after a rename.
        return ReadResult(id_, outputs, None if inputs == declared else inputs)

    @_clean_errors
    def delete(self, _id: str, _props: Properties) -> None:
        """End the integration and all its tokens, unless another owner has taken it since."""
        self._deployment.refuse_deletion(_id, _props.get("account"))
        self._deployment.client.delete(_id, owner_nonce=_props.get("claim"))
        self._deployment.holders.note_deleted(_id)

    def _refuse_ownership(
        self, state: Properties, checked: Properties, resource: Any, options: Properties | None
    ) -> str | None:
        if is_unknown(resource):
            return None
        if "external_id" not in state:
            # An imported resource comes without options, and the integration itself has taken its external id.
            return None if options is None else refuse_new(self._deployment, checked, resource, options)
        if self._owned(state) is None:
            # Gone, or in an account that this key does not reach, which must not be taken for it.
            self._deployment.refuse_key(state["external_id"], state["account"], to="deploy")
        return refuse_existing(self._deployment, state, resource, options)

    def _changed_elsewhere(self, state: Properties, declared: Properties) -> Properties:
        """Return the visible input that says what others changed since the last run, and the declaration doesn't."""
        live = self._owned(state)
        fields = changed_since(state, declared, live, self._deployment.policy_defaults) if live is not None else []
        if live is None or not fields:
            # Said until there is something else to say: otherwise the next update would show its removal.
            return {"changed_elsewhere": state["changed_elsewhere"]} if "changed_elsewhere" in state else {}
        return {"changed_elsewhere": in_words(fields, state, live, self._deployment.edits_of(live.id))}

    def _refuse_values(self, state: Properties, declared: Properties) -> str | None:
        """Say why the service would not create or edit such an integration, or None; ask nothing needlessly."""
        live = self._owned(state)
        moves = not state or state.get("account") != declared["account"]
        if not moves and (live is None or not unlike(live, declared, self._deployment.policy_defaults)):
            return None
        principal = self._deployment.principal()
        self._warn_of_viewer()
        return refuse_account(declared, principal) or refuse_values(
            declared, None if moves else live, principal, self._deployment.rules()
        )

    def _show_scopes(self, state: Properties, declared: Properties) -> None:
        """Show in words which scopes are added and removed: the engine compares lists by position."""
        live = self._owned(state)
        if live is None or "scopes" in left_alone(declared) or is_unknown(declared["scopes"]):
            return
        before, after = set(live.scopes), set(declared["scopes"])
        changes = [f"+ {scope}" for scope in sorted(after - before)] + [
            f"- {scope}" for scope in sorted(before - after)
        ]
        if changes:
            inform(f"{declared['external_id'].rsplit('/', 1)[-1]}: scopes: {', '.join(changes)}")

    def _owned(self, state: Properties) -> Integration | None:
        """Return what the service has under this state's external id; None if nothing, or if the state has none."""
        if "external_id" not in state:
            return None
        return self._deployment.owned(state["external_id"], state["account"])


class TokenProvider(_Provider):
    """`Token`: the secret of an integration, and the decision whether it is to be rotated."""

    @_clean_errors
    def check(self, _olds: Properties, news: Properties) -> CheckResult:
        """Compute the visible inputs `generation` and `rotation_reason`, which are what a preview shows."""
        # Once adopted, the token that was given is of no more use, and is kept nowhere.
        declared = _without(news, "__provider", *(["adopt_token", "adopt_rotate"] if _olds else []))
        checked, faults = normalize_token(declared, self._deployment.policy_defaults)
        if faults:
            return CheckResult(checked, _failures(faults))
        if "generation" in news:
            # Frozen by ignore_changes, or imported: no rotation is planned here.
            kept = {"rotation_reason": _olds["rotation_reason"]} if "rotation_reason" in _olds else {}
            return CheckResult({**kept, **checked}, [])
        plan = self._plan(_olds, checked)
        return CheckResult({**checked, **plan}, []) if isinstance(plan, dict) else CheckResult(checked, [plan])

    @_clean_errors
    def diff(self, _id: str, _olds: Properties, _news: Properties) -> DiffResult:
        """Compare the generation: another one is a rotation in place. The policy and all times never are a change."""
        replaces = ["integration_id"] if _differ(_olds, _news, ["integration_id"]) else []
        if not replaces:
            self._refuse_lost_tokens(_olds, _news)
            self._show_defaults(_olds, _news)
        return DiffResult(changes=bool(replaces) or _differ(_olds, _news, ["generation"]), replaces=replaces)

    @_clean_errors
    def create(self, props: Properties) -> CreateResult:
        """Issue the first token, or take over the present one of an adopted integration."""
        adopted = self._adopted(props)
        outputs = adopted if adopted is not None else self._issued(props, held=0, previous=None)
        return CreateResult(f"{props['integration_id']}/token", outputs)

    @_clean_errors
    def update(self, _id: str, _olds: Properties, _news: Properties) -> UpdateResult:
        """Rotate: the new token is returned at once, and nothing that can fail follows. Or go back after a cancel."""
        if is_going_back(_olds, _news):
            return UpdateResult(self._gone_back(_olds, _news))
        before = token_before(_olds, self._known(_news))
        return UpdateResult(self._issued(_news, held=int(_olds["generation"]), previous=before))

    @_clean_errors
    def read(self, id_: str, props: Properties) -> ReadResult:
        """Keep the token, follow the service in times and status; gone with its integration."""
        known, account = self._known(props), self._account(props)
        if known is None:
            self._deployment.refuse_key(props["integration_id"], account["account"], to="read")
            return ReadResult("", {})
        # Without inputs of its own the engine keeps those it has: nothing in them can drift.
        return ReadResult(id_, {**_without(props, "__provider"), **account, **observed(props, known)})

    @_clean_errors
    def delete(self, _id: str, _props: Properties) -> None:
        """Refuse where the integration could not be deleted; otherwise do nothing.

        The end of the integration ends its tokens, and a successor's must not be touched. But the engine deletes the
        Token first: it would be gone from the state, and its value with it, when the deletion of its integration fails.
        """
        self._deployment.refuse_deletion(_props["integration_id"], self._account(_props)["account"])

    def _plan(self, olds: Properties, checked: Properties) -> Properties | CheckFailure:
        integration_id = checked["integration_id"]
        if is_unknown(integration_id):
            integration_id = checked.get("adopt")
        if integration_id is None or is_unknown(integration_id) or is_unknown(checked["external_id"]):
            # The preview of an integration that doesn't exist yet: there is nothing to ask about.
            return {"generation": 1, "rotation_reason": "created"}
        known = self._deployment.token(integration_id, checked["external_id"])
        refusal = refuse_plan(integration_id, known, olds, checked)
        if (
            refusal is None
            and known is not None
            and not olds
            and "adopt" not in checked
            and known.state.last_generation
        ):
            refusal = refuse_renamed_alone(self._deployment, checked)
        if refusal is not None or known is None:
            return CheckFailure("", refusal or "")
        if is_unknown(checked.get("rotation")):
            # Only the `up` knows if a trigger changes: the preview must not promise either way.
            return {"generation": _unknown(), "rotation_reason": "the rotation policy is not known yet"}
        plan = planned_generation(olds, checked, known)
        refusal = self._refuse_issue(olds, {**checked, **plan}, known)
        return plan if refusal is None else CheckFailure("", refusal)

    def _refuse_issue(self, olds: Properties, planned: Properties, known: KnownTokens) -> str | None:
        """Say why the service would not issue the planned generation, or None; asks nothing where none is planned."""
        if planned["generation"] == olds.get("generation"):
            return None
        self._warn_of_viewer()
        return refuse_next_token(olds, planned, known, self._deployment.rules())

    def _adopted(self, props: Properties) -> Properties | None:
        if "adopt" not in props or props.get("adopt_rotate"):
            return None
        known = self._known(props)
        token = known.state.of_generation(int(props["generation"])) if known else None
        if known is None or token is None or token.role == "ended":
            return None
        held = {**self._kept(props), "token": props.get("adopt_token")}
        return held | {"fingerprint": token.fingerprint, "previous_token": None} | observed(held, known)

    def _kept(self, props: Properties) -> Properties:
        """Return the inputs that are outputs as well, and the account."""
        return {**_without(props, "adopt_token", "adopt_rotate", "__provider"), **self._account(props)}

    def _account(self, props: Properties) -> Properties:
        """Return the output `account`: a deleted integration can only be looked for in an account that the key reaches.

        It is no input, which would show as added in the first preview after an update of this package.
        """
        if props.get("account"):
            return {"account": props["account"]}
        found = self._deployment.integration(props["integration_id"], props["external_id"])
        return {"account": found.account if found else None}

    def _known(self, props: Properties) -> KnownTokens | None:
        return self._deployment.token(props["integration_id"], props["external_id"])

    def _refuse_lost_tokens(self, state: Properties, planned: Properties) -> None:
        """Raise Conflict where the plan leads to a token that the state doesn't have: `check` sees no tokens."""
        if is_going_back(state, planned):
            self._token_to_go_back_to(state, planned)
        refusal = refuse_state(planned["integration_id"], state, planned, self._known(planned))
        if refusal is not None:
            raise Conflict(refusal)

    def _show_defaults(self, state: Properties, planned: Properties) -> None:
        """Show that the service's defaults have changed what holds: nothing is updated for that."""
        known = self._known(planned)
        changed = known and changed_defaults(state, planned, known.defaults)
        if changed:
            inform(f"{planned['external_id'].rsplit('/', 1)[-1]}: {changed}")

    def _token_to_go_back_to(self, state: Properties, planned: Properties) -> TokenReport:
        generation = int(planned["generation"])
        token = token_to_go_back_to(state, generation, self._known(planned))
        if token is None:
            raise Conflict(
                f"{planned['rotation_reason']}, but this stack does not have the token of generation {generation}; "
                "change trigger to issue a new one"
            )
        return token

    def _gone_back(self, state: Properties, planned: Properties) -> Properties:
        """Return the state's own previous token in its old place."""
        token, known = self._token_to_go_back_to(state, planned), self._known(planned)
        assert known is not None
        held = {**self._kept(planned), "token": state["previous_token"]}
        return held | {"fingerprint": token.fingerprint, "previous_token": None} | observed(held, known)

    def _issued(self, props: Properties, *, held: int, previous: str | None) -> Properties:
        known, declared, kept = self._known(props), declared_policy(props), self._kept(props)
        policy = effective_policy(declared, known.defaults if known else self._deployment.policy_defaults())
        issued = self._deployment.client.issue(
            props["integration_id"],
            int(props["generation"]),
            issuer=props["external_id"],
            owner=props["external_id"],
            holding=held,
            overlap_seconds=None if declared is None else declared.overlap_seconds,
            reason=props["rotation_reason"],
        )
        return {
            **kept,
            "token": issued.token,
            "previous_token": previous if policy.overlap else None,
            "fingerprint": issued.fingerprint,
            "rotated_at": rfc3339(issued.issued_at),
            "previous_token_expires_at": None,
            "held_until": None,
            "status": "pending",
            "effective_rotation": shown_policy(policy),
        }


def _failures(faults: Sequence[str]) -> list[CheckFailure]:
    """Return the faults without their fields, beside which the engine would print values, even secret ones."""
    return [CheckFailure("", fault) for fault in faults]


def _raise(refusal: str | None) -> None:
    """Raise Conflict for a refusal."""
    if refusal is not None:
        raise Conflict(refusal)


def _taken(error: Conflict) -> Conflict:
    if error.problem != Problem.EXTERNAL_ID_TAKEN:
        return error
    return Conflict(taken(str(error), str(error.about["id"])), problem=error.problem, about=error.about)


def _differ(olds: Properties, news: Properties, keys: Iterable[str]) -> bool:
    return any(is_unknown(news.get(key)) or olds.get(key) != news.get(key) for key in keys)


def _without(props: Properties, *keys: str) -> Properties:
    return {key: value for key, value in props.items() if key not in keys}


def _unknown() -> Any:
    return Unknown()  # type: ignore[no-untyped-call]  # the SDK's class has no annotations
