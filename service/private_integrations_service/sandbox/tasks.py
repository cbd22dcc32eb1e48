"""Serve tasks of contacts (CreateTaskParams, UpdateTaskBody, TaskSchema of the platform's spec, apps/contacts.json)."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

from private_integrations.contract import rfc3339

from ..authorizer.replies import PlatformError, Reply, new_trace_id
from .bodies import instant, required_text
from .contact_items import Kind
from .instants import instant_of
from .requests import SandboxRequest
from .storage.contact_items import Item
from .storage.tables import tasks


def create_task(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /contacts/{contactId}/tasks`: 201, with a `traceId` beside the task."""
    answer = TASKS.create(request)
    return replace(answer, body={**answer.body, "traceId": new_trace_id()}) if isinstance(answer, Reply) else answer


def complete_task(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `PUT /contacts/{contactId}/tasks/{taskId}/completed`: done, or not done after all."""
    return TASKS.update(request)


def _shown(task: Item) -> dict[str, object]:
    return {"id": task.id, "contactId": task.contact_id, **task.fields}


def _normal(given: dict[str, Any]) -> dict[str, Any]:
    due = instant_of(given.get("dueDate"))
    return given if due is None else {**given, "dueDate": rfc3339(due)}


def _changed(before: Item, after: Item) -> str | None:
    """Return the event of a completed task; the platform has none for other changes."""
    done = after.fields["completed"] and not before.fields["completed"]
    return "TaskComplete" if done else None


TASKS = Kind(
    noun="Task",
    table=tasks,
    parameter="taskId",
    checks=MappingProxyType({"title": required_text, "dueDate": instant}),
    required=frozenset({"title", "dueDate", "completed"}),
    shown=_shown,
    normal=_normal,
    changed=_changed,
)

HANDLERS = MappingProxyType(
    {
        **TASKS.handlers(),
        ("POST", "/contacts/{contactId}/tasks"): create_task,
        ("PUT", "/contacts/{contactId}/tasks/{taskId}/completed"): complete_task,
    }
)
