"""`private-integrations scopes suggest`: the least scopes for the requests of a log, without any service."""

import io
import json
import sys

import pytest

from private_integrations.cli import run
from private_integrations.cli.suggest.old_routes import COUNTERPARTS, old_route
from private_integrations.cli.suggest.request_logs import LoggedRequest, read_requests
from private_integrations_service.catalogue.endpoints import Catalogue

TOKEN = "pit-" + "0f8fad5b-d9cb-469f-a165-70867728950e"
COMBINED = '10.0.0.7 - ada [20/Nov/2026:02:00:01 +0000] "{}" {} 512 "https://crm.example/?key=hush" "export/1.4"'


@pytest.fixture
def suggested(capsys, tmp_path):
    """Run the command on a log of these lines; its exit code, what it printed and what it said about it."""

    def asked(*lines, options=()):
        log = tmp_path / "access.log"
        log.write_text("\n".join(lines) + "\n")
        code = run(["scopes", "suggest", "--log", str(log), *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return asked


@pytest.fixture
def proposal(suggested):
    """The same as JSON."""

    def asked(*lines, options=()):
        code, out, err = suggested(*lines, options=(*options, "--json"))
        assert err == ""
        return code, json.loads(out)

    return asked


def read(*lines):
    """The requests in these lines."""
    return list(read_requests(io.BytesIO("\n".join(lines).encode())))


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        (COMBINED.format("GET /contacts/?limit=1 HTTP/1.1", 200), LoggedRequest("GET", "/contacts/", "", False, 200)),
        ('::1 - - [x] "PUT /contacts/a HTTP/2" 204 0', LoggedRequest("PUT", "/contacts/a", "", False, 204)),
        (
            '[2026-11-20T02:00:01.310Z] "POST /contacts/ HTTP/2" 201 - 154 0 226 100 "10.0.35.28"',
            LoggedRequest("POST", "/contacts/", "", False, 201),
        ),
        (
            "1763604001.450 180 10.0.0.7 TCP_MISS/200 412 GET http://rest.gohighlevel.com/v1/contacts/ - DIRECT/x",
            LoggedRequest("GET", "/v1/contacts/", "rest.gohighlevel.com", True, None),
        ),
        ("GET https://Api.example:8443/users/#x", LoggedRequest("GET", "/users/", "api.example", True, None)),
        ("CONNECT rest.gohighlevel.com:443", LoggedRequest("CONNECT", "", "rest.gohighlevel.com", True, None)),
        (
            '{"request_method":"GET","request_uri":"/contacts/?a=b","status":"200","host":"crm.example"}',
            LoggedRequest("GET", "/contacts/", "crm.example", False, 200),
        ),
        (
            '{"request":"DELETE /contacts/a HTTP/1.1","status":200}',
            LoggedRequest("DELETE", "/contacts/a", "", False, 200),
        ),
        (
            '{"method":"GET","path":"/rewritten","x-envoy-original-path":"/contacts/","authority":"a:1","response_code":200}',
            LoggedRequest("GET", "/contacts/", "a", False, 200),
        ),
        (
            '{"level":"info","request":{"method":"GET","host":"a","uri":"/forms/"},"status":401}',
            LoggedRequest("GET", "/forms/", "a", False, 401),
        ),
        (
            '{"RequestMethod":"get","RequestPath":"/forms/","RequestHost":"a","DownstreamStatus":200}',
            LoggedRequest("GET", "/forms/", "a", False, 200),
        ),
        ('{"httpRequest":{"requestMethod":"GET","requestUrl":"https://a/forms/","status":200}}',
         LoggedRequest("GET", "/forms/", "a", True, 200)),
        ("GET //contacts//x?to=https://other.example/", LoggedRequest("GET", "//contacts//x", "", False, None)),
        (
            '{"method":"GET","uri":"/contacts/","host":"a/users"}',
            LoggedRequest("GET", "/contacts/", "a", False, None),
        ),
        ("no request at all", None),
        ('{"message":"hello"}', None),
        ('{"method":"GET",', None),
        ("{" + '"a":[' * 100_000, None),
        ("GET http://[/contacts/", None),
    ],
)  # fmt: skip
def test_a_line_of_a_log(line, request_):
    """Each format gives method, path without its query, host and status; a line without one gives none."""
    assert read(line) == [request_]


def test_huge_lines_are_one_line(tmp_path):
    """A line beyond any request's length is skipped whole, and what follows is read."""
    line = "GET /contacts/" + "x" * 200_000 + " GET /users/"
    assert read(line, "", "GET /forms/") == [None, LoggedRequest("GET", "/forms/", "", False, None)]


def test_the_proposal(suggested):
    """Scopes with the requests that need each, the line to paste, and what it leaves open; no query is repeated."""
    code, out, err = suggested(
        COMBINED.format(f"GET /contacts/?access_token={TOKEN} HTTP/1.1", 200),
        COMBINED.format("GET /contacts/?page=2 HTTP/1.1", 200),
        COMBINED.format("POST /contacts/ocQHyuzHvysMo5N5VsXc/notes HTTP/1.1", 201),
        COMBINED.format("GET /healthz HTTP/1.1", 200),
        COMBINED.format("GET /forms/ HTTP/1.1", 403),
        "and a line that is none",
    )
    assert (code, out.splitlines(), err.splitlines()) == (
        0,
        [
            "SCOPE              METHOD  PATH                         REQUESTS",
            "contacts.readonly  GET     /contacts/                   2",
            "contacts.write     POST    /contacts/{contactId}/notes  1",
            "",
            'scopes=["contacts.readonly", "contacts.write"]  # an integration of a sub-account',
            "",
            "REQUESTS  METHOD  PATH      IN NO PROPOSAL, BECAUSE IT IS",
            "1         GET     /healthz  not in the catalogue",
        ],
        [
            "private-integrations: what is in no proposal can be looked up: private-integrations scopes --search WORDS",
            "private-integrations: left out: requests that were answered 401 or 403 (1)",
            "private-integrations: left out: lines without a request (1)",
        ],
    )


def test_routes_of_v1(proposal):
    """Paths of v1 count as what does the same now; one without a sure counterpart is listed for a person."""
    code, found = proposal(
        "GET https://rest.gohighlevel.com/v1/contacts/lookup?email=ada@example.com",
        "GET https://rest.gohighlevel.com/v1/contacts/ocQHyuzHvysMo5N5VsXc",
        "GET https://rest.gohighlevel.com/v1/pipelines",
        "POST https://rest.gohighlevel.com/v1/appointments/",
        "GET https://rest.gohighlevel.com/v1/users/lookup?email=ada@example.com",
    )
    [integration] = found["integrations"]
    assert (code, integration["class"]) == (0, "sub_account")
    assert integration["scopes"] == ["contacts.readonly", "opportunities.readonly"]
    assert [(need["made_to"], need["path"]) for need in integration["requests"]] == [
        ("/v1/contacts/lookup", "/contacts/search/duplicate"),
        ("/v1/contacts/{contactId}", "/contacts/{contactId}"),
        ("/v1/pipelines/", "/opportunities/pipelines"),
    ]
    assert [(each["method"], each["path"]) for each in found["unmapped"]] == [
        ("POST", "/v1/appointments/"),
        ("GET", "/v1/users/lookup"),
    ]


def test_each_counterpart_exists():
    """Every route of v1 is found by its own path, and leads to an endpoint of the catalogue that a token opens."""
    endpoints = {f"{endpoint.method} {endpoint.path}": endpoint for endpoint in Catalogue.load().endpoints}
    for old, counterpart in COUNTERPARTS.items():
        method, _, path = old.partition(" ")
        assert old_route(method, path.replace("{", "0").replace("}", "0").lstrip("/")) == old
        assert endpoints[counterpart].scope, counterpart
        assert endpoints[counterpart].account_kinds, counterpart


def test_both_classes_are_two_integrations(suggested, proposal):
    """No token is an agency's and a sub-account's at once; what both may do is the sub-account's."""
    lines = ("POST /locations/", "GET /locations/abc", "GET /contacts/")
    code, found = proposal(*lines)
    assert (code, [(each["class"], each["scopes"]) for each in found["integrations"]]) == (
        0,
        [("sub_account", ["contacts.readonly", "locations.readonly"]), ("agency", ["locations.write"])],
    )
    assert "these requests need two integrations" in suggested(*lines)[2]
    _, found = proposal(*lines[:2])
    assert [(each["class"], each["scopes"]) for each in found["integrations"]] == [
        ("agency", ["locations.readonly", "locations.write"])
    ]


def test_what_no_integration_may_do(suggested):
    """Requests that are closed to every private integration are said to be, and the exit code says it too."""
    code, out, _ = suggested("GET /contacts/", "GET /oauth/installedLocations")
    assert code == 1
    assert (
        "1         GET     /oauth/installedLocations  open to no private integration: "
        "the platform refuses private integration tokens there\n"
    ) in out


def test_nothing_to_propose(suggested):
    """A log without any request of the API proposes nothing, and says so."""
    assert suggested("hello") == (
        1,
        "",
        "private-integrations: no request was found that needs a scope\n"
        "private-integrations: left out: lines without a request (1)\n",
    )


def test_hosts_and_prefixes(proposal):
    """Of a forward proxy's log the platform's hosts count, unless others are named; a prefix is taken off."""
    proxy = ("GET https://services.leadconnectorhq.com/contacts/", "GET https://other.example/users/abc")
    _, found = proposal(*proxy)
    assert (found["integrations"][0]["scopes"], found["elsewhere"]) == (["contacts.readonly"], 1)
    _, found = proposal(*proxy, options=("--host", "Other.example"))
    assert (found["integrations"][0]["scopes"], found["elsewhere"]) == (["users.readonly"], 1)
    server = (
        '{"method":"GET","uri":"/crm/contacts/","host":"a.example"}',
        '{"method":"GET","uri":"/crmcontacts/","host":"a.example"}',
        '{"method":"GET","uri":"/users/abc","host":"a.example"}',
        '{"method":"GET","uri":"/crm/forms/","host":"b.example"}',
    )
    _, found = proposal(*server, options=("--prefix", "/crm/", "--host", "a.example"))
    assert (found["integrations"][0]["scopes"], found["elsewhere"]) == (["contacts.readonly"], 3)


def test_no_id_name_or_secret_is_repeated(suggested, proposal):
    """What isn't in the catalogue is shown by its shape; a token in a path or a query is shown nowhere."""
    lines = (
        f"GET /hooks/{TOKEN}?key={TOKEN}",
        f"GET /contacts/{TOKEN}",
        f"GET /v1/{TOKEN}/ada@example.com",
        "GET /u/Hunter2/ada%20lovelace",
    )
    code, out, err = suggested(*lines)
    assert code == 0
    assert "GET     /hooks/…" in out
    for said in (out, err, json.dumps(proposal(*lines))):
        for hidden in (TOKEN, "0f8fad5b", "hush", "ada@example.com", "Hunter2", "lovelace"):
            assert hidden not in said


def test_a_log_of_random_paths_takes_no_memory(proposal):
    """Beyond a thousand shapes the rest counts as one."""
    words = [f"{chr(97 + a)}{chr(97 + b)}{chr(97 + c)}" for a in range(12) for b in range(10) for c in range(10)]
    _, found = proposal(*(f"GET /x/{word}" for word in words))
    assert len(found["unmatched"]) == 1001
    assert found["unmatched"][0] == {"method": "…", "path": "…", "count": 200}


def test_stdin_and_several_logs(capsys, monkeypatch, tmp_path):
    """`-` is stdin, so that packed logs can be piped in; several logs count together."""
    log = tmp_path / "access.log"
    log.write_text("GET /forms/\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"GET /contacts/\n")))
    code = run(["scopes", "suggest", "--log", str(log), "--log", "-", "--json"])
    assert code == 0
    assert json.loads(capsys.readouterr().out)["integrations"][0]["scopes"] == ["contacts.readonly", "forms.readonly"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing option '--log'."),
        (("--log", "nowhere.log"), "Invalid value for --log: nowhere.log can't be read: No such file or directory"),
        (("--log", "/"), "Invalid value for --log: / can't be read: Is a directory"),
        (("--log", TOKEN), "this is a token, not an id"),
    ],
)
def test_wrong_usage(capsys, monkeypatch, tmp_path, arguments, said):
    """A log that can't be read is one clear line, and no token is shown."""
    monkeypatch.chdir(tmp_path)
    code = run(["scopes", "suggest", *arguments])
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert TOKEN not in err
