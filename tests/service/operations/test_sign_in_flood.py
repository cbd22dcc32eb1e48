"""A hundred connections try to sign in: changes, first uses of tokens, and people who are known go on."""

import http.client
import threading
import time
from collections import Counter
from contextlib import contextmanager
from itertools import count
from urllib.parse import urlencode, urlsplit

import pytest
import requests

from management import Management
from services import new_service
from visitors import PASSWORD, Visitor, new_visitor

CONNECTIONS = 100
ROUNDS = 6
EMAIL = "owner@example.com"


@pytest.fixture(scope="module")
def service(under_test, tmp_path_factory):
    """A service that believes whom a proxy on this machine speaks for: each try comes from another address."""
    folder = tmp_path_factory.mktemp("flood") / "data"
    with new_service(under_test, folder, PRIVATE_INTEGRATIONS_TRUSTED_PROXIES="127.0.0.1") as made:
        yield made


@contextmanager
def flooded(url):
    """Keep CONNECTIONS busy with tries to sign in, each with another address and account; gives the statuses so far."""
    host, stop, numbers, statuses = urlsplit(url).netloc, threading.Event(), count(), Counter()

    def attempt():
        connection = http.client.HTTPConnection(host, timeout=30)
        while not stop.is_set():
            number = next(numbers)
            # Half of them try the owner's account.
            email = EMAIL if number % 2 else f"{number}@example.com"
            headers = {
                "Origin": url,
                "Sec-Fetch-Site": "same-origin",
                "Content-Type": "application/x-www-form-urlencoded",
                "X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            }
            connection.request("POST", "/settings/sign-in", urlencode({"email": email, "password": "a guess"}), headers)
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] += 1
        connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    while sum(statuses.values()) < CONNECTIONS:
        assert time.monotonic() < deadline, "the flood did not begin"
        time.sleep(0.05)
    try:
        yield statuses
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_flood_of_sign_ins_keeps_nobody_out(service):
    """Every edit, every first use of a token, and every sign-in of the owner in a known browser succeeds."""
    management = Management(service.url, service.key, service.account)
    owner = new_visitor(service.url, service.key, service.account, email=EMAIL)
    edits, uses, sign_ins = Counter(), Counter(), Counter()
    with flooded(service.url) as statuses:
        for number in range(ROUNDS):
            declared = management.declare()
            issued = management.issue(declared.json()["id"], 1)
            edited = management.ask(
                "PATCH", f"/integrations/{declared.json()['id']}", {"description": f"edit {number}"}
            )
            edits.update(answer.status_code for answer in (declared, issued, edited))
            headers = {"Authorization": f"Bearer {issued.json()['token']}", "Version": "v3"}
            used = requests.get(f"{service.url}/contacts/?locationId={service.account}", headers=headers, timeout=30)
            uses[used.status_code] += 1
            again = Visitor(service.url)
            again._browser.cookies.update({"known": owner.cookies["known"]})
            came = again.post("/settings/sign-in", follow=False, email=EMAIL, password=PASSWORD)
            sign_ins[came.status_code] += 1
    assert set(statuses) <= {401, 429, 503}, statuses
    assert statuses[401] >= 1
    assert statuses[503] + statuses[429] >= CONNECTIONS, "the flood was no flood"
    assert uses == {200: ROUNDS}
    assert edits == {201: 2 * ROUNDS, 200: ROUNDS}
    assert sign_ins == {303: ROUNDS}
