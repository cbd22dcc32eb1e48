"""Contacts: list, create, read, update and delete, with the platform's statuses, bodies and error texts."""

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal

from sqlalchemy import Connection

from ..authorizer.decisions import refuse_location
from ..authorizer.replies import Refusal, Reply, new_trace_id
from ..storage import contacts as stored
from ..storage.contacts import Contact, Selection
from ..storage.database import Write
from ..tokens import new_id
from .bodies import read_fields, refuse_fields, required_text
from .contact_fields import CHECKS, merged, normal_email, shown, shown_alone
from .contact_list import Found, meta, read_page
from .requests import Request

_CREATE_CHECKS = MappingProxyType({"locationId": required_text, **CHECKS})
_SUCCEEDED = {"succeded": True, "succeeded": True}


def list_contacts(request: Request) -> Reply | Refusal:
    """Answer `GET /contacts/`: newest first, with the way to the next page in `meta`."""
    page = read_page(request.query)
    if isinstance(page, Refusal):
        return page
    selection = Selection(request.account_id, page.query)
    with request.database.read() as connection:
        found = Found(
            contacts=stored.list_contacts(connection, selection, after=page.after, limit=page.limit + 1),
            total=stored.count_contacts(connection, selection),
            behind=stored.count_contacts(connection, selection, after=page.after),
        )
    return Reply(
        200,
        {
            "contacts": [shown(contact) for contact in found.contacts[: page.limit]],
            "count": found.total,
            "meta": meta(page, found, f"{request.base_url}/contacts/", request.account_id),
            "traceId": new_trace_id(),
        },
    )


def create_contact(request: Request) -> Reply | Refusal:
    """Answer `POST /contacts/`: 201 with the contact, or the duplicate that stands against it."""
    given = read_fields(request.body)
    if isinstance(given, Refusal):
        return given
    refusal = _refuse_body_location(request, given) or refuse_fields(given, _CREATE_CHECKS, required=("locationId",))
    if refusal is not None:
        return refusal
    del given["locationId"]
    with request.database.write(request.now, verdicts=False) as write:
        contact = _new_contact(write, request.account_id, given)
        duplicate = _refuse_duplicate(write.connection, contact)
        if duplicate is not None:
            return duplicate
        stored.add_contact(write.connection, contact)
    return Reply(201, {"contact": shown_alone(contact)})


def read_contact(request: Request) -> Reply | Refusal:
    """Answer `GET /contacts/{contactId}`."""
    contact_id = request.parameter("contactId")
    with request.database.read() as connection:
        contact = stored.contact_by_id(connection, request.account_id, contact_id)
    return _not_found(contact_id) if contact is None else Reply(200, {"contact": shown_alone(contact)})


def update_contact(request: Request) -> Reply | Refusal:
    """Answer `PUT /contacts/{contactId}`: what is given replaces what was, `tags` as a whole."""
    contact_id = request.parameter("contactId")
    given = read_fields(request.body)
    if isinstance(given, Refusal):
        return given
    refusal = refuse_fields(given, CHECKS)
    if refusal is not None:
        return refusal
    with request.database.write(request.now, verdicts=False) as write:
        old = stored.contact_by_id(write.connection, request.account_id, contact_id)
        if old is None:
            return _not_found(contact_id)
        contact = _with_fields(replace(old, updated_at=write.now), given)
        duplicate = _refuse_duplicate(write.connection, contact)
        if duplicate is not None:
            return duplicate
        stored.save_contact(write.connection, contact)
    return Reply(200, {**_SUCCEEDED, "contact": shown_alone(contact)})


def delete_contact(request: Request) -> Reply | Refusal:
    """Answer `DELETE /contacts/{contactId}`; a body is not looked at."""
    contact_id = request.parameter("contactId")
    with request.database.write(request.now, verdicts=False) as write:
        removed = stored.remove_contact(write.connection, request.account_id, contact_id)
    return Reply(200, _SUCCEEDED) if removed else _not_found(contact_id)


def seed(write: Write, account_id: str) -> None:
    """Store a handful of contacts, so that a first request shows something."""
    for days, (name, email, phone, company, tags) in enumerate(_DEMO, start=1):
        given = {"name": name, "email": email, "phone": phone, "companyName": company, "tags": tags}
        added_at = write.now - timedelta(days=days)
        contact = replace(_new_contact(write, account_id, given), added_at=added_at, updated_at=added_at)
        stored.add_contact(write.connection, contact)


# Names nobody is hurt by, the reserved example domains (RFC 2606) and the numbers kept for fiction (555-01xx).
_DEMO: tuple[tuple[str, str, str, str, list[str]], ...] = (
    ("Amira Haddad", "amira.haddad@example.com", "+12025550143", "Haddad Dental", ["lead", "newsletter"]),
    ("Jonas Lindqvist", "jonas@example.org", "+12025550178", "Lindqvist Roofing", ["customer"]),
    ("Grace Okafor", "grace.okafor@example.net", "+12025550112", "Okafor & Partners", ["customer", "vip"]),
    ("Mateo Ruiz", "mateo.ruiz@example.com", "+12025550199", "Ruiz Fitness", ["trial"]),
    ("Hana Sato", "hana.sato@example.org", "+12025550126", "Studio Sato", []),
)


def _refuse_body_location(request: Request, given: dict[str, Any]) -> Refusal | None:
    location = given.get("locationId")
    if not isinstance(location, str) or not location:
        return None
    return refuse_location(request.granted.match.endpoint, request.granted.grant, location, None)


def _new_contact(write: Write, account_id: str, given: dict[str, Any]) -> Contact:
    blank = Contact(new_id(), account_id, None, None, {}, added_at=write.now, updated_at=write.now)
    return _with_fields(blank, given)


def _with_fields(contact: Contact, given: dict[str, Any]) -> Contact:
    fields = merged(contact.fields, given)
    return replace(contact, fields=fields, email=normal_email(fields.get("email")), phone=fields.get("phone"))


def _refuse_duplicate(connection: Connection, contact: Contact) -> Refusal | None:
    """Why an account can't have this contact as well: the e-mail counts first, then the phone."""
    fields: tuple[tuple[Literal["email", "phone"], str | None], ...] = (
        ("email", contact.email),
        ("phone", contact.phone),
    )
    for field, value in fields:
        if value is None:
            continue
        other = stored.contact_like(connection, contact.account_id, field, value, other_than=contact.id)
        if other is not None:
            return _duplicate(other, field)
    return None


def _duplicate(other: Contact, field: str) -> Refusal:
    meta = {"contactId": other.id, "matchingField": field}
    if other.fields.get("name"):
        meta["contactName"] = other.fields["name"]
    return Refusal(400, "duplicate-contact", "This location does not allow duplicated contacts.", {"meta": meta})


def _not_found(contact_id: str) -> Refusal:
    return Refusal(400, "contact-not-found", f"Contact with id {contact_id} not found")
