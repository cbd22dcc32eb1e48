"""Stylesheet and scripts of the settings pages: small, and loaded once."""

import re

import pytest
import requests

from private_integrations_service.settings_pages.assets import STATIC, asset

FILES = sorted(file.name for file in STATIC.iterdir())


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_kept_until_it_changes(service, name):
    """Under the address that pages use it is kept for good; under any other the browser asks, and gets no body."""
    kept = requests.get(service.url + asset(name), timeout=10)
    assert kept.status_code == 200
    assert kept.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert kept.headers["X-Content-Type-Options"] == "nosniff"
    bare = f"{service.url}/settings/static/{name}"
    for address in (bare, bare + "?0123456789abcdef"):
        asked = requests.get(address, headers={"If-None-Match": kept.headers["ETag"]}, timeout=10)
        assert (asked.status_code, asked.headers["Cache-Control"]) == (304, "no-cache")


def test_what_is_not_there_is_not_found(service):
    """Nothing outside the folder is a file of it."""
    for path in ("nothing.css", "", "../page_requests.py", "%2e%2e/page_requests.py", "..%2f__init__.py"):
        answer = requests.get(f"{service.url}/settings/static/{path}", timeout=10)
        assert answer.status_code == 404, path


def test_pages_load_little():
    """Stylesheet and script are less than 30 KB together."""
    assert sum((STATIC / name).stat().st_size for name in FILES) < 30_000


def test_pages_name_files_with_their_content(service):
    """No page asks for a file under an address that would be kept too short or too long."""
    page = requests.get(service.url + "/settings/sign-in", timeout=10).text
    named = re.findall(r'(?:href|src)="(/settings/static/[^"]+)"', page)
    assert named == [asset(name) for name in ("icon.svg", "style.css", "pages.js")]
