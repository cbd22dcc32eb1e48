"""What holds for every operation below /contacts and /businesses."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from private_integrations_service.catalogue.endpoints import Catalogue

SCOPES = ("businesses.readonly", "businesses.write", "contacts.readonly", "contacts.write")
SUCCEEDED = {"succeded": True, "succeeded": True}
ROUTES = [
    endpoint for endpoint in Catalogue.load().endpoints if endpoint.path.startswith(("/contacts/", "/businesses/"))
]
OF_CONTACT = [endpoint for endpoint in ROUTES if "{contactId}" in endpoint.path]
# What a request needs for its contact to be looked for.
BODIES = {
    "/contacts/{contactId}/notes": {"body": "x"},
    "/contacts/{contactId}/tasks": {"title": "x", "dueDate": "2026-12-01", "completed": False},
    "/contacts/{contactId}/tasks/{taskId}/completed": {"completed": True},
    "/contacts/{contactId}/tags": {"tags": ["x"]},
    "/contacts/{contactId}/followers": {"followers": ["x"]},
}


@pytest.fixture(autouse=True)
def _writer(api, desk):
    """Every request here is sent with a token that may do everything below these paths."""
    api.token = desk.token_with(*SCOPES)


def version_of(endpoint):
    """A `Version` under which the endpoint exists."""
    return "v3" if endpoint.v3_only else "2021-07-28"


def test_the_catalogue_has_them_all():
    """There are 38 such operations, 25 of them of one contact."""
    assert (len(ROUTES), len(OF_CONTACT)) == (38, 25)


def test_unfilled_templates(api):
    """A template that nobody filled is a JSON error of the client's, on every route."""
    for endpoint in ROUTES:
        path = endpoint.path.replace("{", "%7B").replace("}", "%7D")
        for body in (None, {}, b"null", b"{"):
            answer = api.ask(endpoint.method, path, body, version=version_of(endpoint))
            assert answer.status in (400, 422), (endpoint, answer)
            assert {"message", "reason"} <= answer.body.keys()


def test_another_accounts_contact_is_like_a_missing_one(api, create, desk, accounts):
    """For every operation of a contact, another account's is answered like one that never was, and stays as it is."""
    contact = create(tags=["a"])
    own_token = api.token
    api.token = desk.token_with(*SCOPES, account=accounts.sister)

    def asked(endpoint, contact_id):
        path = endpoint.path.replace("{contactId}", contact_id).replace("{", "").replace("}", "")
        answer = api.ask(endpoint.method, path, BODIES.get(endpoint.path, {}), version=version_of(endpoint))
        return answer.status, {**answer.body, "message": answer.body["message"].replace(contact_id, "…")}

    expected = {"statusCode": 400, "message": "Contact with id … not found", "reason": "contact-not-found"}
    for endpoint in OF_CONTACT:
        assert asked(endpoint, contact["id"]) == asked(endpoint, "nobody") == (400, expected), endpoint
    answer = api.ask("GET", f"/contacts/{contact['id']}", token=own_token)
    assert answer.body == {"contact": contact}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "campaigns/c1", None, 201),
        ("POST", "campaigns/c1", {}, 201),
        ("DELETE", "campaigns/c1", None, 200),
        ("DELETE", "campaigns/removeAll", None, 200),
        ("POST", "workflow/w1", {"eventStartTime": "2021-06-23T03:30:00+01:00"}, 200),
        ("POST", "workflow/w1", {}, 200),
        ("DELETE", "workflow/w1", {"eventStartTime": "2021-06-23T03:30:00+01:00"}, 200),
        ("DELETE", "workflow/w1", None, 200),
    ],
)
def test_campaigns_and_workflows(api, create, method, path, body, status):
    """Whatever campaign or workflow is named, joining and leaving it succeeds."""
    answer = api.ask(method, f"/contacts/{create()['id']}/{path}", body)
    assert (answer.status, answer.body) == (status, SUCCEEDED)


def test_leaving_all_campaigns_under_v3(api, create):
    """v3 has another name for it, which the older versions don't know."""
    target = f"/contacts/{create()['id']}/campaigns/remove-all"
    answer = api.ask("DELETE", target, version="v3")
    assert (answer.status, answer.body) == (200, SUCCEEDED)
    assert api.ask("DELETE", target).status == 404


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("campaigns/c1", {"x": 1}, "property x should not exist"),
        ("workflow/w1", {"eventStartTime": "soon"}, "eventStartTime must be a valid ISO 8601 date string"),
        ("workflow/w1", {"start": 1}, "property start should not exist"),
    ],
)
def test_invalid_campaigns_and_workflows(api, create, path, body, text):
    """Their bodies are judged like any."""
    answer = api.ask("POST", f"/contacts/{create()['id']}/{path}", body)
    assert (answer.status, answer.body["message"]) == (422, [text])


def test_appointments(api, create):
    """The sandbox has no calendar, so no contact has an appointment."""
    answer = api.ask("GET", f"/contacts/{create()['id']}/appointments")
    assert (answer.status, answer.body) == (200, {"events": []})


_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = st.sampled_from(
    [
        "body",
        "pinned",
        "title",
        "dueDate",
        "completed",
        "tags",
        "followers",
        "contacts",
        "ids",
        "businessId",
        "name",
        "removeAllTags",
        "eventStartTime",
        "email",
        "phone",
        "createNewIfDuplicateAllowed",
        "city",
        "userId",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    endpoint=st.sampled_from(ROUTES),
    fields=st.dictionaries(_FIELDS, _ANY_JSON, max_size=4),
    located=st.booleans(),
    type_=st.sampled_from(["add", "remove"]),
)
def test_any_fields_are_answered(api, create, accounts, endpoint, fields, located, type_):
    """Whatever JSON is sent to whatever operation, the answer is a JSON object and no error of ours."""
    path = endpoint.path.replace("{contactId}", create()["id"]).replace("{type}", type_)
    target = path.replace("{", "").replace("}", "") + (f"?locationId={accounts.location}" if located else "")
    body = {**fields, "locationId": accounts.location} if located else fields
    answer = api.ask(endpoint.method, target, body, version=version_of(endpoint))
    assert answer.status in (200, 201, 400, 422), answer
