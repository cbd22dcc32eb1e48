"""docs/scopes.md: every scope set, number, transcript and answer in it is what the code does."""

import io
import json
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from private_integrations.cli import run

GUIDE = (Path(__file__).parents[3] / "docs" / "scopes.md").read_text()
KINDS = {"agency": "agency", "sub-account": "sub_account"}
JOBS = re.findall(r"^### ([^\n]+) \((agency|sub-account)\)\n(.*?)(?=^### |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
TRANSCRIPTS = re.findall(r"^\$ (private-integrations [^\n]+)\n(.*?)(?=^\$ |^```)", GUIDE, re.MULTILINE | re.DOTALL)


def _endpoint(catalogue, written):
    """The catalogue's endpoint with this method and template."""
    method, path = written.split(" ")
    [found] = [endpoint for endpoint in catalogue.endpoints if (endpoint.method, endpoint.path) == (method, path)]
    return found


def test_the_jobs_are_found():
    """The guide is read by its form: a job that is written otherwise would be checked by nobody."""
    assert (len(JOBS), len(TRANSCRIPTS)) == (GUIDE.count("\n### "), GUIDE.count("\n$ "))
    assert (len(JOBS), len(TRANSCRIPTS)) == (9, 4)


@pytest.mark.parametrize(("title", "holder", "text"), JOBS, ids=[title for title, _, _ in JOBS])
def test_a_set_opens_what_it_says(catalogue, title, holder, text):
    """Each scope exists, its class of token may hold it, it opens what is named and as many as it says, and no more."""
    kind = KINDS[holder]
    rows = re.findall(r"^\| `([^`]+)` \| (\d+) \| (.+) \|$", text, re.MULTILINE)
    assert len(rows) == text.count("\n| `") > 0
    for scope, number, named in rows:
        assert catalogue.refuse_scope(scope, kind) is None
        opened = [e for e in catalogue.endpoints if e.scope == scope and kind in e.account_kinds]
        assert len(opened) == int(number), scope
        for written in re.findall("`([^`]+)`", named):
            assert _endpoint(catalogue, written) in opened, (scope, written)
    held = {scope for scope, _, _ in rows}
    [closed] = re.findall(r"^Stays closed: (.+)\.$", text, re.MULTILINE)
    for written in re.findall("`([^`]+)`", closed):
        endpoint = _endpoint(catalogue, written)
        assert endpoint.scope not in held or kind not in endpoint.account_kinds, written


@pytest.mark.parametrize(("command", "shown"), TRANSCRIPTS, ids=[command for command, _ in TRANSCRIPTS])
def test_a_transcript_is_what_is_printed(command, shown):
    """What the guide shows of the command line is what it prints, with nothing to connect to."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        run(shlex.split(command)[1:])
    assert said.getvalue() == shown


def test_the_answer_to_a_missing_scope(api, desk):
    """The answer that the guide shows is the one that is given."""
    answer = api.ask("POST", "/contacts/", {}, token=desk.token_with("contacts.readonly"))
    shown = re.search(r"^HTTP/1.1 (\d+) Unauthorized\n(.*?)\n\n(\{.*?\})$", GUIDE, re.MULTILINE | re.DOTALL)
    headers = dict(line.split(": ", 1) for line in shown[2].splitlines())
    assert (answer.status, answer.headers) == (int(shown[1]), answer.headers | headers)
    assert answer.body == json.loads(shown[3])


def test_every_reason_of_the_table_exists(api, desk, accounts):
    """What the guide says beside a wrong class and a wrong account is what is answered."""
    token = desk.token_with("contacts.readonly", "locations.readonly")
    wrong_class = api.ask("POST", "/locations/", {}, token=token)
    assert (wrong_class.body["reason"], wrong_class.body["requiredClass"]) == ("class-not-allowed", "agency")
    assert api.ask("GET", f"/locations/{accounts.sister}", token=token).body["reason"] == "location-not-allowed"
    assert api.ask("POST", "/oauth/token", token=token).body["reason"] == "endpoint-closed"
