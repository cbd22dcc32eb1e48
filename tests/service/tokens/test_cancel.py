"""Going back from a rotation, running overlaps that follow an edit, and alarms: operations on a moving clock."""

from datetime import timedelta

import pytest

from private_integrations.contract import IntegrationEdit, Refused, RotationPolicy
from private_integrations_service.access.actors import Actor
from private_integrations_service.management_api.metrics import exposition
from private_integrations_service.operations import generations, health, integrations
from private_integrations_service.storage.integrations import integration_by_id

TEST = Actor("test")
WEEK = timedelta(days=7)


@pytest.fixture
def reader(desk, api):
    """An integration, and how its tokens stand with the data API."""
    return Reader(desk, api, desk.integration("contacts.readonly"))


class Reader:
    """An integration that reads contacts."""

    def __init__(self, desk, api, integration):
        self.desk, self.api, self.id = desk, api, integration

    def rotate(self, **options):
        """Issue the next token."""
        return self.desk.token(self.id, **options)

    def opens(self, token):
        """Whether the token opens the data API now; the first time is its first use."""
        return self.api.ask("GET", f"/contacts/?locationId={self.desk.account}", token=token).status == 200

    def cancel(self, generation, hold=WEEK):
        """Cancel the rotation to this generation."""
        return generations.cancel(self.desk.database, self.id, generation, hold, actor=TEST)

    def edit(self, **policy):
        """Declare a rotation policy; None ends it."""
        change = IntegrationEdit(rotation=RotationPolicy(**policy) if policy else None)
        edited = integrations.edit(self.desk.database, self.id, change, self.desk.rules, actor=TEST)
        assert not isinstance(edited, Refused), edited

    def held_until(self):
        """Until when the rule is not due."""
        with self.desk.database.read() as connection:
            return integration_by_id(connection, self.id).held_until

    def examine(self):
        """What the health detail says."""
        return health.examine(self.desk.database, self.desk.clock(), TEST)


def test_cancelled_before_anybody_used_it(reader, clock):
    """The new token dies; the old one was current all along and stays so; the rule is held."""
    old = reader.rotate()
    assert reader.opens(old)
    new = reader.rotate()
    reader.cancel(2)
    assert not reader.opens(new)
    assert reader.opens(old)
    assert reader.desk.secrets(reader.id)[1] == ("current", None)
    assert reader.held_until() == clock() + WEEK


def test_cancelled_during_the_overlap(reader, clock):
    """The old token is the current one again and has no deadline any more; the new one is dead."""
    old = reader.rotate()
    assert reader.opens(old)
    new = reader.rotate(overlap=WEEK)
    assert reader.opens(new)
    clock.move(days=3)
    reader.cancel(2, hold=timedelta(days=1))
    clock.move(days=300)
    assert reader.opens(old)
    assert not reader.opens(new)


def test_cancelled_too_late(reader, clock):
    """When no older token works any more there is nothing to go back to, and nothing changes."""
    assert reader.opens(reader.rotate())
    new = reader.rotate(overlap=WEEK)
    assert reader.opens(new)
    clock.move(days=7)
    refused = reader.cancel(2)
    assert refused.problem == "cancel-too-late"
    assert refused.detail == (
        "the token before generation 2 does not work any more: there is none to go back to; rotate instead"
    )
    assert reader.opens(new)
    assert reader.held_until() is None


def test_a_rotation_without_overlap_cannot_be_cancelled(reader):
    """Overlap 0 has ended the old token: cancelling would cut everybody off."""
    assert reader.opens(reader.rotate())
    new = reader.rotate(overlap=timedelta(0))
    assert reader.cancel(2).problem == "cancel-too-late"
    assert reader.opens(new)


def test_cancelled_with_a_newer_rotation_open(reader):
    """The newest rotation is cancelled first."""
    assert reader.opens(reader.rotate())
    assert reader.opens(reader.rotate())
    reader.rotate()
    assert reader.cancel(2).problem == "rotation-open"
    assert reader.cancel(1).problem == "cancel-too-late"
    reader.cancel(3)
    reader.cancel(2)
    assert {number: role for number, (role, _) in reader.desk.secrets(reader.id).items() if role != "ended"} == {
        1: "current"
    }


def test_a_late_repetition_of_a_cancel_changes_nothing(reader, clock):
    """Not a token, not the hold, not even after the next rotation, which ended the hold."""
    assert reader.opens(reader.rotate())
    reader.rotate()
    reader.cancel(2)
    held = reader.held_until()
    clock.move(days=1)
    reader.cancel(2)
    assert reader.held_until() == held
    newest = reader.rotate()
    reader.cancel(2)
    assert reader.held_until() is None
    assert reader.opens(newest)


def test_what_was_never_issued_is_not_cancelled(reader):
    """A number above the last one names nothing."""
    reader.rotate()
    assert reader.cancel(7).problem == "generation-unknown"


@pytest.mark.parametrize(("days", "alive_at"), [(10, 9), (2, 1), (0, None)])
def test_a_running_overlap_follows_an_edit(reader, clock, days, alive_at):
    """The deadline becomes the first use of the new token plus the new overlap, longer or shorter."""
    reader.edit(every_seconds=90 * 86_400, overlap_seconds=5 * 86_400)
    old = reader.rotate(overlap=timedelta(days=5))
    assert reader.opens(old)
    assert reader.opens(reader.rotate(overlap=timedelta(days=5)))
    reader.edit(every_seconds=90 * 86_400, overlap_seconds=days * 86_400)
    if alive_at is not None:
        clock.move(days=alive_at)
        assert reader.opens(old)
        clock.move(days=days - alive_at)
    assert not reader.opens(old)


def test_a_dead_token_is_not_revived_by_a_longer_overlap(reader, clock):
    """What has passed its deadline stays dead, and what was expired too."""
    reader.edit(every_seconds=90 * 86_400, overlap_seconds=86_400)
    old = reader.rotate(overlap=timedelta(days=1))
    assert reader.opens(old)
    assert reader.opens(reader.rotate(overlap=timedelta(days=1)))
    clock.move(days=1)
    reader.edit(every_seconds=90 * 86_400, overlap_seconds=30 * 86_400)
    assert not reader.opens(old)


@pytest.mark.parametrize(
    "policy",
    [{}, {"every_seconds": 8 * 86_400, "overlap_seconds": 4 * 86_400}, {"overlap_seconds": 7 * 86_400}],
)
def test_another_rule_cuts_nobody_off(reader, clock, policy):
    """Ending the schedule, or a shorter default that comes with another period, keeps the promised overlap."""
    reader.edit(every_seconds=90 * 86_400, overlap_seconds=7 * 86_400)
    old = reader.rotate(overlap=WEEK)
    assert reader.opens(old)
    assert reader.opens(reader.rotate(overlap=WEEK))
    reader.edit(**policy)
    clock.move(days=6)
    assert reader.opens(old)
    clock.move(days=1)
    assert not reader.opens(old)


def test_an_overlap_that_a_person_chose_is_left_alone(reader, clock):
    """A short overlap given for one rotation, after a leak perhaps, is not lengthened by a policy declared later."""
    old = reader.rotate()
    assert reader.opens(old)
    assert reader.opens(reader.rotate(overlap=timedelta(hours=1)))
    reader.edit(every_seconds=90 * 86_400, overlap_seconds=30 * 86_400)
    clock.move(hours=1)
    assert not reader.opens(old)


def test_an_edit_before_the_first_use_sets_the_overlap_to_come(reader, clock):
    """A pending token's delivery starts the overlap that is declared by then."""
    reader.edit(every_seconds=90 * 86_400, overlap_seconds=7 * 86_400)
    old = reader.rotate(overlap=WEEK)
    assert reader.opens(old)
    new = reader.rotate(overlap=WEEK)
    reader.edit(every_seconds=90 * 86_400, overlap_seconds=2 * 86_400)
    assert reader.opens(new)
    clock.move(days=2)
    assert not reader.opens(old)


def test_alarms(reader, clock):
    """Overdue rotations and tokens nobody used are raised in words and numbers, and everything works on."""
    reader.edit(every_seconds=30 * 86_400, overlap_seconds=86_400)
    token = reader.rotate()
    assert reader.opens(token)
    assert reader.examine().alarms == []
    clock.move(days=32)
    [overdue] = reader.examine().alarms
    assert (overdue.kind, overdue.detail) == (
        "overdue",
        "due since 2026-12-20T12:00Z, every 30d, and no deployment has rotated it",
    )
    assert overdue.name == "CRM sync"
    assert reader.opens(token)
    reader.rotate()
    clock.move(days=2)
    [undelivered] = reader.examine().alarms
    assert (undelivered.kind, undelivered.detail) == (
        "undelivered",
        "generation 2 was issued at 2026-12-22T12:00Z and nobody has used it",
    )
    shown = exposition(reader.examine()).decode()
    assert 'private_integrations{status="pending"} 1.0' in shown
    assert 'private_integrations{status="overdue"} 0.0' in shown
    assert 'private_integrations_alarms{kind="undelivered"} 1.0' in shown
    assert 'private_integrations_alarms{kind="overdue"} 0.0' in shown
