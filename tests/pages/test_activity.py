"""The page of an integration's activity, as people meet it."""

import time

import requests


def test_activity_is_read_by_everybody(service, place, screen):
    """Empty or full it is accessible; its charts are tables for a keyboard, and the period is a link."""
    made = place.management.integration(name="CRM sync", scopes=["contacts.readonly", "locations.readonly"])
    path = f"/settings/private-integrations/{made['id']}/activity"
    assert screen.open(path) == 200
    assert "No request used a token of this integration." in screen.text()
    screen.look()

    token = place.management.issue(made["id"], 1).json()["token"]
    headers = {"Authorization": token, "Version": "v3", "User-Agent": "nightly-export/1.4"}
    for method in ("GET", "POST"):
        requests.request(method, f"{service.url}/contacts/?locationId={place.account}", headers=headers, timeout=10)
    deadline = time.monotonic() + 20
    while "1 let through" not in screen.text():
        assert time.monotonic() < deadline
        screen.open(path)
    assert "1 request was refused for the missing scope contacts.write: add it if they are meant." in screen.text()
    assert "nightly-export/1.4" in screen.text()
    table = screen.page.get_by_role("table").filter(has_text="Hours that are not listed had none.").first
    assert not table.is_visible()
    screen.page.get_by_text("As a table").first.focus()
    screen.page.keyboard.press("Enter")
    assert table.locator("tbody tr").count() == 1
    assert table.is_visible()
    screen.look()
    screen.press("30 days", role="link")
    assert screen.path == f"{path}?period=month"
    screen.look()
