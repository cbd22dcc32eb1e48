"""Policies are stored as declared; the service says what holds, by the defaults that it reports."""

import pytest
import requests

DAY = 86_400


def parts(policy):
    """The parts of a policy that aren't empty."""
    return {name: value for name, value in policy.items() if value is not None}


@pytest.mark.parametrize(
    ("declared", "effective"),
    [
        ({"every_seconds": 90 * DAY}, {"overlap_seconds": 7 * DAY, "early_window_seconds": 3600}),
        ({"every_seconds": 4 * 3600}, {"overlap_seconds": 2 * 3600, "early_window_seconds": 1440}),
        ({"every_seconds": 90 * DAY, "overlap_seconds": 0}, {"early_window_seconds": 3600}),
        ({"every_seconds": 90 * DAY, "early_window_seconds": 0}, {"overlap_seconds": 7 * DAY}),
        ({"schedule": "0 3 * * *"}, {"timezone": "UTC", "overlap_seconds": DAY // 2, "early_window_seconds": 0}),
        ({"enabled": False}, {"overlap_seconds": 7 * DAY, "early_window_seconds": 0}),
    ],
)
def test_what_was_declared_is_stored_and_what_holds_is_reported(management, declared, effective):
    """Every answer about an integration has both: of its creation, of an edit, alone and in the list."""
    made = management.integration(rotation=declared)
    edited = management.ask("PATCH", f"/integrations/{made['id']}", {"name": "Renamed"}).json()
    read = management.ask("GET", f"/integrations/{made['id']}").json()
    under = management.ask("GET", "/integrations", params={"under": made["external_id"]}).json()["integrations"]
    for answer in (made, edited, read, *under):
        assert parts(answer["rotation"]) == {"enabled": True, **declared}
        assert parts(answer["effective_rotation"]) == {"enabled": True, **declared, **effective}


def test_the_defaults_are_readable(management):
    """With the rules, and with every list of tokens."""
    defaults = {
        "overlap_seconds": 7 * DAY,
        "overlap_divisor": 2,
        "early_window_seconds": 3600,
        "early_window_divisor": 10,
    }
    assert management.ask("GET", "/rules").json()["policy_defaults"] == defaults
    assert management.ask("GET", "/tokens").json()["policy_defaults"] == defaults


@pytest.mark.parametrize(("rotation", "expected"), [(None, 7 * DAY), ({"overlap_seconds": 120}, 120)])
def test_a_generation_without_an_overlap_has_the_one_in_force(management, rotation, expected):
    """The request leaves it out, and the integration's policy decides."""
    made = management.integration(rotation=rotation)
    assert issue(management, made, 1).status_code == 201
    [token] = management.state(made["id"])["tokens"]
    assert token["overlap_seconds"] == expected


def test_a_declared_overlap_of_nothing_ends_the_old_token_at_once(management):
    """Also where the request for the next generation leaves it out: no answer let from before lets it in."""
    made = management.integration(rotation={"every_seconds": DAY, "overlap_seconds": 0})
    old = issue(management, made, 1).json()["token"]
    assert [contacts(management, old) for _ in range(3)] == [200] * 3
    new = issue(management, made, 2).json()["token"]
    assert [contacts(management, old), contacts(management, new)] == [401, 200]


def issue(management, integration, generation):
    """Ask for a generation without an overlap."""
    body = {"issuer": "us", "run": f"r{generation}", "attempt": 1}
    return management.ask("PUT", f"/integrations/{integration['id']}/generations/{generation}", body)


def contacts(management, token):
    """The status that the data API answers to a token."""
    headers = {"Authorization": f"Bearer {token}", "Version": "2021-07-28"}
    where = {"locationId": management.account}
    return requests.get(f"{management.url}/contacts/", params=where, headers=headers, timeout=10).status_code
