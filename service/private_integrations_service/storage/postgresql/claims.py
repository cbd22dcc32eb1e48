"""Claims on webhooks: which replica serves one, for a while. A replica that dies loses its claims by time."""

from typing import Any

from sqlalchemy import Engine

from ..engine import CLAIMED_FOR
from .connections import Watchdog, watched

# A row that another replica is claiming at this moment is skipped, not waited for. No clock of a machine counts, and
# a crash of the database that loses a claim costs a message that is sent twice.
_TAKE = """
WITH free AS (
    SELECT endpoint_id FROM webhook_claims
    WHERE endpoint_id = %(endpoint)s AND (run = %(run)s OR until < clock_timestamp()) FOR UPDATE SKIP LOCKED
), kept AS (
    UPDATE webhook_claims SET run = %(run)s, until = clock_timestamp() + %(time)s FROM free
    WHERE webhook_claims.endpoint_id = free.endpoint_id RETURNING 1
), made AS (
    INSERT INTO webhook_claims (endpoint_id, run, until) SELECT %(endpoint)s, %(run)s, clock_timestamp() + %(time)s
    WHERE NOT EXISTS (SELECT FROM webhook_claims WHERE endpoint_id = %(endpoint)s)
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT (SELECT count(*) FROM kept) + (SELECT count(*) FROM made), set_config('synchronous_commit', 'off', true)
"""
_RELEASE = "DELETE FROM webhook_claims WHERE endpoint_id = %(endpoint)s AND run = %(run)s"


class TableClaims:
    """The claims of one replica, in a table.

    Args:
        pool: connections without transactions of their own.
        run: the name of this replica's run.
        watchdog: ends what takes too long.

    """

    def __init__(self, pool: Engine, run: str, watchdog: Watchdog) -> None:
        self._pool = pool
        self._run = run
        self._watchdog = watchdog

    def take(self, endpoint_id: str) -> bool:
        """Claim a webhook, or keep the claim; returns False while another replica has it. Raises StorageError."""
        row = self._execute(_TAKE, endpoint_id).fetchone()
        return bool(row and row[0])

    def release(self, endpoint_id: str) -> None:
        """Give the claim up. Raises StorageError."""
        self._execute(_RELEASE, endpoint_id)

    def _execute(self, statement: str, endpoint_id: str) -> Any:
        with watched(self._pool, self._watchdog) as (_, driver):
            return driver.execute(statement, {"endpoint": endpoint_id, "run": self._run, "time": CLAIMED_FOR})
