"""Locations as the data API shows them: the sub-accounts."""

from sqlalchemy import Connection, select

from private_integrations.contract import Account

from .tables import accounts


def location_by_id(connection: Connection, location_id: str) -> Account | None:
    """The sub-account with this id."""
    query = select(accounts).where(accounts.c.id == location_id, accounts.c.kind == "sub_account")
    row = connection.execute(query).one_or_none()
    return None if row is None else Account(id=row.id, name=row.name, kind=row.kind, agency_id=row.agency_id)
