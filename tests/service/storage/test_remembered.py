"""Processes remember values beside the epoch: a change has them forget those of its subjects, and no more."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from private_integrations_service.storage.epoch import NUMBERS, Epoch, Remembered
from private_integrations_service.storage.shared_memory import shared_numbers

SUBJECTS = ("int_a", "int_b", "int_c")


@dataclass
class Installation:
    """A database in a dict, an epoch, and processes that remember what they read."""

    epoch: Epoch = field(default_factory=lambda: Epoch(shared_numbers(NUMBERS)))
    stored: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SUBJECTS, 0))
    reads: int = 0

    def __post_init__(self) -> None:
        self.processes = [Remembered[str, int](self.epoch, 10) for _ in range(2)]
        self.begun: list[tuple[int, str, int, int]] = []

    def ask(self, process: int, subject: str) -> int:
        """Return what a request gets: what is remembered, or else what is stored."""
        remembered = self.processes[process]
        kept = remembered.get(subject)
        if kept is None:
            self.begin(process, subject)
            kept = self.finish()
        return kept

    def begin(self, process: int, subject: str) -> None:
        """Read in the database."""
        self.reads += 1
        self.begun.append((process, subject, self.stored[subject], self.processes[process].epoch))

    def finish(self) -> int:
        """Keep what was read last."""
        process, subject, value, since = self.begun.pop()
        self.processes[process].keep(subject, value, since, subject)
        return value

    def change(self, subjects: list[str] | None, killed: str = "") -> None:
        """Change these subjects, or all; the writer may be killed before or after its commit."""
        changing = self.epoch.changing(subjects)
        changing.__enter__()
        if killed == "before":
            return
        for subject in SUBJECTS if subjects is None else subjects:
            self.stored[subject] += 1
        if killed == "after":
            return
        changing.__exit__(None, None, None)


subjects = st.sampled_from(SUBJECTS)
asks = st.tuples(st.just("ask"), st.integers(0, 1), subjects)
begins = st.tuples(st.just("begin"), st.integers(0, 1), subjects)
finishes = st.just(("finish",))
changes = st.tuples(
    st.just("change"),
    st.none() | st.lists(subjects, min_size=1, max_size=3, unique=True),
    st.sampled_from(["", "", "", "before", "after"]),
)
steps = st.lists(asks | begins | finishes | changes | st.just(("settle",)), max_size=60)


def first_stale(happened: list[tuple]) -> str | None:
    """Let it happen; return the subject of the first request that gets something else than what is stored."""
    made = Installation()
    for name, *arguments in happened:
        if name == "ask" and made.ask(*arguments) != made.stored[arguments[1]]:
            return str(arguments[1])
        if name == "begin":
            made.begin(*arguments)
        elif name == "finish" and made.begun:
            made.finish()
        elif name == "change":
            made.change(*arguments)
        elif name == "settle":
            made.epoch.settle()
    return None


@settings(max_examples=400)
@given(steps)
def test_a_request_gets_what_is_stored(happened):
    """However processes read, keep, change and die, no request gets a value from before a stored change."""
    assert first_stale(happened) is None


@pytest.mark.parametrize("rule", ["what changed", "the present epoch", "the epoch of the read"])
def test_without_comparing_a_request_gets_an_older_value(monkeypatch, rule):
    """The history above can fail: each of the three comparisons is needed."""
    keep = Remembered.keep
    if rule == "what changed":
        monkeypatch.setattr(Epoch, "subjects_between", lambda *_: [])
    elif rule == "the present epoch":
        monkeypatch.setattr(Epoch, "last_change", 0)
    else:
        monkeypatch.setattr(
            Remembered, "keep", lambda self, key, value, _, subject: keep(self, key, value, self.epoch, subject)
        )
    histories = [
        [("ask", 0, "int_a"), ("change", ["int_a"], ""), ("ask", 0, "int_a")],
        [("begin", 0, "int_a"), ("change", ["int_a"], ""), ("finish",), ("ask", 0, "int_a")],
    ]
    assert any(first_stale(happened) for happened in histories)


def test_a_change_has_only_its_subjects_read_again():
    """Each process uses what it remembers about others without a read."""
    made = Installation()
    for process in (0, 1):
        for subject in SUBJECTS:
            made.ask(process, subject)
    made.change(["int_b"])
    made.reads = 0
    assert [made.ask(process, subject) for process in (0, 1) for subject in SUBJECTS] == [0, 1, 0] * 2
    assert made.reads == 2


def test_while_a_change_commits_others_are_remembered():
    """A request about another subject reads nothing during the commit; one about the same reads each time."""
    made = Installation()
    for subject in SUBJECTS:
        made.ask(0, subject)
    made.reads = 0
    with made.epoch.changing(["int_b"]):
        assert [made.ask(0, subject) for subject in ("int_a", "int_b", "int_b", "int_c")] == [0] * 4
        assert made.reads == 2
        made.stored["int_b"] = 1
    assert made.ask(0, "int_b") == 1


@pytest.mark.parametrize(("missed", "reads"), [(255, 0), (256, 0), (257, 1), (1000, 1)])
def test_a_process_that_missed_more_changes_than_the_ring_has_forgets_everything(missed, reads):
    """Up to 256 changes of others cost nothing."""
    made = Installation()
    made.ask(0, "int_a")
    for _ in range(missed):
        made.change(["int_b"])
    made.reads = 0
    made.ask(0, "int_a")
    assert made.reads == reads


def test_a_change_of_many_subjects_is_one_of_everything():
    """Five have no place in the ring."""
    made = Installation()
    made.ask(0, "int_a")
    made.change(["int_b", "int_c"])
    made.reads = 0
    made.ask(0, "int_a")
    with made.epoch.changing([f"int_{number}" for number in range(5)]):
        """Commits."""
    made.ask(0, "int_a")
    assert made.reads == 1


@pytest.mark.parametrize("place", range(6))
def test_a_place_that_is_half_written_counts_for_nothing(place):
    """A process that sees only a part of a change forgets everything: it needs no order among the writes of another."""
    numbers = shared_numbers(NUMBERS)
    made = Installation(Epoch(numbers))
    made.ask(0, "int_a")
    made.change(["int_b"])
    numbers[1 + 6 + place] ^= 1 << 40
    made.reads = 0
    made.ask(0, "int_a")
    assert made.reads == 1


def test_all_that_is_remembered_about_a_subject_is_forgotten():
    """An integration may have several tokens in use."""
    epoch = Epoch(shared_numbers(NUMBERS))
    remembered = Remembered[str, int](epoch, 10)
    for key in ("one", "two", "three", "two"):
        remembered.keep(key, 1, remembered.epoch, "int_a")
    remembered.keep("other", 1, remembered.epoch, "int_b")
    with epoch.changing(["int_a"]):
        """Commits."""
    assert [remembered.get(key) for key in ("one", "two", "three", "other")] == [None, None, None, 1]
    assert len(remembered) == 1
