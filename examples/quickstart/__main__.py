"""A private integration with two scopes and a token that is rotated every 90 days."""

import pulumi

import private_integrations as pi

config = pulumi.Config()

crm = pi.PrivateIntegration(
    "crm-sync",
    name="CRM sync",
    description="Nightly export of contacts to the warehouse",
    scopes=config.get_object("scopes") or ["contacts.readonly", "locations.readonly"],
    rotation=pi.Rotation(every="90d", overlap="7d", trigger=config.get("trigger")),
)

pulumi.export("token", crm.token)
pulumi.export("next_rotation_at", crm.next_rotation_at)
