"""A leaked token: one setting rotates it at once and ends every older token in the same moment.

    pulumi config set incident "2026-11-21: token in a build log"
    pulumi up
    pulumi config rm incident    # afterwards: the overlap is back for the rotations to come

Without the setting the token is rotated every 90 days, with an overlap of 7.
"""

import pulumi

import private_integrations as pi

incident = pulumi.Config().get("incident")

crm = pi.PrivateIntegration(
    "crm-sync",
    name="CRM sync",
    description="Nightly export of contacts to the warehouse",
    scopes=["contacts.readonly"],
    rotation=pi.Rotation(every="90d", overlap="0s" if incident else "7d", trigger=incident),
)

pulumi.export("token", crm.token)
