"""Put what was measured into the rows of tables."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from load import Sample

SATURATED = 0.9  # from this share of its core on, a contender was at its limit


@dataclass(frozen=True)
class Row:
    """Define a line of the table: the ratio of contender `of` to `to`, and its upper or lower limit."""

    label: str
    of: str
    to: str
    measure: Literal["CPU", "throughput"]
    target: float | None = None

    def ratios(self, samples: Mapping[str, Sequence[Sample]]) -> list[float]:
        """Return the ratio of each round."""
        field = "cpu" if self.measure == "CPU" else "throughput"
        pairs = zip(samples[self.of], samples[self.to], strict=True)
        return [getattr(ours, field) / getattr(theirs, field) for ours, theirs in pairs]


COMPARISON = ("comparison", "of", "ratio", "min", "max", "target", "")
CONTENDER = ("", "requests/s", "CPU µs per request", "busy")


def cells(row: Row, samples: Mapping[str, Sequence[Sample]]) -> list[str]:
    """Return a row of the comparisons."""
    ratios = row.ratios(samples)
    ratio = statistics.median(ratios)
    made = [row.label, row.measure, f"{ratio:.2f}", f"{min(ratios):.2f}", f"{max(ratios):.2f}"]
    if row.target is None:
        made += ["", ""]
    elif row.measure == "CPU":
        made += [f"≤ {row.target:g}", "met" if ratio <= row.target else "missed"]
    else:
        made += [f"≥ {row.target:g}", "met" if ratio >= row.target else "missed"]
        # A contender that waits for the load or the upstream was not at its limit.
        waited = [name for name in (row.of, row.to) if median(samples[name], "busy") < SATURATED]
        if waited:
            made[-1] = f"void: {' and '.join(waited)} waited for others"
    return made


def median(samples: Sequence[Sample], field: str) -> float:
    return statistics.median(getattr(sample, field) for sample in samples)


def contender_cells(name: str, samples: Sequence[Sample]) -> list[str]:
    """Return a row of the contenders."""
    throughput, cpu, busy = (median(samples, field) for field in ("throughput", "cpu", "busy"))
    return [name, f"{throughput:,.0f}", f"{cpu * 1e6:.1f}", f"{busy:.2f}"]
