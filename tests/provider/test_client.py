"""The client against answers that a running service doesn't give: proxies, redirects, broken bodies, outages."""

import inspect
import json

import pytest
import requests
import responses

from private_integrations import client as client_module
from private_integrations import errors
from private_integrations.client import Client
from private_integrations.connection import Connection
from private_integrations.contract import PROBLEM_PREFIX, IntegrationEdit

URL = "https://integrations.example.com"
ONE = f"{URL}/private-integrations/v1/integrations/int_7"
KEY = "pmk-" + "0" * 64


@pytest.fixture
def client(monkeypatch):
    """A client that doesn't wait between its tries."""
    monkeypatch.setattr(client_module, "_PAUSES", (0.0, 0.0, 0.0))
    return Client(Connection(URL, KEY))


@pytest.fixture
def wire():
    """The wire, on which every request must be expected."""
    with responses.RequestsMock() as mocked:
        yield mocked


def problem(slug: str, status: int, **about):
    """A problem as the service tells it."""
    body = {"type": PROBLEM_PREFIX + slug, "title": "t", "status": status, "detail": "what is wrong", **about}
    return {"body": json.dumps(body), "status": status, "content_type": "application/problem+json"}


INTEGRATION = {
    "id": "int_7",
    "account": "a",
    "external_id": "e",
    "name": "n",
    "description": "",
    "scopes": ["contacts.readonly"],
    "rotation": None,
    "claim": "c",
    "version": 1,
    "last_generation": 0,
    "created_at": "2026-11-20T00:00:00Z",
    "updated_at": "2026-11-20T00:00:00Z",
}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequest),
        (401, errors.NotAuthorized),
        (403, errors.NotAuthorized),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (412, errors.Conflict),
        (413, errors.InvalidRequest),
        (418, errors.ServiceRefused),
        (422, errors.InvalidRequest),
    ],
)
def test_every_refusal_has_its_error(client, wire, status, kind):
    """Each status of the service's own becomes the error that fits, with its problem and facts."""
    wire.get(ONE, **problem("some-problem", status, id="int_8"))
    with pytest.raises(errors.ServiceRefused) as caught:
        client.integration("int_7")
    assert type(caught.value) is kind
    assert str(caught.value) == "what is wrong"
    assert (caught.value.problem, caught.value.about) == ("some-problem", {"id": "int_8"})


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 404, "body": "<html>nginx</html>"},
        {"status": 404, "json": {"message": "Not Found"}},
        {"status": 200, "body": "<html>a sign-in page</html>"},
        {"status": 200, "json": {"id": "int_7"}},
        {"status": 302, "headers": {"Location": "https://elsewhere.example.com"}},
        {"status": 401, "body": ""},
        {"status": 500, "body": "oops"},
    ],
    ids=lambda answer: str(answer["status"]),
)
def test_an_answer_that_is_not_the_services_is_no_answer(client, wire, answer):
    """A proxy's page is never taken for "not found" or "not authorized", and a redirect is not followed."""
    wire.get(ONE, **answer)
    with pytest.raises(errors.ServiceUnreachable) as caught:
        client.integration("int_7")
    assert str(caught.value) == (
        f"{URL} answers {answer['status']}, but not as the service would; check PRIVATE_INTEGRATIONS_URL"
    )


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_outage_is_waited_out(client, wire, status):
    """Three failing answers and then a good one are a success."""
    for _ in range(3):
        wire.get(ONE, status=status)
    wire.get(ONE, json=INTEGRATION)
    assert client.integration("int_7").name == "n"


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (requests.ConnectTimeout(), f"{URL} does not answer (timed out); is the service running?"),
        (requests.ConnectionError(), f"{URL} does not answer (no connection); is the service running?"),
        (
            requests.exceptions.SSLError(),
            f"{URL} does not answer (its certificate is not trusted); is the service running?",
        ),
        (
            requests.exceptions.ChunkedEncodingError(),
            f"{URL} does not answer (ChunkedEncodingError); is the service running?",
        ),
    ],
)
def test_four_tries_and_then_an_error(client, wire, failure, message):
    """A service that stays away is asked four times, and then named."""
    wire.get(ONE, body=failure)
    with pytest.raises(errors.ServiceUnreachable) as caught:
        client.integration("int_7")
    assert str(caught.value) == message
    assert len(wire.calls) == 4


def test_each_try_for_a_token_is_a_higher_attempt_of_one_run(client, wire):
    """A lost answer is asked for again so that the service can tell it from a late copy."""
    url = f"{ONE}/generations/3"
    wire.put(url, body=requests.ConnectionError())
    wire.put(url, status=503)
    issued = {"token": "t", "generation": 3, "fingerprint": "f", "issued_at": "2026-11-20T00:00:00Z"}
    wire.put(url, json=issued, status=201)
    assert client.issue("int_7", 3, issuer="us", holding=2, overlap_seconds=60, reason="").generation == 3
    sent = [json.loads(call.request.body) for call in wire.calls]
    assert [body["attempt"] for body in sent] == [1, 2, 3]
    assert len({body["run"] for body in sent}) == 1
    assert {body["holding"] for body in sent} == {2}


def test_only_what_is_set_is_sent(client, wire):
    """An edit of the name says nothing about the schedule, and an ended schedule is said."""
    wire.patch(ONE, json=INTEGRATION)
    client.edit("int_7", IntegrationEdit(name="n"))
    client.edit("int_7", IntegrationEdit(rotation=None))
    assert [json.loads(call.request.body) for call in wire.calls] == [{"name": "n"}, {"rotation": None}]


def test_deleting_what_is_gone_is_done(client, wire):
    """Only the service's own word for a missing integration is a success; another 404 is not."""
    wire.delete(ONE, **problem("integration-unknown", 404))
    client.delete("int_7")
    wire.replace("DELETE", ONE, **problem("account-unknown", 404))
    with pytest.raises(errors.NotFound):
        client.delete("int_7")


def test_the_environment_adds_no_credentials(client, wire, tmp_path, monkeypatch):
    """A .netrc entry for the host doesn't take the place of the key."""
    (tmp_path / ".netrc").write_text("machine integrations.example.com login anna password hunter2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    wire.get(ONE, json=INTEGRATION)
    client.integration("int_7")
    assert wire.calls[0].request.headers["Authorization"] == f"Bearer {KEY}"


def test_the_tree_of_errors():
    """Every error is drawn in the docstring, comes from the one root, and has advice as its message."""
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    for kind in kinds:
        assert issubclass(kind, errors.PrivateIntegrationError)
        assert kind.__name__ in errors.__doc__
        assert str(kind()) == kind.__doc__.strip().splitlines()[0]
