"""The real service, but for the overlap that it has where a policy leaves it out: as a later release may have it.

python service_with_defaults.py OVERLAP_SECONDS DATA_DIR PORT
"""

import sys
from pathlib import Path

from private_integrations_service.tokens import policy_defaults


def main(overlap: str, data_dir: str, port: str) -> None:
    """Change the one table of defaults before anything reads it, and serve."""
    changed = policy_defaults.POLICY_DEFAULTS.model_copy(update={"overlap_seconds": int(overlap)})
    policy_defaults.POLICY_DEFAULTS = changed
    from private_integrations_service.server import serve

    serve.serve(data_dir=Path(data_dir), host="127.0.0.1", port=int(port), say=lambda line: print(line, flush=True))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
