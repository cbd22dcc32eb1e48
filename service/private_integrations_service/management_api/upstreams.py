"""Serve the routes of upstream credentials; no proxy on the way may cache a response."""

from fastapi import APIRouter, Response

from private_integrations.contract import (
    AccountId,
    Deletion,
    Problem,
    Refused,
    Resealed,
    UpstreamCredential,
    UpstreamCredentialList,
    UpstreamRequest,
)

from ..http.problems import ProblemError
from ..operations import resealing, upstreams
from ..operations.verification import verify
from ..operations.webhooks import NO_SEALING_KEYS
from ..sealing import Sealer
from .accounts import Administering
from .callers import Asking, RequestContext, unless_refused

router = APIRouter()


@router.get("/upstreams")
def list_upstreams(asking: Asking, response: Response) -> UpstreamCredentialList:
    """List the upstream credentials of the accounts that the key reaches; never a value."""
    response.headers["Cache-Control"] = "no-store"
    found = upstreams.listed(asking.engine, asking.rules.settings.sealer, actor=asking.actor)
    return UpstreamCredentialList(upstreams=found)


@router.post("/upstreams/reseal")
def reseal_upstreams(asking: Administering, response: Response) -> Resealed:
    """Seal every upstream credential, every webhook's secret and the signing key with the first sealing key."""
    response.headers["Cache-Control"] = "no-store"
    return resealing.reseal(asking.engine, _sealer(asking), actor=asking.actor)


@router.put("/upstreams/{account_id}")
def set_upstream(
    account_id: AccountId, body: UpstreamRequest, asking: Administering, response: Response
) -> UpstreamCredential:
    """Seal and store an account's upstream credential; with `verify` only if the upstream accepts it."""
    response.headers["Cache-Control"] = "no-store"
    sealer, verification = _sealer(asking), None
    if body.verify:
        account = unless_refused(upstreams.refuse_credential(asking.engine, account_id, body.credential))
        verification = verify(_upstream(asking), account, body.credential, asking.now)
        if verification.outcome != "accepted":
            raise ProblemError(upstreams.not_accepted(verification))
    return unless_refused(
        upstreams.put(asking.engine, account_id, body.credential, sealer, verification=verification, actor=asking.actor)
    )


@router.delete("/upstreams/{account_id}")
def remove_upstream(account_id: AccountId, asking: Administering, response: Response) -> Deletion:
    """Delete an account's upstream credential: the gateway forwards no further request for the account."""
    response.headers["Cache-Control"] = "no-store"
    return Deletion(deleted=unless_refused(upstreams.remove(asking.engine, account_id, actor=asking.actor)))


@router.post("/upstreams/{account_id}/verify")
def verify_upstream(account_id: AccountId, asking: Administering, response: Response) -> UpstreamCredential:
    """Verify the account's credential at the upstream, and store the result."""
    response.headers["Cache-Control"] = "no-store"
    sealer, upstream = _sealer(asking), _upstream(asking)
    opened = unless_refused(upstreams.open_credential(asking.engine, account_id, sealer))
    verification = verify(upstream, opened.account, opened.value, asking.now)
    return unless_refused(upstreams.note_verification(asking.engine, opened, verification, sealer, actor=asking.actor))


def _sealer(asking: RequestContext) -> Sealer:
    sealer = asking.rules.settings.sealer
    if sealer is None:
        raise ProblemError(NO_SEALING_KEYS)
    return sealer


def _upstream(asking: RequestContext) -> str:
    upstream = asking.rules.settings.upstream
    if upstream is None:
        raise ProblemError(
            Refused(Problem.UPSTREAM_MISSING, "the service has no upstream to ask; start it with --upstream URL")
        )
    return upstream
