"""Answer for campaigns, workflows and appointments: the sandbox has none, so it takes any id and stores nothing."""

from types import MappingProxyType

from ..authorizer.replies import PlatformError, Reply
from .answers import SUCCEEDED, not_found
from .bodies import instant
from .requests import SandboxRequest
from .storage.contacts import contact_by_id


def list_appointments(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /contacts/{contactId}/appointments`: none."""
    return _refuse_contact(request) or Reply(200, {"events": []})


def join_campaign(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /contacts/{contactId}/campaigns/{campaignId}`: 201; the body has no fields."""
    given = request.body_fields()
    if isinstance(given, PlatformError):
        return given
    return _refuse_contact(request) or Reply(201, SUCCEEDED)


def leave_campaigns(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `DELETE` of one campaign or all of them; the body is ignored."""
    return _refuse_contact(request) or Reply(200, SUCCEEDED)


def change_workflow(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST` and `DELETE /contacts/{contactId}/workflow/{workflowId}`, both with `eventStartTime` or nothing."""
    given = request.body_fields({"eventStartTime": instant})
    if isinstance(given, PlatformError):
        return given
    return _refuse_contact(request) or Reply(200, SUCCEEDED)


def _refuse_contact(request: SandboxRequest) -> PlatformError | None:
    contact_id = request.parameter("contactId")
    with request.read() as connection:
        contact = contact_by_id(connection, request.account_id, contact_id)
    return not_found("Contact", contact_id) if contact is None else None


HANDLERS = MappingProxyType(
    {
        ("GET", "/contacts/{contactId}/appointments"): list_appointments,
        ("POST", "/contacts/{contactId}/campaigns/{campaignId}"): join_campaign,
        ("DELETE", "/contacts/{contactId}/campaigns/{campaignId}"): leave_campaigns,
        ("DELETE", "/contacts/{contactId}/campaigns/removeAll"): leave_campaigns,
        ("DELETE", "/contacts/{contactId}/campaigns/remove-all"): leave_campaigns,
        ("POST", "/contacts/{contactId}/workflow/{workflowId}"): change_workflow,
        ("DELETE", "/contacts/{contactId}/workflow/{workflowId}"): change_workflow,
    }
)
