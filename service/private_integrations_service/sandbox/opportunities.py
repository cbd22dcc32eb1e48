"""Create, read, update, delete and search opportunities, with contacts and pipelines of the same location."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from private_integrations.contract import rfc3339

from ..authorizer.replies import PlatformError, Reply
from ..tokens.format import new_id
from .answers import SUCCEEDED, not_found
from .contact_fields import custom_fields
from .notes import NOTES
from .opportunity_search import meta, read_search
from .requests import SandboxRequest
from .storage import opportunities as stored
from .storage.contact_items import list_items
from .storage.contacts import contact_by_id
from .storage.opportunities import Opportunity, OpportunityWithContact
from .storage.pipelines import Pipeline, pipeline_by_id
from .storage.tables import notes, tasks
from .tasks import TASKS

_CHECKS = MappingProxyType({"customFields": custom_fields})
# Columns of their own; the other fields are kept together.
_PLACED = frozenset({"pipelineId", "pipelineStageId", "status", "contactId", "locationId"})
_KEPT = frozenset({"name"})
_UNKNOWN_TO_V2 = ("forecastExpectedCloseDate", "forecastProbability")


def create_opportunity(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /opportunities/`: 201; without a stage it begins in the pipeline's first."""
    given = request.body_fields(_CHECKS)
    if isinstance(given, PlatformError):
        return given
    contact_id = given["contactId"]
    with request.write() as write:
        place = _place(write.connection, request.account_id, given["pipelineId"], given.get("pipelineStageId"))
        if isinstance(place, PlatformError):
            return place
        contact = contact_by_id(write.connection, request.account_id, contact_id)
        if contact is None:
            return not_found("Contact", contact_id)
        pipeline_id, stage_id = place
        opportunity = Opportunity(
            id=new_id(),
            account_id=request.account_id,
            contact_id=contact_id,
            pipeline_id=pipeline_id,
            stage_id=stage_id,
            status=given["status"],
            fields=_merged({}, given),
            added_at=write.now,
            updated_at=write.now,
            stage_changed_at=write.now,
            status_changed_at=write.now,
        )
        stored.add_opportunity(write.connection, opportunity)
    return _reply(request, OpportunityWithContact(opportunity, contact.fields), 201)


def read_opportunity(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /opportunities/{id}`."""
    opportunity_id = request.parameter("id")
    with request.read() as connection:
        found = stored.opportunity_by_id(connection, request.account_id, opportunity_id)
    return _not_found(opportunity_id) if found is None else _reply(request, found)


def update_opportunity(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `PUT /opportunities/{id}`: the given fields replace the stored ones; the contact stays."""
    opportunity_id = request.parameter("id")
    given = request.body_fields(_CHECKS)
    if isinstance(given, PlatformError):
        return given
    with request.write() as write:
        found = stored.opportunity_by_id(write.connection, request.account_id, opportunity_id)
        if found is None:
            return _not_found(opportunity_id)
        old = found.opportunity
        pipeline_id, stage_id = given.get("pipelineId") or old.pipeline_id, given.get("pipelineStageId")
        if stage_id is None and pipeline_id == old.pipeline_id:
            stage_id = old.stage_id
        place = _place(write.connection, request.account_id, pipeline_id, stage_id)
        if isinstance(place, PlatformError):
            return place
        moved = replace(old, fields=_merged(old.fields, given), pipeline_id=place[0], stage_id=place[1])
        if moved.stage_id != old.stage_id:
            moved = replace(moved, stage_changed_at=write.now)
        changed = _with_status(replace(moved, updated_at=write.now), given.get("status"))
        stored.save_opportunity(write.connection, changed)
    return _reply(request, replace(found, opportunity=changed))


def update_status(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `PUT /opportunities/{id}/status`."""
    opportunity_id = request.parameter("id")
    given = request.body_fields()
    if isinstance(given, PlatformError):
        return given
    with request.write() as write:
        found = stored.opportunity_by_id(write.connection, request.account_id, opportunity_id)
        if found is None:
            return _not_found(opportunity_id)
        old = found.opportunity
        changed = _with_status(replace(old, fields=_merged(old.fields, given), updated_at=write.now), given["status"])
        stored.save_opportunity(write.connection, changed)
    return _succeeded(request)


def delete_opportunity(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `DELETE /opportunities/{id}`; the body is ignored."""
    opportunity_id = request.parameter("id")
    with request.write() as write:
        removed = stored.remove_opportunity(write.connection, request.account_id, opportunity_id)
    return _succeeded(request) if removed else _not_found(opportunity_id)


def search_opportunities(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /opportunities/search`: newest first, with the way to the next page in `meta`."""
    search = read_search(request)
    if isinstance(search, PlatformError):
        return search
    chosen, order, after = search.selection, search.order, search.after
    with request.read() as connection:
        found = stored.find_opportunities(
            connection, chosen, order, after=after, skip=search.skip, limit=search.limit + 1
        )
        total = stored.count_opportunities(connection, chosen)
        behind = stored.count_opportunities(connection, chosen, order, after=after)
        page = found[: search.limit]
        shown = [{**_shown(request, one), **_of_contact(connection, one, search.details)} for one in page]
    if search.nothing:
        shown, page, found, total, behind = [], [], [], 0, 0
    place = meta(request, search, page, more=len(found) > search.limit, total=total, behind=behind)
    return Reply(200, {"opportunities": shown, "meta": place})


def _place(
    connection: Connection, account_id: str, pipeline_id: str, stage_id: str | None
) -> tuple[str, str] | PlatformError:
    """Find pipeline and stage: the first one if none is named."""
    pipeline = pipeline_by_id(connection, account_id, pipeline_id)
    if pipeline is None:
        return not_found("Pipeline", pipeline_id)
    if stage_id is not None and stage_id not in _stages(pipeline):
        return not_found("Pipeline stage", stage_id)
    return pipeline.id, stage_id or _stages(pipeline)[0]


def _stages(pipeline: Pipeline) -> Sequence[str]:
    return [stage.id for stage in pipeline.stages]


def _merged(old: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the given values into the fields that are stored together: null removes one, but never the name."""
    changes = {name: value for name, value in given.items() if name not in _PLACED}
    if changes.get("customFields"):
        changes["customFields"] = [
            {"id": item.get("id", item.get("key")), "fieldValue": item.get("field_value", item.get("fieldValue"))}
            for item in changes["customFields"]
        ]
    kept = {name: value for name, value in changes.items() if value is not None or name not in _KEPT}
    return {name: value for name, value in {**old, **kept}.items() if value is not None}


def _with_status(opportunity: Opportunity, status: str | None) -> Opportunity:
    if status in (None, opportunity.status):
        return opportunity
    return replace(opportunity, status=status, status_changed_at=opportunity.updated_at)


def _not_found(opportunity_id: str) -> PlatformError:
    return not_found("Opportunity", opportunity_id)


def _reply(request: SandboxRequest, found: OpportunityWithContact, status: int = 200) -> Reply:
    return Reply(status, {"opportunity": _shown(request, found)})


def _succeeded(request: SandboxRequest) -> Reply:
    return Reply(200, SUCCEEDED if request.generation == "v2" else {**SUCCEEDED, "success": True})


def _shown(request: SandboxRequest, found: OpportunityWithContact) -> dict[str, object]:
    opportunity, contact = found.opportunity, found.contact
    fields = dict(opportunity.fields)
    if request.generation == "v2":
        fields = {name: value for name, value in fields.items() if name not in _UNKNOWN_TO_V2}
    of_contact = {name: contact.get(name) for name in ("name", "companyName", "email", "phone")}
    return {
        "id": opportunity.id,
        "monetaryValue": 0,
        "pipelineId": opportunity.pipeline_id,
        "pipelineStageId": opportunity.stage_id,
        "status": opportunity.status,
        "lastStatusChangeAt": rfc3339(opportunity.status_changed_at),
        "lastStageChangeAt": rfc3339(opportunity.stage_changed_at),
        "createdAt": rfc3339(opportunity.added_at),
        "updatedAt": rfc3339(opportunity.updated_at),
        "contactId": opportunity.contact_id,
        "locationId": opportunity.account_id,
        "contact": {
            "id": opportunity.contact_id,
            **{name: value for name, value in of_contact.items() if value is not None},
            "tags": contact.get("tags", []),
        },
        "notes": [],
        "tasks": [],
        "calendarEvents": [],
        "customFields": [],
        "followers": [],
        **fields,
    }


def _of_contact(connection: Connection, found: OpportunityWithContact, details: frozenset[str]) -> dict[str, object]:
    """Return the details of the contact that the search asks for; the sandbox has no appointments."""
    of = found.opportunity.account_id, found.opportunity.contact_id
    shown: dict[str, object] = {}
    if "getNotes" in details:
        shown["notes"] = [NOTES.shown(note) for note in list_items(connection, notes, *of)]
    if "getTasks" in details:
        shown["tasks"] = [TASKS.shown(task) for task in list_items(connection, tasks, *of)]
    return shown


HANDLERS = MappingProxyType(
    {
        ("GET", "/opportunities/search"): search_opportunities,
        ("POST", "/opportunities/"): create_opportunity,
        ("GET", "/opportunities/{id}"): read_opportunity,
        ("PUT", "/opportunities/{id}"): update_opportunity,
        ("PUT", "/opportunities/{id}/status"): update_status,
        ("DELETE", "/opportunities/{id}"): delete_opportunity,
    }
)
