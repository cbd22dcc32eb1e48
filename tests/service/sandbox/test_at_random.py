"""The data API has no document of its own, so its requests are made from the catalogue: each is answered."""

import json
import re
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from private_integrations.contract import AccountClass
from private_integrations_service.catalogue.endpoints import Catalogue
from private_integrations_service.sandbox import _HANDLERS

CATALOGUE = Catalogue.load()
ENDPOINTS = [endpoint for endpoint in CATALOGUE.endpoints if (endpoint.method, endpoint.path) in _HANDLERS]
# Names that some operation knows, so that its checks are reached; the others make up faults of their own.
NAMES = [
    *(
        "locationId",
        "email",
        "phone",
        "name",
        "firstName",
        "tags",
        "customFields",
        "dnd",
        "dateOfBirth",
        "body",
        "title",
    ),
    *(
        "dueDate",
        "completed",
        "contacts",
        "ids",
        "businessId",
        "followers",
        "filters",
        "pageLimit",
        "page",
        "searchAfter",
    ),
    *("sort", "query", "limit", "skip", "startAfter", "startAfterId", "number", "dataType", "value", "model", "order"),
    *(
        "pipelineId",
        "pipelineStageId",
        "contactId",
        "status",
        "monetaryValue",
        "date",
        "endDate",
        "q",
        "getNotes",
        "ids",
    ),
    *("location_id", "startAfter", "showDrafted", "sortDirection", "type", "role", "lostReasonId", "campaignId"),
    *("id", "key", "field_value", "fieldValue", "assignedTo", "companyId", "deleteTwilioAccount", "picklistOptions"),
]
texts = st.text(max_size=12) | st.sampled_from(
    ["", "0", "-1", "1e999", "x" * 2000, "a@b.c", "+12025550143", "\ud800", "2026-13-45"]
)
names = st.sampled_from(NAMES) | st.text(max_size=6)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
bodies = st.dictionaries(names, values, max_size=6)
contents = (
    bodies.map(lambda body: json.dumps(body).encode())
    | values.map(lambda value: json.dumps(value).encode())
    | st.binary()
)
VERSIONS = st.sampled_from(["v3", "2021-07-28"])
queries = st.lists(st.tuples(names, texts.filter(lambda text: "\ud800" not in text)), max_size=4)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=[f"{endpoint.method} {endpoint.path}" for endpoint in ENDPOINTS])
def test_whatever_is_sent_is_answered(api, desk, accounts, endpoint):
    """Any path values, query and body: a JSON object with a status of ours, never a failure of the service."""
    api.token = desk.token_with(endpoint.scope)

    @given(content=contents, query=queries, data=st.data(), located=st.booleans())
    @settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def ask(content, query, data, located):
        parameter = st.text(min_size=1, max_size=8).filter(lambda text: not re.search(r"[\ud800-\udfff]", text))
        path = endpoint.path.replace("{locationId}", accounts.location)
        path = re.sub(r"\{\w+\}", lambda _: quote(data.draw(parameter), safe=""), path)
        sent = [*query, ("locationId", accounts.location)] if located else query
        sent = [*sent, ("companyId", accounts.agency)] if endpoint.path == "/users/search" else sent
        target = path + "?" + "&".join(f"{quote(name)}={quote(value)}" for name, value in sent)
        version = "2021-07-28" if endpoint.removed_in_v3 else data.draw(VERSIONS)
        answer = api.ask(endpoint.method, target, content, version="v3" if endpoint.v3_only else version)
        assert answer.status < 500, answer
        assert answer.status < 300 or {"message", "reason"} <= answer.body.keys()

    ask()


def test_what_the_sandbox_lacks_says_so(api, desk, accounts):
    """Every other endpoint of the catalogue is, once authorized, a 501 in the API's own shape."""
    everything = [
        scope for scope in CATALOGUE.scopes if CATALOGUE.refuse_scope(scope, AccountClass.SUB_ACCOUNT) is None
    ]
    api.token = desk.token_with(*everything)
    lacking = [each for each in CATALOGUE.endpoints if "sub_account" in each.account_kinds and each.scope in everything]
    for endpoint in lacking[::5]:
        path = re.sub(r"\{\w+\}", "x", endpoint.path.replace("{locationId}", accounts.location))
        if CATALOGUE.match(endpoint.method, path).endpoint not in ENDPOINTS:
            version = "2021-07-28" if endpoint.removed_in_v3 else "v3"
            answer = api.ask(endpoint.method, path, b"\xff", version=version)
            assert (answer.status, answer.body["reason"]) == (501, "not-implemented"), endpoint
