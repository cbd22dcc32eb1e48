"""The public API as a user types it; read by the type checker only."""

from datetime import timedelta
from typing import assert_type

import pulumi

import private_integrations as pi

scopes: list[pi.Scope] = ["contacts.readonly", "locations.readonly"]

crm = pi.PrivateIntegration(
    "crm-sync",
    name="CRM sync",
    description="Nightly export of contacts to the warehouse",
    scopes=scopes,
    account="ve9EPM428h8vShlRW1KT",
    rotation=pi.Rotation(every="90d", overlap=timedelta(days=7), trigger={"incident": "7"}),
    opts=pulumi.ResourceOptions(protect=True),
)
assert_type(crm.token, pulumi.Output[str | None])
assert_type(crm.generation, pulumi.Output[int | None])

computed = pi.PrivateIntegration("computed", scopes=crm.scopes, account=crm.account, name=crm.name)
found = pi.PrivateIntegration.get("found", "int_0000")
assert_type(found, pi.PrivateIntegration)

pi.PrivateIntegration("wrong", scopes="contacts.readonly", description=1)  # type: ignore[arg-type]
