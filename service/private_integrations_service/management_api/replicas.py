"""Serve the route of the replicas."""

from fastapi import APIRouter

from private_integrations.contract import Problem, Refused, ReplicaList

from ..http.problems import ProblemError
from ..operations import replicas
from .callers import Asking

router = APIRouter()


@router.get("/replicas")
def list_replicas(asking: Asking) -> ReplicaList:
    """List the machines that serve, with their last heartbeats; for keys that reach every account."""
    if asking.actor.accounts is not None:
        detail = f"management key {asking.principal.name} is bound to accounts; the replicas are for keys that are not"
        raise ProblemError(Refused(Problem.KEY_NOT_ALLOWED, detail))
    found = replicas.listed(asking.engine)
    return ReplicaList(now=asking.now, replicas=found.replicas, replication=found.replication)
