"""Nobody is cut off by a network that fails, and the trials that say so would notice: bench/faults.py in small."""

import pytest

from fault_lane import lane
from fault_trials import run_trial
from weakened_service import RULES

TRIALS = 120
LOSSES = (0.05, 0.2)

# The first trial that is known to break without the rule; where two processes race, one of those that follow.
FIRST = {"attempt": 19, "run": 5, "issuer": 5, "delivery": 11, "claim": 5}
ENOUGH = 60


def test_no_promise_is_broken(tmp_path):
    """At losses of 5 to 20 %, with crashes, races, restored states, a person and an adopting stack."""
    with lane(tmp_path) as running:
        for seed in range(TRIALS):
            result = run_trial(running, seed, LOSSES)
            assert not result.broken, "\n".join([f"seed {seed}", *result.log, *map(str, result.broken)])
        assert running.proxy.counts.total() - running.proxy.counts["delivered"] > TRIALS


@pytest.mark.parametrize("rule", RULES)
def test_a_promise_is_broken_without_the_rule(tmp_path, rule):
    """Each rule is there for a counterexample, and the trials find it when the rule is not."""
    with lane(tmp_path, rule) as running:
        seeds = range(FIRST[rule], FIRST[rule] + ENOUGH)
        assert any(run_trial(running, seed, LOSSES).broken for seed in seeds), (
            f"{ENOUGH} trials were as good without {rule}"
        )
