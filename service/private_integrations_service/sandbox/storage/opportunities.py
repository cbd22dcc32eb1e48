"""Store the sandbox's opportunities, each with its contact; the account is part of every condition."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, delete, func, insert, or_, select, update

from .contacts import Position
from .json_fields import text_of
from .tables import contacts, opportunities

_SEARCHED = ("name", "email", "phone", "companyName")


@dataclass(frozen=True)
class Opportunity:
    """Hold an opportunity: `fields` as they are shown, `name` among them."""

    id: str
    account_id: str
    contact_id: str
    pipeline_id: str
    stage_id: str
    status: str
    fields: Mapping[str, Any]
    added_at: datetime
    updated_at: datetime
    stage_changed_at: datetime
    status_changed_at: datetime


@dataclass(frozen=True)
class OpportunityWithContact:
    """Hold an opportunity, and the fields of its contact."""

    opportunity: Opportunity
    contact: Mapping[str, Any]


@dataclass(frozen=True)
class OpportunityFilter:
    """Select opportunities of an account by every condition that isn't None.

    `text` is a part of the opportunity's name, or of the contact's name, e-mail, phone or company. `begin` is the
    first instant at which they may have been added, `end` the first at which they may not.
    """

    account_id: str
    text: str = ""
    id: str | None = None
    pipeline_id: str | None = None
    stage_id: str | None = None
    contact_id: str | None = None
    status: str | None = None
    assigned_to: str | None = None
    country: str | None = None
    begin: datetime | None = None
    end: datetime | None = None

    def condition(self) -> ColumnElement[bool]:
        """Return the selection as an SQL condition on opportunities joined with their contacts."""
        table, fields = opportunities.c, opportunities.c.fields
        equal = (
            (table.id, self.id),
            (table.pipeline_id, self.pipeline_id),
            (table.stage_id, self.stage_id),
            (table.contact_id, self.contact_id),
            (table.status, self.status),
            (text_of(fields, "assignedTo"), self.assigned_to),
            (text_of(contacts.c.fields, "country"), self.country),
        )
        chosen = [table.account_id == self.account_id, *(name == value for name, value in equal if value is not None)]
        if self.begin is not None:
            chosen.append(table.added_at >= self.begin)
        if self.end is not None:
            chosen.append(table.added_at < self.end)
        if self.text:
            texts = [text_of(fields, "name"), *(text_of(contacts.c.fields, name) for name in _SEARCHED)]
            chosen.append(or_(*(text.icontains(self.text, autoescape=True) for text in texts)))
        return and_(*chosen)


@dataclass(frozen=True)
class OpportunityOrder:
    """Order a list by name or by the instant of adding, then by id."""

    by_name: bool = False
    descending: bool = True


def find_opportunities(
    connection: Connection,
    selection: OpportunityFilter,
    order: OpportunityOrder,
    *,
    after: Position | None,
    skip: int,
    limit: int,
) -> list[OpportunityWithContact]:
    """Return at most `limit` selected opportunities in their order, beginning behind `after`, then after `skip`."""
    first = text_of(opportunities.c.fields, "name") if order.by_name else opportunities.c.added_at
    columns = [first, opportunities.c.id]
    query = _joined().where(selection.condition())
    if after is not None:
        query = query.where(_behind(after, order))
    sorted_ = query.order_by(*(column.desc() if order.descending else column.asc() for column in columns))
    return [_found(row) for row in connection.execute(sorted_.limit(limit).offset(skip))]


def count_opportunities(
    connection: Connection,
    selection: OpportunityFilter,
    order: OpportunityOrder | None = None,
    *,
    after: Position | None = None,
) -> int:
    """Return how many opportunities are selected, or how many of them lie behind `after` in an order."""
    query = select(func.count()).select_from(opportunities.join(contacts)).where(selection.condition())
    if after is not None and order is not None:
        query = query.where(_behind(after, order))
    return connection.execute(query).scalar_one()


def opportunity_by_id(connection: Connection, account_id: str, opportunity_id: str) -> OpportunityWithContact | None:
    """Return the account's opportunity with this id."""
    row = connection.execute(_joined().where(_is(account_id, opportunity_id))).one_or_none()
    return None if row is None else _found(row)


def add_opportunity(connection: Connection, opportunity: Opportunity) -> None:
    """Store a new opportunity; pipeline, stage and contact are the account's own."""
    connection.execute(
        insert(opportunities).values(
            id=opportunity.id,
            account_id=opportunity.account_id,
            contact_id=opportunity.contact_id,
            added_at=opportunity.added_at,
            **_changeable(opportunity),
        )
    )


def save_opportunity(connection: Connection, opportunity: Opportunity) -> None:
    """Store an opportunity as it is now."""
    is_it = _is(opportunity.account_id, opportunity.id)
    connection.execute(update(opportunities).where(is_it).values(**_changeable(opportunity)))


def remove_opportunity(connection: Connection, account_id: str, opportunity_id: str) -> bool:
    """Remove the account's opportunity with this id; False if there was none."""
    return connection.execute(delete(opportunities).where(_is(account_id, opportunity_id))).rowcount > 0


def _joined() -> Select[Any]:
    return select(opportunities, contacts.c.fields.label("contact_fields")).join(contacts)


def _behind(place: Position, order: OpportunityOrder) -> ColumnElement[bool]:
    name = text_of(opportunities.c.fields, "name")
    named = select(name).where(opportunities.c.id == place.id).scalar_subquery()
    first, value = (name, named) if order.by_name else (opportunities.c.added_at, place.instant)
    if order.descending:
        return or_(first < value, and_(first == value, opportunities.c.id < place.id))
    return or_(first > value, and_(first == value, opportunities.c.id > place.id))


def _is(account_id: str, opportunity_id: str) -> ColumnElement[bool]:
    return and_(opportunities.c.account_id == account_id, opportunities.c.id == opportunity_id)


def _changeable(opportunity: Opportunity) -> dict[str, Any]:
    return {
        "pipeline_id": opportunity.pipeline_id,
        "stage_id": opportunity.stage_id,
        "status": opportunity.status,
        "fields": dict(opportunity.fields),
        "updated_at": opportunity.updated_at,
        "stage_changed_at": opportunity.stage_changed_at,
        "status_changed_at": opportunity.status_changed_at,
    }


def _found(row: Row[Any]) -> OpportunityWithContact:
    opportunity = Opportunity(
        id=row.id,
        account_id=row.account_id,
        contact_id=row.contact_id,
        pipeline_id=row.pipeline_id,
        stage_id=row.stage_id,
        status=row.status,
        fields=row.fields,
        added_at=row.added_at,
        updated_at=row.updated_at,
        stage_changed_at=row.stage_changed_at,
        status_changed_at=row.status_changed_at,
    )
    return OpportunityWithContact(opportunity, row.contact_fields)
