"""The replicas' protocol keeps its promise in simulated histories, and breaks it without any one of its rules."""

from collections import Counter
from pathlib import Path

import pytest

from replica_ablations import ABLATIONS, table_rows
from replica_simulation import KINDS, Crowd, History, Rules

PAGE = (Path(__file__).parents[4] / "docs/revocation-protocol.md").read_text()
HISTORIES = 20_000
PARTS = 8


@pytest.mark.parametrize("part", range(PARTS))
def test_no_history_breaks_the_promise(part):
    """No request passes on a decision from before an answered change, and no loss of changes goes unnoticed."""
    done = Counter()
    for seed in range(part, HISTORIES, PARTS):
        history = History(seed, Rules()).run()
        done["changes"] += history.changes
        done["passed"] += history.passed
        lost = 0 if history.faults.kind == "async" else history.lost
        assert (history.stale, history.late, lost, history.undetected) == (0, 0, 0, 0), f"seed {seed}"
    assert done["changes"] > HISTORIES / PARTS
    assert done["passed"] > 5 * HISTORIES / PARTS


def test_an_asynchronous_promotion_loses_answered_changes():
    """The simulation shows the loss that no rule prevents."""
    assert sum(History(seed, Rules()).run().lost for seed in range(KINDS.index("async"), 300, len(KINDS))) > 0


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda ablation: ablation.rule)
def test_each_rule_is_needed(ablation):
    """With one rule switched off, some history breaks the promise."""
    assert any(ablation.breaks(seed) for seed in range(ablation.first, ablation.first + 150))


def test_a_history_repeats():
    """The same seed makes the same history."""
    first, second = (History(5, Rules()).run() for _ in range(2))
    assert (first.now, first.waits, first.passed, next(first.order)) == (
        second.now,
        second.waits,
        second.passed,
        next(second.order),
    )


def test_the_page_shows_every_rule():
    """docs/revocation-protocol.md has the rules that the simulation switches off, in words and order."""
    assert [row[:2] for row in table_rows("rules off", PAGE)] == [[each.rule, each.without] for each in ABLATIONS]
    assert all(int(row[2].partition(" ")[0].replace(",", "")) > 0 for row in table_rows("rules off", PAGE))


def test_the_page_shows_no_broken_promise():
    """Its table of all rules has every kind of history, and lost changes only where no rule can prevent them."""
    rows = {kind: counts for kind, *counts in table_rows("all rules", PAGE)}
    assert [*rows] == [*KINDS]
    for kind, (*_, stale, late, lost, unnoticed) in rows.items():
        assert (stale, late, unnoticed) == ("0", "0", "0")
        assert (lost == "0") == (kind != "async")


@pytest.mark.parametrize(("notify", "limit"), [(True, 0.1), (False, 0.7)])
def test_a_change_is_acknowledged_soon(notify, limit):
    """Without faults a change waits for acknowledgements alone: some milliseconds with NOTIFY, else one heartbeat."""
    crowd = Crowd(1, 10, 60, notify=notify)
    crowd.run(70)
    assert len(crowd.waits) == 60
    assert max(crowd.waits) < limit
