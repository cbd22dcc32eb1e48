"""A token that is rotated on the first Monday of every month at 03:00 in Berlin, and a consumer that follows.

The first `pulumi up` after that hour rotates it and writes the new token to the file, in one go.
"""

import pulumi
from token_file import TokenFile

import private_integrations as pi

config = pulumi.Config()

crm = pi.PrivateIntegration(
    "crm-sync",
    name="CRM sync",
    description="Nightly export of contacts to the warehouse",
    scopes=["contacts.readonly"],
    rotation=pi.Rotation(schedule="0 3 * * MON#1", timezone="Europe/Berlin", overlap="7d"),
)
TokenFile("crm-token", path=config.get("path") or "crm.token", token=crm.token)

pulumi.export("next_rotation_at", crm.next_rotation_at)
