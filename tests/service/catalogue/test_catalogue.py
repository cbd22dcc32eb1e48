"""The catalogue: which scopes an integration may hold, and which endpoint a request means."""

import json
import random
import re
import sys
from importlib import resources
from pathlib import Path

import pytest

from private_integrations.contract import AccountClass
from private_integrations_service.catalogue.endpoints import Catalogue
from throwaway import REPOSITORY

LOCATION_ONLY = frozenset({"sub_account"})


def test_every_endpoint_is_found_by_its_own_path(catalogue: Catalogue) -> None:
    """Each of the 668 endpoints is found by its path, with and without a trailing slash, or has a twin that rules."""
    for endpoint in catalogue.endpoints:
        path = endpoint.path.replace("{", "x").replace("}", "x")
        for spelling in (path.rstrip("/"), path.rstrip("/") + "/"):
            match = catalogue.match(endpoint.method, spelling)
            assert match is not None, endpoint
            assert (match.endpoint.scope, match.endpoint.account_kinds) == (endpoint.scope, endpoint.account_kinds)
            assert len(match.params) == len(endpoint.parameters)
    assert len(catalogue.endpoints) == 668


@pytest.mark.parametrize(
    ("method", "path", "template", "params"),
    [
        ("GET", "/contacts", "/contacts/", {}),
        ("GET", "/contacts/", "/contacts/", {}),
        ("GET", "/contacts/abc", "/contacts/{contactId}", {"contactId": "abc"}),
        ("GET", "/contacts/search/duplicate", "/contacts/search/duplicate", {}),
        ("GET", "/contacts/search/duplicate/", "/contacts/search/duplicate", {}),
        ("POST", "/contacts/search", "/contacts/search", {}),
        ("GET", "/contacts/business/b1", "/contacts/business/{businessId}", {"businessId": "b1"}),
        ("GET", "/contacts/business/notes", "/contacts/business/{businessId}", {"businessId": "notes"}),
        ("GET", "/contacts/search/notes", "/contacts/{contactId}/notes", {"contactId": "search"}),
        ("GET", "/locations/search", "/locations/search", {}),
        ("DELETE", "/contacts/c/campaigns/removeAll", "/contacts/{contactId}/campaigns/removeAll", {"contactId": "c"}),
        ("GET", "/contacts/a%20b", "/contacts/{contactId}", {"contactId": "a b"}),
        ("GET", "/contacts/%7BcontactId%7D", "/contacts/{contactId}", {"contactId": "{contactId}"}),
        ("GET", "/contacts/%C3%A9", "/contacts/{contactId}", {"contactId": "é"}),
        ("GET", "/c%6Fntacts/x", "/contacts/{contactId}", {"contactId": "x"}),
        ("GET", "/contacts/a%252Fb", "/contacts/{contactId}", {"contactId": "a%2Fb"}),
    ],
)
def test_literals_win_and_parameters_are_decoded(
    catalogue: Catalogue, method: str, path: str, template: str, params: dict[str, str]
) -> None:
    """A literal segment wins over a parameter, and backtracks to it where it leads nowhere."""
    match = catalogue.match(method, path)
    assert match is not None
    assert (match.endpoint.path, dict(match.params)) == (template, params)


def search(catalogue: Catalogue, method: str, path: str) -> str | None:
    """The template of a plain path as one would look for it: of all that fit, the one with the earliest literals."""
    segments = path.split("/")
    fitting = []
    for endpoint in catalogue.endpoints:
        template = endpoint.path.removesuffix("/").split("/")
        variable = [part.startswith("{") for part in template]
        if endpoint.method == method and len(template) == len(segments):
            fits = all(free or part == given for free, part, given in zip(variable, template, segments, strict=True))
            fitting += [(variable, endpoint.path)] if fits else []
    return min(fitting, key=lambda found: found[0])[1] if fitting else None


def test_the_tree_finds_what_a_search_would(catalogue: Catalogue) -> None:
    """Words of other templates in a parameter's or a literal's place lead where a search over all templates leads."""
    chance = random.Random(667)
    words = sorted(
        {part for endpoint in catalogue.endpoints for part in endpoint.path.split("/") if part[:1] not in "{"}
    )
    found = 0
    for endpoint in catalogue.endpoints * 3:
        template = endpoint.path.removesuffix("/").split("/")[1:]
        strange = [chance.choice(words) if part.startswith("{") or chance.random() < 0.1 else part for part in template]
        path = "/" + "/".join(strange)
        match = catalogue.match(endpoint.method, path)
        assert (match and match.endpoint.path) == search(catalogue, endpoint.method, path), path
        found += match is not None
    assert found > len(catalogue.endpoints)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//",
        "contacts",
        "/contacts//",
        "//contacts",
        "/contacts//notes",
        "/contacts/a%2Fb",
        "/contacts/a%2fb",
        "/contacts/a%5Cb",
        "/contacts/a\\b",
        "/contacts/.",
        "/contacts/..",
        "/contacts/%2e%2E",
        "/contacts/x/../y",
        "/contacts/a%00",
        "/contacts/a%0Ab",
        "/contacts/a%7F",
        "/contacts/%C2%85",
        "/contacts/%ff",
        "/Contacts/a",
        "/contacts/a/b/c/d/e",
        "/nothing",
    ],
)
def test_odd_paths_match_nothing(catalogue: Catalogue, path: str) -> None:
    """A path that somebody behind us could read as another one is no endpoint."""
    assert catalogue.match("GET", path) is None


def test_the_methods_case_counts(catalogue: Catalogue) -> None:
    """Methods are case-sensitive (RFC 9110 §9.1)."""
    assert catalogue.match("get", "/contacts/") is None


@pytest.mark.parametrize(
    ("method", "path", "kinds"),
    [
        ("GET", "/contacts/", LOCATION_ONLY),
        ("GET", "/locations/x", frozenset({"agency", "sub_account"})),
        ("POST", "/locations/", frozenset({"agency"})),
        ("DELETE", "/marketplace/app/a/installations", frozenset({"agency"})),  # pit_access
        ("POST", "/contacts/bulk/business", LOCATION_ONLY),  # undocumented: as its scope says
        ("GET", "/oauth/installedLocations", frozenset()),  # pit_refused
        ("POST", "/social-media-posting/comments/x", frozenset()),  # nor does the scope say anything
        ("POST", "/oauth/token", frozenset()),  # no scope
    ],
)
def test_who_an_endpoint_accepts(catalogue: Catalogue, method: str, path: str, kinds: frozenset[str]) -> None:
    """What is refused for private integrations or known to nobody is closed to all."""
    match = catalogue.match(method, path)
    assert match is not None
    assert match.endpoint.account_kinds == kinds


def test_a_file_is_read_with_files_readonly(catalogue: Catalogue) -> None:
    """The file operation of the official JavaScript client is in the catalogue, with the scope of its name."""
    match = catalogue.match("GET", "/files/d/some-slug")
    assert match is not None
    assert (match.endpoint.path, match.params) == ("/files/d/{slug}", {"slug": "some-slug"})
    assert (match.endpoint.scope, match.endpoint.account_kinds) == ("files.readonly", LOCATION_ONLY)
    assert not match.endpoint.v3_only


def test_additions_name_their_source_and_repeat_nothing() -> None:
    """Endpoints that the vendor's specifications lack are in a file of their own, and each names its source."""
    folder = resources.files("private_integrations_service.catalogue") / "data"
    published, additions = (json.loads((folder / name).read_text()) for name in ("scopes.json", "additions.json"))
    known = {(entry["method"], entry["path"]) for entry in published["endpoints"]}
    scopes = {scope["name"] for scope in published["scopes"]}
    assert not [entry for entry in published["endpoints"] if "source" in entry]
    for entry in additions["endpoints"]:
        assert entry["source"]
        assert (entry["method"], entry["path"]) not in known
        assert scopes.issuperset(entry["scopes"])


def test_every_operation_of_the_official_javascript_client_is_known(catalogue: Catalogue) -> None:
    """Each method and path template in the client's own code leads to an endpoint of the catalogue."""
    services = Path(".venv/javascript/node_modules/@gohighlevel/api-client/dist/lib/code")
    sources = [source.read_text() for source in (REPOSITORY / services).rglob("*.js")]
    methods = [found for text in sources for found in re.findall(r"^ +method: '([A-Z]+)'", text, re.MULTILINE)]
    operation = r"method: '([A-Z]+)',\s+url: (?:\(0, request_utils_1\.buildUrl\)\()?'([^']+)'"
    operations = [found for text in sources for found in re.findall(operation, text)]
    assert len(operations) == len(methods) > 500
    unknown = [(method, path) for method, path in operations if not catalogue.match(method, path)]
    assert unknown == []


def test_no_endpoint_without_a_scope_is_open(catalogue: Catalogue) -> None:
    """Whatever a token opens, a scope stands for it."""
    assert not [endpoint for endpoint in catalogue.endpoints if endpoint.scope is None and endpoint.account_kinds]


def test_v3_only(catalogue: Catalogue) -> None:
    """An endpoint that only the v3 spec has and that lists no older version is for v3 alone."""
    path = "/contacts/c/campaigns/"
    assert [catalogue.match("DELETE", path + end).endpoint.v3_only for end in ("remove-all", "removeAll")] == [
        True,
        False,
    ]
    assert sum(endpoint.v3_only for endpoint in catalogue.endpoints) == 86


@pytest.mark.parametrize(
    ("scope", "kind", "sentence"),
    [
        ("contacts.readonly", "sub_account", None),
        ("locations.readonly", "agency", None),
        ("locations.readonly", "sub_account", None),
        ("files.readonly", "agency", None),
        ("contacts.readonly", "agency", "scope contacts.readonly is for sub-accounts only, not for agencies"),
        ("locations.write", "sub_account", "scope locations.write is for agencies only, not for sub-accounts"),
        (
            "charges.write",
            "sub_account",
            "scope charges.write is for OAuth apps only; no private integration can hold it",
        ),
        ("contact.readonly", "sub_account", "there is no scope 'contact.readonly'; did you mean contacts.readonly?"),
        ("Contacts.readonly\n", "agency", r"there is no scope 'Contacts.readonly\n'; did you mean contacts.readonly?"),
        ("*", "sub_account", "there is no scope '*'"),
        ("contacts", "sub_account", "there is no scope 'contacts'"),
    ],
)
def test_scopes_an_integration_can_hold(catalogue: Catalogue, scope: str, kind: str, sentence: str | None) -> None:
    """Scopes match exactly, fit the account's kind, and a wrong one is answered with its neighbours."""
    assert catalogue.refuse_scope(scope, AccountClass(kind)) == sentence


def _steps(catalogue: Catalogue, method: str, path: str) -> int:
    """How many functions are called, Python's own included, to match a request."""
    calls = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        catalogue.match(method, path)
    finally:
        sys.setprofile(None)
    return calls


def test_every_route_costs_the_same(catalogue: Catalogue) -> None:
    """A match takes a few steps, and a few more for each segment of its path: the other 667 endpoints cost nothing."""
    for endpoint in catalogue.endpoints:
        path = re.sub(r"\{[^}]*\}", "x1", endpoint.path)
        most = 14 + 6 * len(path.strip("/").split("/"))
        assert _steps(catalogue, endpoint.method, path) <= most, path
        # Nor does a route that isn't there, however near it comes to others.
        for method, end in (("HEAD", ""), (endpoint.method, "/unknown"), (endpoint.method, "x")):
            assert _steps(catalogue, method, path + end) <= 2 * most, path


MEASURED_UNDER_V3 = re.compile(r"GET /contacts/|GET /users/|[A-Z]+ /emails/builder.*")


def test_v3_dropped_what_no_path_of_v3_stands_for(catalogue: Catalogue) -> None:
    """An endpoint of v2 alone is removed in v3, unless v3 has another template for its path or was seen to answer."""
    text = resources.files("private_integrations_service").joinpath("catalogue/data/scopes.json").read_text("utf-8")
    generations = {(entry["method"], entry["path"]): entry["gen"] for entry in json.loads(text)["endpoints"]}
    of_v3 = [
        (method, re.compile(re.sub(r"{[^}]*}", "[^/]+", path)))
        for (method, path), generation in generations.items()
        if "v3" in generation
    ]
    for endpoint in catalogue.endpoints:
        name = f"{endpoint.method} {endpoint.path}"
        answered = any(method == endpoint.method and path.fullmatch(endpoint.path) for method, path in of_v3)
        # v3 reads `removeAll` as the id of a campaign; the operation that leaves all of them has a new name there.
        answered = answered and not name.endswith("/campaigns/removeAll")
        removed = generations.get((endpoint.method, endpoint.path), []) == ["v2"] and not answered
        assert endpoint.removed_in_v3 == (removed and MEASURED_UNDER_V3.fullmatch(name) is None), name
