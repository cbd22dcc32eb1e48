"""List, create, read, update and delete contacts, with the platform's statuses, bodies and error texts."""

from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import Connection

from private_integrations.contract import Reason, rfc3339

from ..authorizer.replies import PlatformError, Reply, new_trace_id
from ..storage.engine import Write
from ..tokens.format import new_id
from . import contact_changes
from .answers import SUCCEEDED, not_found
from .contact_fields import CHECKS, merged, normal_email, normal_phone, shown_alone, shown_in_list
from .contact_list import SORTING, ContactPage, meta, read_page
from .requests import SandboxRequest
from .storage import contacts as stored
from .storage.contacts import Contact, ContactFilter

# Fields of a request that a contact doesn't keep. An account allows no duplicates, so the second one changes nothing.
_NOT_KEPT = ("locationId", "createNewIfDuplicateAllowed")


def list_contacts(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /contacts/`: newest first unless `sortBy` and `order` are given, with the next page in `meta`."""
    page = read_page(request.query, request.query_faults(also=SORTING))
    if isinstance(page, PlatformError):
        return page
    selection = ContactFilter(request.account_id, page.query)
    with request.read() as connection:
        found = ContactPage(
            contacts=stored.list_contacts(
                connection, selection, after=page.after, order=page.order, limit=page.limit + 1
            ),
            total=stored.count_contacts(connection, selection),
            behind=stored.count_contacts(connection, selection, after=page.after, order=page.order),
        )
    return Reply(
        200,
        {
            "contacts": [shown_in_list(contact, request.generation) for contact in found.contacts[: page.limit]],
            "count": found.total,
            "meta": meta(page, found, f"{request.base_url}/contacts/", request.account_id),
            "traceId": new_trace_id(),
        },
    )


def create_contact(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /contacts/`: 201 with the contact, or a refusal that names its duplicate."""
    given = request.body_fields(CHECKS)
    if isinstance(given, PlatformError):
        return given
    with request.write() as write:
        contact = _new_contact(write, request.account_id, {**given, "createdBy": request.author})
        duplicate = _refuse_duplicate(write.connection, contact)
        if duplicate is not None:
            return duplicate
        contact_changes.add(write, contact)
    return Reply(201, {"contact": shown_alone(contact, request.generation)})


def upsert_contact(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `POST /contacts/upsert`: update the contact with this e-mail, or else this phone, or create one.

    As on the platform, an update leaves out a phone that another contact has.
    """
    given = request.body_fields(CHECKS)
    if isinstance(given, PlatformError):
        return given
    with request.write() as write:
        found = contact_alike(write.connection, request.account_id, given.get("email"), given.get("phone"))
        if found is None:
            contact = _new_contact(write, request.account_id, {**given, "createdBy": request.author})
            contact_changes.add(write, contact)
        else:
            contact = _updated(write, found.contact, given)
            if contact_alike(write.connection, request.account_id, None, contact.phone, other_than=contact.id):
                contact = _updated(write, found.contact, {**given, "phone": found.contact.phone})
            contact_changes.save(write, found.contact, contact)
    return Reply(
        200, {"new": found is None, "contact": shown_alone(contact, request.generation), "traceId": new_trace_id()}
    )


def read_contact(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `GET /contacts/{contactId}`."""
    contact_id = request.parameter("contactId")
    with request.read() as connection:
        contact = stored.contact_by_id(connection, request.account_id, contact_id)
    return (
        not_found("Contact", contact_id)
        if contact is None
        else Reply(200, {"contact": shown_alone(contact, request.generation)})
    )


def update_contact(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `PUT /contacts/{contactId}`: given fields replace stored ones, `tags` as a whole."""
    contact_id = request.parameter("contactId")
    given = request.body_fields(CHECKS)
    if isinstance(given, PlatformError):
        return given
    with request.write() as write:
        old = stored.contact_by_id(write.connection, request.account_id, contact_id)
        if old is None:
            return not_found("Contact", contact_id)
        contact = _updated(write, old, given)
        duplicate = _refuse_duplicate(write.connection, contact)
        if duplicate is not None:
            return duplicate
        contact_changes.save(write, old, contact)
    return Reply(200, {**SUCCEEDED, "contact": shown_alone(contact, request.generation)})


def delete_contact(request: SandboxRequest) -> Reply | PlatformError:
    """Answer `DELETE /contacts/{contactId}`; the body is ignored."""
    contact_id = request.parameter("contactId")
    with request.write() as write:
        contact = stored.contact_by_id(write.connection, request.account_id, contact_id)
        if contact is None:
            return not_found("Contact", contact_id)
        contact_changes.remove(write, contact)
    return Reply(200, SUCCEEDED)


@dataclass(frozen=True)
class Alike:
    """Hold a duplicate, and the field that it was recognized by."""

    contact: Contact
    field: str


def contact_alike(
    connection: Connection, account_id: str, email: str | None, phone: str | None, *, other_than: str = ""
) -> Alike | None:
    """Find the account's contact with this e-mail, or else this phone, in any spelling; `other_than` is left out."""
    email, phone = normal_email(email), normal_phone(phone or "")
    values: tuple[tuple[Literal["email", "phone"], str | None], ...] = (("email", email), ("phone", phone))
    for field, value in values:
        found = stored.contact_like(connection, account_id, field, value, other_than=other_than) if value else None
        if found is not None:
            return Alike(found, field)
    return None


def seed(write: Write, account_id: str) -> None:
    """Store a handful of contacts, so that your first request shows some."""
    for days, (name, email, phone, company, tags) in enumerate(_DEMO, start=1):
        added_at = write.now - timedelta(days=days)
        author = {"source": "WEB_USER", "channel": "APP", "sourceName": "Demo", "timestamp": rfc3339(added_at)}
        given = {
            "name": name,
            "email": email,
            "phone": phone,
            "companyName": company,
            "tags": tags,
            "createdBy": author,
        }
        contact = replace(_new_contact(write, account_id, given), added_at=added_at, updated_at=added_at)
        stored.add_contact(write.connection, contact)


# Invented names, the reserved example domains (RFC 2606) and the numbers kept for fiction (555-01xx).
_DEMO: tuple[tuple[str, str, str, str, list[str]], ...] = (
    ("Amira Haddad", "amira.haddad@example.com", "+12025550143", "Haddad Dental", ["lead", "newsletter"]),
    ("Jonas Lindqvist", "jonas@example.org", "+12025550178", "Lindqvist Roofing", ["customer"]),
    ("Grace Okafor", "grace.okafor@example.net", "+12025550112", "Okafor & Partners", ["customer", "vip"]),
    ("Mateo Ruiz", "mateo.ruiz@example.com", "+12025550199", "Ruiz Fitness", ["trial"]),
    ("Hana Sato", "hana.sato@example.org", "+12025550126", "Studio Sato", []),
)


def _new_contact(write: Write, account_id: str, given: dict[str, Any]) -> Contact:
    blank = Contact(new_id(), account_id, None, None, {}, added_at=write.now, updated_at=write.now)
    return _with_fields(blank, given)


def _with_fields(contact: Contact, given: dict[str, Any]) -> Contact:
    fields = merged(contact.fields, {name: value for name, value in given.items() if name not in _NOT_KEPT})
    return replace(contact, fields=fields, email=normal_email(fields.get("email")), phone=fields.get("phone"))


def _updated(write: Write, contact: Contact, given: dict[str, Any]) -> Contact:
    return _with_fields(replace(contact, updated_at=write.now), given)


def _refuse_duplicate(connection: Connection, contact: Contact) -> PlatformError | None:
    """Refuse a contact that is the duplicate of another one of the account."""
    found = contact_alike(connection, contact.account_id, contact.email, contact.phone, other_than=contact.id)
    if found is None:
        return None
    meta = {"contactId": found.contact.id, "matchingField": found.field}
    if found.contact.fields.get("name"):
        meta["contactName"] = found.contact.fields["name"]
    return PlatformError(
        400, Reason.DUPLICATE_CONTACT, "This location does not allow duplicated contacts.", {"meta": meta}
    )


HANDLERS = MappingProxyType(
    {
        ("GET", "/contacts/"): list_contacts,
        ("POST", "/contacts/"): create_contact,
        ("POST", "/contacts/upsert"): upsert_contact,
        ("GET", "/contacts/{contactId}"): read_contact,
        ("PUT", "/contacts/{contactId}"): update_contact,
        ("DELETE", "/contacts/{contactId}"): delete_contact,
    }
)
