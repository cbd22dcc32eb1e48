"""Counts requests of one account on a data folder's rate limits, as a worker process of the service does.

    python tests/service/programs/spender.py DATA_DIR ACCOUNT REQUESTS PER_INTERVAL

Says "ready", waits for a line, asks that often at one instant, and says how many of them were let through.
"""

import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from private_integrations_service.sandbox.limits import Limits, RateLimits
from private_integrations_service.storage.usage import UsageFile


def main(data_dir: str, account: str, requests: str, per_interval: str) -> None:
    """Spend."""
    limits = RateLimits(UsageFile(Path(data_dir)), Limits(per_interval=int(per_interval)))
    say = partial(print, flush=True)
    say("ready")
    sys.stdin.readline()
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    passed = sum(limits.spend(account, noon).exhausted is None for _ in range(int(requests)))
    say(passed)


if __name__ == "__main__":
    main(*sys.argv[1:])
