"""The client against answers that a running service doesn't give: proxies, redirects, broken bodies, outages."""

import inspect
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests
import responses

from private_integrations import client as client_module
from private_integrations import errors
from private_integrations.client import Client, Outage
from private_integrations.connection import ServiceConnection
from private_integrations.contract import PROBLEM_PREFIX, IntegrationEdit

URL = "https://integrations.example.com"
ONE = f"{URL}/private-integrations/v1/integrations/int_7"
KEY = "pmk-" + "0" * 64


@pytest.fixture
def client(monkeypatch):
    """A client that doesn't wait between its tries."""
    monkeypatch.setattr(client_module, "_PAUSES", (0.0, 0.0, 0.0))
    return Client(ServiceConnection(URL, KEY))


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
    "owner_nonce": "c",
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


class Listener:
    """A server that counts connections; it hangs up, says nothing, or sends a byte every half second."""

    def __init__(self, behaviour):
        self.connections, self._behaviour, self._kept = 0, behaviour, []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        """Listen no more."""
        self._server.close()
        for kept in self._kept:
            kept.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self.connections += 1
                if self._behaviour == "hangs up":
                    client.close()
                    continue
                self._kept.append(client)
                if self._behaviour == "drips":
                    threading.Thread(target=self._drip, args=(client,), daemon=True).start()

    def _drip(self, client):
        with suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while True:
                client.sendall(b"x")
                time.sleep(0.05)


@pytest.fixture
def listener(request):
    """A server that behaves as the test says."""
    started = Listener(request.param)
    yield started
    started.close()


@pytest.fixture
def impatient(monkeypatch):
    """Tries of a fifth of a second, and less than half a second for all of them."""
    monkeypatch.setattr(client_module, "_PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(client_module, "_CONNECTING", 0.1)
    monkeypatch.setattr(client_module, "_READING", client_module._Patience(one=0.2, all=0.4))


def _ask_in_threads(client, count):
    """The errors of so many requests, four at a time as the engine asks."""
    failures = []

    def ask():
        with pytest.raises(errors.ServiceUnreachable) as caught:
            client.integration("int_7")
        failures.append(str(caught.value))

    with ThreadPoolExecutor(4) as pool:
        for asked in [pool.submit(ask) for _ in range(count)]:
            asked.result()
    return failures


@pytest.mark.parametrize(
    ("listener", "why", "at_most"),
    [("hangs up", "no connection", 4), ("hangs", "timed out", 3), ("drips", "timed out", 3)],
    indirect=["listener"],
)
def test_one_series_of_tries_for_all_requests_of_a_command(impatient, listener, why, at_most):
    """When the tries of one request are used up the rest fails at once, with the same error and no connection."""
    client = Client(ServiceConnection(listener.url, KEY), outage=Outage())
    failures = _ask_in_threads(client, 20)
    assert failures == [f"{listener.url} does not answer ({why}); is the service running?"] * 20
    assert 2 <= listener.connections <= at_most


@pytest.mark.parametrize("listener", ["hangs up"], indirect=True)
def test_a_service_that_goes_away_in_the_middle_costs_one_series_too(impatient, listener, service):
    """After answers, each thread may meet the outage with one try; only one of them tries again."""
    client = Client(ServiceConnection(service.url, service.key), outage=Outage())
    client.accounts()
    client.url = listener.url
    assert len(set(_ask_in_threads(client, 20))) == 1
    assert 4 <= listener.connections <= 4 + 3


@pytest.mark.parametrize("listener", ["hangs up"], indirect=True)
def test_a_client_that_lives_on_recovers(impatient, listener, service):
    """Without a shared outage, as in the command line, every request has tries of its own."""
    client = Client(ServiceConnection(listener.url, service.key))
    assert len(set(_ask_in_threads(client, 2))) == 1
    client.url = service.url
    assert client.accounts()


def test_a_key_that_is_refused_is_not_tried_for_every_resource(wire):
    """After one refusal of the key, the client sends no other request in the same command."""
    wire.get(ONE, **problem("key-ended", 401))
    client = Client(ServiceConnection(URL, KEY), outage=Outage())
    for _ in range(20):
        with pytest.raises(errors.NotAuthorized, match="what is wrong") as caught:
            client.integration("int_7")
        assert caught.value.problem == "key-ended"
    assert len(wire.calls) == 1


def test_a_refused_key_of_the_stack_may_be_the_last_ups(wire):
    """`refresh` and `destroy` see the configuration of the last `up`, so the error names the way to the present one."""
    wire.get(ONE, **problem("key-ended", 401))
    with pytest.raises(errors.NotAuthorized) as ours:
        Client(ServiceConnection(URL, KEY)).integration("int_7")
    assert str(ours.value) == "what is wrong"
    with pytest.raises(errors.NotAuthorized) as theirs:
        Client(ServiceConnection(URL, KEY, "stack", "stack")).integration("int_7")
    assert str(theirs.value) == (
        "what is wrong; it is from the stack's configuration (private-integrations:adminKey), of which refresh and "
        "destroy use the copy of the last up: after replacing the key, run them with --run-program"
    )


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("listener", ["hangs up"], indirect=True)
def test_no_proxy_gets_what_goes_to_this_machine(impatient, listener, service, monkeypatch, variable):
    """A proxy of the environment would read the key, which goes to a loopback address in clear."""
    monkeypatch.setenv(variable, listener.url)
    port = service.url.rsplit(":", 1)[1]
    for host in ("127.0.0.1", "localhost", "LOCALHOST"):
        assert Client(ServiceConnection(f"http://{host}:{port}", service.key)).accounts()
    assert listener.connections == 0


def test_https_goes_through_the_proxy_of_the_environment(monkeypatch):
    """There the proxy sees the host and nothing more; NO_PROXY is honoured."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    assert Client(ServiceConnection(URL, KEY))._session.proxies["https"] == "http://proxy.example.com:3128"
    monkeypatch.setenv("NO_PROXY", "integrations.example.com")
    assert not Client(ServiceConnection(URL, KEY))._session.proxies


def test_the_tree_of_errors():
    """Every error is drawn in the docstring, comes from the one root, and has advice as its message."""
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
    for kind in kinds:
        assert issubclass(kind, errors.PrivateIntegrationError)
        assert kind.__name__ in errors.__doc__
        assert str(kind()) == kind.__doc__.strip().splitlines()[0]
