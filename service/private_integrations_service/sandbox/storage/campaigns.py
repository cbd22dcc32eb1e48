"""Store the campaigns of a location; the account is part of every condition."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from .tables import campaigns


@dataclass(frozen=True)
class Campaign:
    """Hold a campaign of a location; `status` is "draft" or "published"."""

    id: str
    account_id: str
    name: str
    status: str


def list_campaigns(connection: Connection, account_id: str, *, status: str = "") -> list[Campaign]:
    """Return the account's campaigns by name, only those with the status if one is given."""
    query = select(campaigns).where(campaigns.c.account_id == account_id)
    if status:
        query = query.where(campaigns.c.status == status)
    rows = connection.execute(query.order_by(campaigns.c.name, campaigns.c.id))
    return [Campaign(row.id, row.account_id, row.name, row.status) for row in rows]


def add_campaign(connection: Connection, campaign: Campaign) -> None:
    """Store a new campaign."""
    connection.execute(
        insert(campaigns).values(
            id=campaign.id, account_id=campaign.account_id, name=campaign.name, status=campaign.status
        )
    )
