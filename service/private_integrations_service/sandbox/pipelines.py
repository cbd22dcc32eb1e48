"""Read the pipelines of a location; the sandbox gives every location one."""

from types import MappingProxyType

from ..authorizer.replies import PlatformError, Reply
from .bodies import invalid
from .requests import SandboxRequest
from .storage.pipelines import Pipeline, list_pipelines


def read_pipelines(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /opportunities/pipelines`: all of them, by name."""
    faults = request.query_faults()
    if faults:
        return invalid(faults)
    with request.read() as connection:
        found = list_pipelines(connection, request.account_id)
    return Reply(200, {"pipelines": [_shown(request, pipeline) for pipeline in found]})


def _shown(request: SandboxRequest, pipeline: Pipeline) -> dict[str, object]:
    charts = {"showInFunnel": True, "showInPieChart": True}
    shown: dict[str, object] = {
        "id": pipeline.id,
        "name": pipeline.name,
        # The specification calls these arrays of arrays; every client reads stages with an id and a name.
        "stages": [
            {"id": stage.id, "name": stage.name, "position": position, **charts}
            for position, stage in enumerate(pipeline.stages)
        ],
        **charts,
        "locationId": pipeline.account_id,
    }
    return shown if request.generation == "v2" else {**shown, "useOpportunityProbability": False}


HANDLERS = MappingProxyType({("GET", "/opportunities/pipelines"): read_pipelines})
