"""An integration that exists already, taken over as it is: its token is not rotated.

    pulumi config set adopt int_…
    pulumi config set --secret adopt_token    # the token in use; left out, `token` stays empty until a rotation
    pulumi up

Once that is done, both settings and both arguments may go.
"""

import pulumi

import private_integrations as pi

config = pulumi.Config()

crm = pi.PrivateIntegration(
    "crm-sync",
    name="CRM sync",
    scopes=["contacts.readonly"],
    rotation=pi.Rotation(every="90d"),
    adopt=config.require("adopt"),
    adopt_token=config.get_secret("adopt_token"),
)

pulumi.export("token", crm.token)
