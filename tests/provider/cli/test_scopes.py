"""`private-integrations scopes`: what a scope opens and what a request needs, without any service."""

import json

import pytest

from private_integrations.cli import run


@pytest.fixture
def scopes(capsys):
    """Run the command; its exit code, what it printed and what it said about it."""

    def asked(*arguments):
        code = run(["scopes", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return asked


def test_all_of_them(scopes):
    """Without options every scope is listed with who may hold it and how much it opens."""
    code, out, err = scopes()
    lines = [line.split() for line in out.splitlines()]
    assert (code, err, len(lines)) == (0, "", 170)
    assert ["contacts.readonly", "sub-accounts", "10"] in lines
    assert ["charges.write", "nobody", "(OAuth", "apps", "only)", "2"] in lines
    assert ["files.readonly", "agencies,", "sub-accounts", "(undocumented)", "1"] in lines


def test_what_a_scope_opens(scopes):
    """A scope is answered with its endpoints, for people and for programs."""
    code, out, err = scopes("locations.readonly")
    assert (code, err) == (0, "")
    assert [line.split("  ")[0] for line in out.splitlines()] == ["METHOD", "GET", "GET", "GET", "GET"]
    code, out, err = scopes("locations.readonly", "--json")
    found = json.loads(out)
    assert (found["name"], found["classes"], found["oauth_only"]) == (
        "locations.readonly",
        ["agency", "sub_account"],
        False,
    )
    assert found["endpoints"][0] == {
        "method": "GET",
        "path": "/locations/search",
        "scope": "locations.readonly",
        "classes": ["agency", "sub_account"],
        "closed_because": None,
        "v3_only": False,
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("twilioaccount.read", "twilioaccount.read opens no endpoint that is documented"),
        ("charges.write", "no private integration can hold charges.write: it is for OAuth apps only"),
    ],
)
def test_a_scope_of_little_use(scopes, name, said):
    """A scope that opens nothing, or that no integration can hold, is said to be one."""
    code, _, err = scopes(name)
    assert (code, err) == (0, f"private-integrations: {said}\n")


@pytest.mark.parametrize(
    ("request_", "needed"),
    [
        (("GET", "/contacts/abc"), ["GET /contacts/{contactId}", "contacts.readonly", "sub-accounts", "any"]),
        (("get", "/contacts"), ["GET /contacts/", "contacts.readonly", "sub-accounts", "any"]),
        (
            ("POST", "https://services.leadconnectorhq.com/contacts/search?locationId=1"),
            ["POST /contacts/search", "contacts.readonly", "sub-accounts", "any"],
        ),
        (
            ("GET", "/locations/{locationId}"),
            ["GET /locations/{locationId}", "locations.readonly", "agencies, sub-accounts", "any"],
        ),
        (("GET", "/files/d/abc"), ["GET /files/d/{slug}", "files.readonly", "sub-accounts", "any"]),
        (
            ("DELETE", "/contacts/c/campaigns/remove-all"),
            ["DELETE /contacts/{contactId}/campaigns/remove-all", "contacts.write", "sub-accounts", "v3"],
        ),
        (
            ("DELETE", "/contacts/c/campaigns/removeAll"),
            ["DELETE /contacts/{contactId}/campaigns/removeAll", "contacts.write", "sub-accounts", "before v3"],
        ),
    ],
)
def test_what_a_request_needs(scopes, request_, needed):
    """Method and path, as a client sends them or as the documentation writes them, lead to scope, class and version."""
    code, out, err = scopes("--for", *request_)
    assert (code, err) == (0, "")
    assert [line.split("  ", 1)[1].strip() for line in out.splitlines()] == needed


@pytest.mark.parametrize(
    ("request_", "scope", "why"),
    [
        (
            ("GET", "/oauth/installedLocations"),
            "oauth.readonly",
            "the platform refuses private integration tokens there",
        ),
        (("POST", "/oauth/token"), None, "nobody knows its scope"),
        (
            ("POST", "/social-media-posting/comments/x"),
            "socialplanner/comments.write",
            "nobody knows which class of token it is for",
        ),
    ],
)
def test_what_no_token_opens(scopes, request_, scope, why):
    """A closed endpoint is an answer of no, with its reason, for people and for programs."""
    code, out, _ = scopes("--for", *request_)
    assert code == 1
    assert f"tokens of  nobody: {why}\n" in out
    code, out, _ = scopes("--for", *request_, "--json")
    endpoint = json.loads(out)["endpoint"]
    assert (code, endpoint["scope"], endpoint["classes"], endpoint["closed_because"]) == (1, scope, [], why)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (("PATCH", "/contacts/abc"), "there is no PATCH /contacts/abc; this path has GET, PUT, DELETE"),
        (("GET", "/contact/"), "there is no GET /contact/; the nearest: /contacts/"),
        (("GET", "/zzz"), "there is no GET /zzz; try --search with a word of it"),
        (("GET", "/contacts/a%2Fb"), "there is no GET /contacts/a%2Fb; the nearest: /contacts/"),
    ],
)
def test_no_such_endpoint(scopes, request_, said):
    """An unknown request is one line with what is near it, and the code for things not found."""
    assert scopes("--for", *request_) == (4, "", f"private-integrations: {said}\n")


def test_search(scopes):
    """All words count, whatever the case, in method, path and scope; scopes that open nothing are found by name."""
    _, out, _ = scopes("--search", "PUT customvalues", "--json")
    found = json.loads(out)
    assert [scope["name"] for scope in found["scopes"]] == ["locations/customValues.write"]
    assert [endpoint["path"] for endpoint in found["endpoints"]] == ["/locations/{locationId}/customValues/{id}"]
    code, out, _ = scopes("--search", "twilioaccount")
    assert (code, out.splitlines()[1].split()[0]) == (0, "twilioaccount.read")
    code, out, err = scopes("--search", "nothing has this")
    assert (code, out, err) == (1, "", 'private-integrations: no scope and no endpoint has all of "nothing has this"\n')


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("contact.readonly",), 'there is no scope "contact.readonly"; did you mean contacts.readonly'),
        (("contacts.readonly", "--search", "x"), "give a scope, --search or --for, not several of them"),
        (("pit-" + "00000000-0000-0000-0000-000000000000",), "this is a token, not an id"),
        (("--for", "GET", "http://[/contacts"), "this is neither a path nor a URL"),
        (("--for", "GET"), "Option '--for' requires 2 arguments."),
    ],
)
def test_wrong_usage(scopes, arguments, said):
    """What can't be meant is one clear line, and no token is shown."""
    code, out, err = scopes(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert "00000000" not in err
