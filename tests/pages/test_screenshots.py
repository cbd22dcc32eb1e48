"""The pictures in the documentation: taken of real pages, small, and without a real token."""

import time
import uuid
from contextlib import closing
from datetime import timedelta

import pysqlite3.dbapi2 as sqlite
import pytest

from chromium import PHONE, picture
from private_integrations_service.storage.sqlite.activity import FILE_NAME
from throwaway import REPOSITORY, age
from visitors import new_visitor
from walking import LIST, answer, begin, choose, create, go, shown_token

IMAGES = REPOSITORY / "docs" / "images"
PICTURES = ("activity", "integration", "list", "phone", "rotate", "scopes", "token")

QUARTERLY = {"every_seconds": 90 * 86_400, "overlap_seconds": 7 * 86_400}


def declared(place, name, description, *scopes, age_of=timedelta(0), service=None):
    """An integration that a deployment declared and uses."""
    external_id = f"aurora/crm/prod/{uuid.uuid4().hex[:8]}"
    made = place.management.integration(
        external_id=external_id, name=name, description=description, scopes=list(scopes), rotation=QUARTERLY
    )
    place.management.issue(made["id"], 1, issuer=external_id, overlap_seconds=QUARTERLY["overlap_seconds"])
    if age_of:
        age(service, made["id"], age_of)
    return made["id"]


def a_day_of(service, integration_id):
    """Repeat what was recorded of an integration for each of the hours before, as if it had been going on for a day."""
    with closing(sqlite.connect(str(service.data_dir / FILE_NAME), isolation_level=None)) as activity:
        activity.execute("PRAGMA busy_timeout=5000")
        for hours in range(1, 24):
            copied = "SELECT token_id, hour - ?, scope, reason, requests * ? FROM requests JOIN tokens USING (token_id)"
            lately = "WHERE integration_id = ? AND hour > (SELECT max(hour) FROM requests) - 1"
            many = 1 + hours % 5 + (4 if 8 < hours < 16 else 0)
            activity.execute(
                f"INSERT OR IGNORE INTO requests {copied} {lately}", (hours * 3_600_000, many, integration_id)
            )


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_small_and_shown(name):
    """Every picture is in a guide, and none is heavy."""
    file = IMAGES / f"{name}.png"
    assert file.stat().st_size < 120_000
    assert f"images/{name}.png" in (REPOSITORY / "docs" / "settings-pages.md").read_text()


def test_taking_the_pictures(service, place, new_screen, tmp_path, request):
    """Pictures are taken of the real pages; a token on one is replaced before, or no picture is taken."""
    folder = IMAGES if request.config.getoption("--write-screenshots") else tmp_path
    ada = new_visitor(service.url, service.key, place.account, email="ada@aurora.example")
    screen = new_screen(ada)
    declared(place, "Warehouse export", "Contacts, every night", "contacts.readonly", "locations/tags.readonly")
    declared(place, "Booking widget", "Free slots on the website", "calendars.readonly", "calendars/events.write",
             age_of=timedelta(days=91), service=service)  # fmt: skip
    answer(
        screen,
        create(screen, "Form intake", "forms.readonly", "contacts.write", description="Website forms"),
        place.account,
    )

    begin(screen, "CRM sync", "Keeps our CRM in step with the marketing lists")
    choose(screen, "contacts.readonly")
    choose(screen, "contacts.write")
    screen.page.get_by_text("2 scopes, can write").wait_for()
    screen.page.evaluate("scrollTo(0, 0)")
    picture(screen, folder / "scopes.png")
    screen.press("Next: token")
    screen.press("Generate Access Token")
    token = shown_token(screen)
    picture(screen, folder / "token.png")
    assert shown_token(screen) != token
    answer(screen, token, place.account)
    answer(screen, token, place.account, "POST")
    answer(screen, token, place.account, path="/locations/" + place.account)

    screen.open(LIST)
    go(screen, "CRM sync")
    integration = screen.path.rpartition("/")[2]
    deadline = time.monotonic() + 20
    while "2 let through" not in screen.text():
        assert time.monotonic() < deadline
        screen.open(f"{LIST}/{integration}/activity")
    a_day_of(service, integration)
    screen.open(f"{LIST}/{integration}/activity?period=day")
    picture(screen, folder / "activity.png")

    screen.open(f"{LIST}/{integration}")
    go(screen, "Rotate…")
    picture(screen, folder / "rotate.png")
    screen.press("Rotate and expire later")
    screen.open(LIST)
    picture(screen, folder / "list.png")
    go(screen, "CRM sync")
    picture(screen, folder / "integration.png")
    phone = new_screen(ada, viewport=PHONE, color_scheme="dark", device_scale_factor=1.5)
    phone.open(LIST)
    picture(phone, folder / "phone.png")
    assert sorted(file.stem for file in folder.glob("*.png")) == sorted(PICTURES)
