"""What the running service records: from every worker, over a kill and a stop, and as pages and programs show it."""

import os
import re
import signal
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime

import psutil
import pysqlite3.dbapi2 as sqlite
import pytest
import requests

from engines import sqlite_only
from forked import running_service
from lines import lines
from management import Management, problem
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations_service.operations.activity import last_used, watermark
from private_integrations_service.storage.sqlite.activity import SQLiteActivity
from visitors import new_visitor

SECONDS = 20


def awaited(ask, accept):
    """Ask until the answer is acceptable; the answer."""
    deadline = time.monotonic() + SECONDS
    while not accept(answer := ask()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)
    return answer


def stored(activity, query):
    """The single value of a query in the file."""
    with closing(sqlite.connect(str(activity.file))) as connection:
        return connection.execute(query).fetchone()[0]


@sqlite_only
def test_what_was_recorded_survives_a_kill_and_a_stop_loses_nothing(data_folder):
    """Both workers' requests are in one file; killed, it has what was flushed, and a stop flushes the rest."""
    with running_service(data_folder, "--workers", "2") as service:
        client = Client(ServiceConnection(service.url, service.key))
        management = Management(service.url, service.key, service.account)
        integration = management.integration()["id"]
        token = management.issue(integration, 1).json()["token"]

        def let_through():
            return sum(client.activity(integration, "day").requests)

        with lines(service.url, service.process.pid) as opened:
            for line in [*opened, *opened]:
                assert line.use(token, service.account)[0] == 200
        awaited(let_through, lambda found: found == 4)
        with closing(SQLiteActivity(data_folder, "another run")) as activity:
            assert watermark(activity, datetime.now(UTC)) is None
            assert stored(activity, "SELECT count(*) FROM workers") == 2
        workers = psutil.Process(service.process.pid).children()
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
        # They end by themselves soon, and hold the folder until then.
        assert not psutil.wait_procs(workers, SECONDS)[1]
    with running_service(data_folder) as service:
        client = Client(ServiceConnection(service.url, service.key))
        assert let_through() == 4
        headers = {"Authorization": token, "Version": "v3"}
        for _ in range(3):
            assert requests.get(f"{service.url}/contacts/?locationId={service.account}", headers=headers, timeout=10).ok
        service.process.terminate()
        service.process.wait()
        with closing(SQLiteActivity(data_folder, "another run")) as activity:
            assert stored(activity, "SELECT sum(requests) FROM requests") == 7
            assert list(last_used(activity, [1, 2])) == [1]


@pytest.fixture(scope="module")
def used(service):
    """An integration whose first token was used, refused for a scope, superseded and used again."""
    management = Management(service.url, service.key, service.account)
    made = management.integration(name="<b>Reports</b>", scopes=["contacts.readonly", "locations.readonly"])
    first = management.issue(made["id"], 1).json()["token"]
    second = management.issue(made["id"], 2, run="r2", holding=1).json()["token"]
    contacts = f"{service.url}/contacts/?locationId={service.account}"
    for method, token in (("GET", first), ("POST", first), ("GET", second), ("GET", first)):
        headers = {"Authorization": token, "Version": "v3", "User-Agent": "<i>cron</i>"}
        requests.request(method, contacts, headers=headers, timeout=10)
    client = Client(ServiceConnection(service.url, service.key))
    return awaited(
        lambda: client.activity(made["id"], "week"), lambda report: sum(report.requests) + sum(report.refused) == 4
    )


def test_the_page_shows_what_the_api_says(service, used):
    """Charts in words and as tables, refusals with what helps, who uses the old token; nothing of theirs is markup."""
    visitor = new_visitor(service.url, service.key, service.account)
    page = visitor.get(f"/settings/private-integrations/{used.integration_id}/activity")
    assert page.status_code == 200
    text = " ".join(re.sub(r"<[^>]+>", " ", page.text).split())
    assert 'aria-label="3 requests let through in 7 days, at most 3 in one hour"' in page.text
    assert "add contacts.write to the integration&#39;s scopes if these requests are meant" in page.text.lower()
    assert "scopes=[&#34;contacts.readonly&#34;, &#34;contacts.write&#34;, &#34;locations.readonly&#34;]," in page.text
    assert "The token of generation 1 is superseded and still in use by 127.0.0.1 (&lt;i&gt;cron&lt;/i&gt;)" in text
    assert "<i>" not in page.text
    assert "<b>" not in page.text
    assert not re.search(r"<(script(?! src)|style)|\son\w+=|\sstyle=", page.text)
    for period, unit in (("day", "hour"), ("month", "day"), ("century", "hour")):
        other = visitor.get(f"/settings/private-integrations/{used.integration_id}/activity?period={period}")
        assert f"at most 3 in one {unit}" in other.text


def test_a_page_without_requests(service):
    """Says so, and that nothing was refused."""
    made = Management(service.url, service.key, service.account).integration()
    visitor = new_visitor(service.url, service.key, service.account)
    page = visitor.get(f"/settings/private-integrations/{made['id']}/activity")
    assert "No request used a token of this integration." in page.text
    assert '<svg class="chart' not in page.text


def test_strangers_find_no_page(service, used):
    """An admin of another account is told what they are told of an id that isn't there; one of the agency sees it."""
    management = Management(service.url, service.key, service.account)
    accounts = Client(ServiceConnection(service.url, service.key)).accounts()
    agency = next(found.agency_id for found in accounts if found.id == service.account)
    elsewhere = uuid.uuid4().hex[:20]
    assert management.ask("PUT", f"/accounts/{elsewhere}", {"name": "Elsewhere", "agency_id": agency}).ok
    stranger = new_visitor(service.url, service.key, elsewhere)
    path = f"/settings/private-integrations/{used.integration_id}/activity"
    foreign, missing = stranger.get(path), stranger.get("/settings/private-integrations/int_nothing/activity")
    assert (foreign.status_code, foreign.text) == (404, missing.text)
    assert new_visitor(service.url, service.key, agency).get(path).status_code == 200
    assert new_visitor(service.url, service.key, service.account, role="user").get(path).status_code == 403


def test_the_list_of_tokens_has_last_uses_where_they_are_asked_for(service, used):
    """Deployments don't ask; lists do."""
    client = Client(ServiceConnection(service.url, service.key))
    ((plain,),) = [page.tokens for page in client.tokens_of([used.integration_id])]
    assert [secret.last_used_at for secret in plain.tokens] == [None, None]
    ((told,),) = [page.tokens for page in client.tokens_of([used.integration_id], last_used=True)]
    last = {row.generation: row.last_used_at for row in used.generations}
    assert {secret.generation: secret.last_used_at for secret in told.tokens} == last
    assert None not in last.values()


def test_a_token_that_others_only_ask_about_is_in_use(service):
    """A gateway that decides by itself asks about each use (RFC 7662): nothing else says that the token is needed."""
    client = Client(ServiceConnection(service.url, service.key))
    management = Management(service.url, service.key, service.account)
    made = management.integration()["id"]
    assert client.introspect(management.issue(made, 1).json()["token"]).active
    report = awaited(lambda: client.activity(made, "day"), lambda report: sum(report.requests) == 1)
    assert [(row.role, row.requests[-1]) for row in report.generations] == [("pending", 1)]
    assert report.generations[0].last_used_at is not None


def test_an_unknown_period_is_refused(service, used):
    """With the ones that there are."""
    management = Management(service.url, service.key, service.account)
    answer = management.ask("GET", f"/integrations/{used.integration_id}/activity?period=century")
    assert problem(answer) == (422, "invalid-request")
    assert answer.json()["detail"] == "period: Input should be 'day', 'week' or 'month'"
