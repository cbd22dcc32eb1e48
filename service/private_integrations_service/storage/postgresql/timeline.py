"""The database's timeline, which changes with every promotion and restore. Pure decisions.

A database that was promoted may lack rows of replicas whose leases still last. For the time of one lease its list of
replicas says too little. Later every lease was granted by this database.
"""

from dataclasses import dataclass
from math import inf

from .lease import LeaseTimes


@dataclass(frozen=True, slots=True)
class WatchedTimeline:
    """A timeline, since when this machine has seen it (boot clock), and whether the database says that it is settled.

    Any text may be a timeline that changes when the database may have lost something: the system identifier and the
    first 8 digits of `pg_walfile_name(pg_current_wal_lsn())`, which a standby refuses to answer.
    """

    timeline: str
    since: float
    settled: bool = False

    def trusted_from(self, times: LeaseTimes) -> float:
        """Return from when on the list of replicas and their acknowledgements are complete (boot clock)."""
        return -inf if self.settled else self.since + times.change_wait

    def settles(self, now: float, times: LeaseTimes) -> bool:
        """Return whether to store this timeline as settled, so that processes which start later need not wait."""
        return not self.settled and now >= self.trusted_from(times)


def watch(previous: WatchedTimeline | None, timeline: str, settled: str | None, now: float) -> WatchedTimeline:
    """Return the timeline as it is watched after a reading.

    Args:
        previous: as it was watched before; None at the start, and after a ReportLoss.
        timeline: the timeline of the reading.
        settled: the timeline that the database has stored as settled. A database with a new schema stores its own.
        now: the boot clock after the reading has arrived, hence after the promotion.

    """
    if previous is None or previous.timeline != timeline:
        return WatchedTimeline(timeline, now, settled == timeline)
    return WatchedTimeline(timeline, previous.since, previous.settled or settled == timeline)
