"""The real service as a gateway: `gateway_service.py DATA_DIR UPSTREAM CREDENTIALS LIMITS`, the last two as JSON.

CREDENTIALS are upstream credentials by account id, "unreadable" for one that can't be opened; LIMITS are fields
of `gateway.GatewayLimits` that differ from the usual ones.
"""

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from private_integrations_service import app, server
from private_integrations_service.gateway import CredentialUnreadable, GatewayLimits


def main(data_dir, upstream, credentials, limits):
    """Serve on a free port until told to stop."""
    held = json.loads(credentials)

    def credential_of(account):
        if held.get(account) == "unreadable":
            raise CredentialUnreadable
        return held.get(account)

    class GatewayApplication(app.Application):
        def __init__(self, database, settings):
            super().__init__(database, replace(settings, upstream=upstream), credential_of=credential_of)

    given = json.loads(limits)
    app.GatewayLimits = lambda **usual: GatewayLimits(**usual | given)
    server.Application = GatewayApplication
    server.serve(data_dir=Path(data_dir), host="127.0.0.1", port=0, say=partial(print, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
