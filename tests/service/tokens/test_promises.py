"""Nobody is cut off by a network that fails, and the trials that say so would notice: bench/faults.py in small."""

import pytest

import forked
from trials.lane import lane
from trials.trial import Trial, run_trial

TRIALS = 60
LOSSES = (0.05, 0.2)

# What leads to the counterexample of each rule, at losses that find it soon.
HEAVY = (0.3, 0.3)
SCENES = {
    "attempt": [Trial.rotate, Trial.rotate, Trial.overlap_passes] * 3,
    "run": [Trial.race] * 6,
    "issuer": [Trial.person_rotates, Trial.rotate, Trial.overlap_passes, Trial.person_uses],
    "delivery": [Trial.consume, Trial.crash, Trial.overlap_passes, Trial.consume] * 2,
    "owner_nonce": [Trial.adopt, Trial.former_acts, Trial.former_acts, Trial.consume],
}
ENOUGH = 40


def test_no_promise_is_broken(tmp_path):
    """At losses of 5 to 20 %, with crashes, races, restored states, a person and an adopting stack."""
    with lane(tmp_path, popen=forked.Popen) as running:
        for seed in range(TRIALS):
            result = run_trial(running, seed, LOSSES)
            assert not result.broken, "\n".join([f"seed {seed}", *result.log, *map(str, result.broken)])


@pytest.mark.parametrize("rule", SCENES)
def test_a_promise_is_broken_without_the_rule(tmp_path, rule):
    """Each rule is there for a counterexample, and the trials find it when the rule is not."""
    with lane(tmp_path, rule, forked.Popen) as running:
        trials = (run_trial(running, seed, HEAVY, SCENES[rule]) for seed in range(ENOUGH))
        assert any(trial.broken for trial in trials), f"{ENOUGH} trials were as good without {rule}"
