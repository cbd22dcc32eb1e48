"""What recorded uses say about an integration: decisions on instants and names."""

from datetime import UTC, datetime, timedelta

import pytest

from private_integrations_service.tokens.advice import (
    UNUSED_AFTER,
    Presence,
    Resting,
    among,
    change_of_scopes,
    granted_since,
    remedy,
    resting,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=200)
JUST_LONG_ENOUGH = NOW - UNUSED_AFTER
TOO_SHORT = JUST_LONG_ENOUGH + timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("granted", "observed", "last", "is_unused"),
    [
        (LONG_AGO, LONG_AGO, None, True),
        (JUST_LONG_ENOUGH, LONG_AGO, None, True),
        (TOO_SHORT, LONG_AGO, None, False),
        (LONG_AGO, JUST_LONG_ENOUGH, None, True),
        (LONG_AGO, TOO_SHORT, None, False),
        (LONG_AGO, LONG_AGO, JUST_LONG_ENOUGH, True),
        (LONG_AGO, LONG_AGO, TOO_SHORT, False),
        # Used before it was taken away and granted again: watched since then.
        (TOO_SHORT, LONG_AGO, LONG_AGO, False),
        (LONG_AGO, None, None, False),
    ],
)
def test_unused_is_what_was_granted_watched_and_not_used_for_90_days(granted, observed, last, is_unused):
    """Each of the three must be that long ago, to the millisecond."""
    uses = {} if last is None else {"contacts.readonly": last}
    found = resting({"contacts.readonly": granted}, uses, observed, NOW)
    assert found == ([Resting("contacts.readonly", last, max(granted, observed))] if is_unused else [])


def test_nothing_is_unused_where_uses_without_a_scope_are_known():
    """A gateway that only asks about the token doesn't say what for."""
    granted = {"contacts.readonly": LONG_AGO}
    assert resting(granted, {"": TOO_SHORT}, LONG_AGO, NOW) == []
    assert len(resting(granted, {"": JUST_LONG_ENOUGH}, LONG_AGO, NOW)) == 1


def test_a_scope_is_granted_since_it_was_last_added():
    """An edit that leaves it where it is changes nothing; one that takes it away begins anew."""
    first, second, third, fourth = (NOW + timedelta(days=day) for day in range(4))
    history = [(first, ["a", "b"]), (second, ["a"]), (third, ["a", "b", "c"]), (fourth, ["a", "b"])]
    assert [granted_since(history, scope) for scope in "abcd"] == [first, third, None, None]


def test_a_change_is_a_line_of_the_program_or_a_command():
    """Both lines of the program as Python writes them, or one command that names what is to stay."""
    before, after = ["contacts.readonly", "contacts.write"], ["contacts.readonly"]
    assert change_of_scopes("int_1", before, after, in_code=True) == [
        '- scopes=["contacts.readonly", "contacts.write"],',
        '+ scopes=["contacts.readonly"],',
    ]
    assert change_of_scopes("int_1", before, after, in_code=False) == [
        "private-integrations edit int_1 --scope contacts.readonly"
    ]
    assert change_of_scopes("int_1", before, [], in_code=True) == []


def test_callers_are_named_the_latest_first():
    """Three by name, the others by number; what is unknown is left out or said."""
    callers = [
        Presence("192.0.2.1", "curl/8", NOW),
        Presence("192.0.2.2", "", NOW + timedelta(hours=1)),
        Presence("", "cron", NOW - timedelta(hours=1)),
    ]
    assert among(callers) == "192.0.2.2, 192.0.2.1 (curl/8), an unknown address (cron)"
    assert among([*callers, *callers]).endswith(" and 3 more")


def test_a_missing_scope_names_itself():
    """The remedy says what to add; a reason that a newer release has is no error."""
    assert remedy("scope-missing", "contacts.write") == (
        "add contacts.write to the integration's scopes if these requests are meant"
    )
    assert remedy("of-tomorrow", "") == ""
