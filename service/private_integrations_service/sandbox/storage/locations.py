"""Find the locations that a token reaches."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from private_integrations.contract import Account, AccountClass

from ...storage.tables import accounts


@dataclass(frozen=True)
class LocationSearch:
    """Ask for a page of the locations that an account reaches: an agency's own, or a sub-account itself.

    If `agency_id` is given, they must belong to this agency.
    """

    account_id: str
    agency_id: str | None
    skip: int
    limit: int
    descending: bool


def find_locations(connection: Connection, search: LocationSearch) -> list[Account]:
    """Return the locations of the page, by name."""
    reached = (accounts.c.id == search.account_id) | (accounts.c.agency_id == search.account_id)
    query = select(accounts).where(accounts.c.kind == AccountClass.SUB_ACCOUNT, reached)
    if search.agency_id is not None:
        query = query.where(accounts.c.agency_id == search.agency_id)
    columns = (accounts.c.name, accounts.c.id)
    order = [column.desc() for column in columns] if search.descending else columns
    rows = connection.execute(query.order_by(*order).limit(search.limit).offset(search.skip))
    return [Account(id=row.id, name=row.name, kind=AccountClass(row.kind), agency_id=row.agency_id) for row in rows]
