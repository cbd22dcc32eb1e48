"""What pages make of instants."""

from datetime import UTC, datetime, timedelta

import pytest

from private_integrations_service.settings_pages.rendering import relative, templates, with_times

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("away", "said"),
    [
        (timedelta(days=7) - timedelta(seconds=5), "in 7 days"),
        (timedelta(days=1), "in 1 day"),
        (timedelta(hours=23), "in 23 hours"),
        (timedelta(seconds=59), "now"),
        (-timedelta(minutes=90), "2 hours ago"),
        (-timedelta(days=80, seconds=5), "80 days ago"),
    ],
)
def test_an_instant_as_people_think_of_it(away, said):
    """In one unit, rounded: a week that has just begun is in seven days."""
    assert relative(NOON + away, NOON) == said


def test_instants_within_a_sentence():
    """Each is an element that the script says in the reader's zone; all else is escaped, and no instant is made up."""
    said = with_times("<b> ends at 2026-12-01T19:54:37Z, not at 2026-13-01T00:00Z")
    assert said == (
        '&lt;b&gt; ends at <time class="at" datetime="2026-12-01T19:54:37Z" title="2026-12-01T19:54:37Z">'
        "1 Dec 2026, 19:54 UTC</time>, not at 2026-13-01T00:00Z"
    )


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ("pay\u202eroll", "pay\\u202eroll"),
        ("<b>\u3164", "&lt;b&gt;\\u3164"),
        ("a\nb\tc\r\n", "a\nb\tc\r\n"),
        ("👩🏽‍💻 Zürich", "👩🏽‍💻 Zürich"),
        (7, "7"),
    ],
)
def test_a_stored_name_shows_what_is_hidden_in_it(stored, said):
    """Each character is shown by its code, in text and in attributes; the templates' own HTML stays."""
    page = templates().from_string('<p title="{{ name }}">{{ name }}</p>{{ "<i>"|safe }}')
    assert page.render(name=stored) == f'<p title="{said}">{said}</p><i>'
