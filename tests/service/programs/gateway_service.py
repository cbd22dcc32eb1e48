"""The real service as a gateway: `gateway_service.py DATA_DIR UPSTREAM SEALING_KEYS LIMITS`.

LIMITS is JSON: fields of `GatewayLimits` that differ from the usual ones, so that no test waits for long.
"""

import json
import sys
from functools import partial
from pathlib import Path

from database_address import database_of
from private_integrations_service.gateway import GatewayLimits
from private_integrations_service.server import serve


def main(data_dir, upstream, sealing_keys, limits):
    """Serve on a free port until told to stop."""
    given = json.loads(limits)
    GatewayLimits.of = lambda settings: GatewayLimits(**given)
    serve.serve(
        data_dir=Path(data_dir),
        database=database_of(data_dir),
        host="127.0.0.1",
        port=0,
        say=partial(print, flush=True),
        upstream=upstream,
        sealing_keys=Path(sealing_keys),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
