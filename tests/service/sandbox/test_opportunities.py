"""Opportunities in the sandbox are read as they were created, in the names of the requested generation."""

import pytest

V2, V3 = "2021-07-28", "v3"
SUCCEEDED = {"succeded": True, "succeeded": True}


@pytest.fixture(autouse=True)
def _worker(api, desk):
    """Every request here is sent with a token that may work with opportunities and contacts."""
    api.token = desk.token_with(
        "contacts.readonly", "contacts.write", "opportunities.readonly", "opportunities.write", "users.readonly"
    )


@pytest.fixture
def pipeline(api, accounts):
    """The location's pipeline."""
    [found] = api.ask("GET", f"/opportunities/pipelines?locationId={accounts.location}").body["pipelines"]
    return found


@pytest.fixture
def contact(create):
    """A contact of the location."""
    return create(name="Ada Lovelace", email="ada@example.com", companyName="Engines", country="GB", tags=["vip"])


@pytest.fixture
def opportunity(api, accounts, pipeline, contact):
    """Make an opportunity with these fields; answers it."""

    def made(**fields):
        body = {"locationId": accounts.location, "pipelineId": pipeline["id"], "contactId": contact["id"]}
        answer = api.ask("POST", "/opportunities/", {**body, "name": "Roof", "status": "open", **fields})
        assert answer.status == 201, answer
        return answer.body["opportunity"]

    return made


@pytest.fixture
def found(api, accounts):
    """Search as v2 does; answers the opportunities' names."""

    def search(query="", **more):
        parameters = "".join(f"&{name}={value}" for name, value in more.items())
        answer = api.ask("GET", f"/opportunities/search?location_id={accounts.location}{query}{parameters}")
        assert answer.status == 200, answer
        return [each["name"] for each in answer.body["opportunities"]]

    return search


@pytest.mark.parametrize("version", [V2, V3])
def test_every_location_has_one_pipeline_with_stages(api, accounts, version):
    """A location begins with a pipeline of its own, whose stages have an id, a name and a place."""
    answer = api.ask("GET", f"/opportunities/pipelines?locationId={accounts.location}", version=version)
    assert answer.status == 200
    [pipeline] = answer.body["pipelines"]
    assert (pipeline["name"], pipeline["locationId"]) == ("Sales Pipeline", accounts.location)
    assert [(stage["name"], stage["position"]) for stage in pipeline["stages"]] == [
        ("New Lead", 0),
        ("Contacted", 1),
        ("Proposal Sent", 2),
        ("Closed", 3),
    ]
    assert len({stage["id"] for stage in pipeline["stages"]}) == 4
    assert ("useOpportunityProbability" in pipeline) == (version == V3)


def test_an_opportunity_is_made_read_changed_and_deleted(api, clock, accounts, pipeline, contact, opportunity):
    """Create answers 201 with the opportunity, which is read, updated and deleted by its id."""
    made = opportunity(monetaryValue=1200.5, assignedTo="u1")
    assert (made["name"], made["monetaryValue"], made["assignedTo"]) == ("Roof", 1200.5, "u1")
    assert (made["pipelineId"], made["pipelineStageId"]) == (pipeline["id"], pipeline["stages"][0]["id"])
    assert (made["locationId"], made["contactId"]) == (accounts.location, contact["id"])
    assert made["contact"] == {
        "id": contact["id"],
        "name": "Ada Lovelace",
        "companyName": "Engines",
        "email": "ada@example.com",
        "tags": ["vip"],
    }
    path = f"/opportunities/{made['id']}"
    assert api.ask("GET", path).body["opportunity"] == made
    clock.move(minutes=5)
    stage = pipeline["stages"][2]["id"]
    changed = api.ask("PUT", path, {"name": "New roof", "pipelineStageId": stage}).body["opportunity"]
    assert (changed["name"], changed["pipelineStageId"], changed["monetaryValue"]) == ("New roof", stage, 1200.5)
    assert (changed["lastStageChangeAt"], changed["updatedAt"]) == (("2026-11-20T12:05:00.000Z",) * 2)
    assert (changed["lastStatusChangeAt"], changed["createdAt"]) == (("2026-11-20T12:00:00.000Z",) * 2)
    assert api.ask("GET", path).body["opportunity"] == changed
    answer = api.ask("DELETE", path)
    assert (answer.status, answer.body) == (200, SUCCEEDED)
    gone = api.ask("GET", path)
    assert (gone.status, gone.body["message"]) == (400, f"Opportunity with id {made['id']} not found")
    assert gone.body["reason"] == "opportunity-not-found"


def test_a_status_is_changed_by_itself(api, clock, opportunity):
    """A status has an operation of its own, and the instant of its last change; the same status changes nothing."""
    path = f"/opportunities/{opportunity()['id']}"
    clock.move(minutes=1)
    answer = api.ask("PUT", f"{path}/status", {"status": "lost", "lostReasonId": "r1"})
    assert (answer.status, answer.body) == (200, SUCCEEDED)
    lost = api.ask("GET", path).body["opportunity"]
    assert (lost["status"], lost["lostReasonId"]) == ("lost", "r1")
    assert lost["lastStatusChangeAt"] == "2026-11-20T12:01:00.000Z"
    clock.move(minutes=1)
    assert (
        api.ask("PUT", path, {"status": "lost"}).body["opportunity"]["lastStatusChangeAt"]
        == (lost["lastStatusChangeAt"])
    )


def test_null_takes_a_field_away_and_leaves_what_an_opportunity_needs(api, opportunity):
    """Null is like a field left out on create; on update it takes away all but name, status, pipeline and stage."""
    made = opportunity(monetaryValue=5, assignedTo=None)
    nothing = dict.fromkeys(["name", "status", "pipelineId", "pipelineStageId", "monetaryValue"])
    changed = api.ask("PUT", f"/opportunities/{made['id']}", nothing).body["opportunity"]
    assert changed == {**made, "monetaryValue": 0}


@pytest.mark.parametrize("field", ["field_value", "fieldValue"])
def test_custom_fields_are_read_as_field_values(opportunity, field):
    """Custom fields are written in either generation's name and shown as the specification shows them."""
    made = opportunity(customFields=[{"id": "f1", field: "red"}, {"key": "k", field: ["a", "b"]}])
    assert made["customFields"] == [{"id": "f1", "fieldValue": "red"}, {"id": "k", "fieldValue": ["a", "b"]}]


def test_forecasts_are_fields_of_v3(api, accounts, pipeline, contact):
    """A forecast is taken and shown under v3, and unknown to v2."""
    body = {"locationId": accounts.location, "pipelineId": pipeline["id"], "contactId": contact["id"]}
    body |= {"name": "Roof", "status": "open", "forecastProbability": 40, "forecastExpectedCloseDate": "2026-12-31"}
    refused = api.ask("POST", "/opportunities/", body, version=V2)
    assert (refused.status, refused.body["message"]) == (
        422,
        ["property forecastProbability should not exist", "property forecastExpectedCloseDate should not exist"],
    )
    made = api.ask("POST", "/opportunities/", body, version=V3).body["opportunity"]
    assert (made["forecastProbability"], made["forecastExpectedCloseDate"]) == (40, "2026-12-31")
    shown = api.ask("GET", f"/opportunities/{made['id']}", version=V2).body["opportunity"]
    assert not [name for name in shown if name.startswith("forecast")]


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ({"status": "closed"}, ["status must be one of the following values: open, won, lost, abandoned, all"]),
        ({"status": None}, ["status must be one of the following values: open, won, lost, abandoned, all"]),
        ({"name": ""}, ["name should not be empty"]),
        ({"contactId": 1}, ["contactId must be a string"]),
        ({"monetaryValue": "5"}, ["monetaryValue must be a number conforming to the specified constraints"]),
        ({"source": "web"}, ["property source should not exist"]),
        ({"id": "x"}, ["property id should not exist"]),
        ({"customFields": ["x"]}, ["each value in nested property customFields must be either object or array"]),
    ],
)
def test_invalid_opportunities(api, accounts, pipeline, contact, change, texts):
    """A fault is a 422 in the platform's words, and fields that create doesn't take are faults."""
    body = {"locationId": accounts.location, "pipelineId": pipeline["id"], "contactId": contact["id"]}
    answer = api.ask("POST", "/opportunities/", {**body, "name": "Roof", "status": "open", **change})
    assert (answer.status, answer.body["message"]) == (422, texts)


@pytest.mark.parametrize("name", ["contactId", "source", "lostReasonId"])
def test_an_update_takes_no_field_of_other_operations(api, opportunity, name):
    """An opportunity stays with its contact and location: update doesn't take what create or status take."""
    answer = api.ask("PUT", f"/opportunities/{opportunity()['id']}", {name: "x"})
    assert (answer.status, answer.body["message"]) == (422, [f"property {name} should not exist"])


def test_contacts_and_pipelines_of_another_location_are_not_there(api, desk, accounts, pipeline, contact):
    """An opportunity is of a contact and a pipeline of its own location; another's are like missing ones."""
    body = {"locationId": accounts.sister, "name": "Roof", "status": "open"}
    both = "contacts.write", "opportunities.readonly", "opportunities.write"
    api.token = desk.token_with(*both, account=accounts.sister)
    own = api.ask("GET", f"/opportunities/pipelines?locationId={accounts.sister}").body["pipelines"][0]
    mine = api.ask("POST", "/contacts/", {"locationId": accounts.sister, "name": "Bob"}).body["contact"]
    for change, noun in (
        ({"pipelineId": own["id"], "contactId": contact["id"]}, "Contact"),
        ({"pipelineId": pipeline["id"], "contactId": mine["id"]}, "Pipeline"),
        (
            {"pipelineId": own["id"], "contactId": mine["id"], "pipelineStageId": pipeline["stages"][0]["id"]},
            "Pipeline stage",
        ),
    ):
        answer = api.ask("POST", "/opportunities/", {**body, **change})
        assert (answer.status, answer.body["message"].partition(" with id ")[0]) == (400, noun)
    made = api.ask("POST", "/opportunities/", {**body, "pipelineId": own["id"], "contactId": mine["id"]})
    assert made.status == 201
    for change in ({"pipelineId": pipeline["id"]}, {"pipelineStageId": pipeline["stages"][1]["id"]}):
        answer = api.ask("PUT", f"/opportunities/{made.body['opportunity']['id']}", change)
        assert answer.status == 400
        assert answer.body["reason"] in ("pipeline-not-found", "pipeline-stage-not-found")


def test_opportunities_go_with_their_contact(api, contact, opportunity, found):
    """A contact that is deleted takes its opportunities along."""
    made = opportunity()
    assert found() == ["Roof"]
    assert api.ask("DELETE", f"/contacts/{contact['id']}").status == 200
    assert found() == []
    assert api.ask("GET", f"/opportunities/{made['id']}").status == 400


def test_a_search_names_its_location_in_the_generations_own_word(api, accounts):
    """The search takes `location_id` in v2 and `locationId` in v3; the other word is a fault, as was measured."""
    for version, right, wrong in ((V2, "location_id", "locationId"), (V3, "locationId", "location_id")):
        assert api.ask("GET", f"/opportunities/search?{right}={accounts.location}", version=version).status == 200
        answer = api.ask("GET", f"/opportunities/search?{wrong}={accounts.location}", version=version)
        assert answer.status == 422
        assert f"property {wrong} should not exist" in answer.body["message"]
        assert f"{right} should not be empty" in answer.body["message"]


@pytest.mark.parametrize("version", [V2, V3])
@pytest.mark.parametrize("query", ["{}={own}&{}={foreign}", "{}={foreign}", "{}={foreign}&{}={own}"])
def test_a_search_refuses_another_location(api, accounts, version, query):
    """A foreign location is refused wherever the parameter stands among its repetitions."""
    name = "location_id" if version == V2 else "locationId"
    query = query.format(name, name, own=accounts.location, foreign=accounts.sister)
    answer = api.ask("GET", f"/opportunities/search?{query}", version=version)
    assert (answer.status, answer.body["reason"]) == (403, "location-not-allowed")


def test_a_search_is_filtered(api, clock, create, pipeline, contact, opportunity, found):
    """Each filter leaves out what doesn't have its value; `all` means any status."""
    other = create(name="Bob", phone="+12025550143", country="US")
    opportunity(name="Roof", assignedTo="u1")
    clock.move(days=1)
    second = opportunity(
        name="Garden", contactId=other["id"], status="won", pipelineStageId=pipeline["stages"][1]["id"]
    )
    assert found() == ["Garden", "Roof"]
    for query, names in (
        ({"q": "roo"}, ["Roof"]),
        ({"q": "ADA"}, ["Roof"]),
        ({"q": "2025550143"}, ["Garden"]),
        ({"q": "engines"}, ["Roof"]),
        ({"q": "%25"}, []),
        ({"pipeline_id": pipeline["id"]}, ["Garden", "Roof"]),
        ({"pipeline_id": "other"}, []),
        ({"pipeline_stage_id": pipeline["stages"][1]["id"]}, ["Garden"]),
        ({"contact_id": contact["id"]}, ["Roof"]),
        ({"status": "won"}, ["Garden"]),
        ({"status": "all"}, ["Garden", "Roof"]),
        ({"assigned_to": "u1"}, ["Roof"]),
        ({"id": second["id"]}, ["Garden"]),
        ({"country": "US"}, ["Garden"]),
        ({"campaignId": "c1"}, []),
        ({"date": "11-21-2026"}, ["Garden"]),
        ({"endDate": "11-20-2026"}, ["Roof"]),
        ({"date": "2026-11-20", "endDate": "2026-11-21"}, ["Garden", "Roof"]),
        ({"date": "2026-11-21T12:00:00.000Z"}, ["Garden"]),
        ({"endDate": "1795176000000"}, ["Roof"]),
        ({"order": "added_asc"}, ["Roof", "Garden"]),
        ({"order": "name_desc"}, ["Roof", "Garden"]),
        ({"order": "name_asc"}, ["Garden", "Roof"]),
    ):
        assert found(**query) == names, query


@pytest.mark.parametrize("order", ["added_desc", "added_asc", "name_desc", "name_asc"])
@pytest.mark.parametrize("way", ["url", "cursor", "page"])
def test_pages_lead_through_the_whole_list_once(api, clock, accounts, opportunity, order, way):
    """The next page is found by its URL, by the cursor of the last one, or by its number, in every order."""
    for number in (3, 1, 2, 2, 5):
        clock.move(seconds=number % 2)
        opportunity(name=f"n{number}")
    base = f"/opportunities/search?location_id={accounts.location}&order={order}"
    whole = api.ask("GET", base).body["opportunities"]
    assert len(whole) == 5
    target, seen = f"{base}&limit=2", []
    for number in (1, 2, 3):
        answer = api.ask("GET", target).body
        place = answer["meta"]
        assert (place["total"], place["currentPage"]) == (5, number)
        assert (place["nextPage"], place["prevPage"]) == (number + 1 if number < 3 else None, number - 1 or None)
        assert (place["nextPageUrl"] is None) == (number == 3)
        seen += answer["opportunities"]
        target = {
            "url": (place["nextPageUrl"] or "").removeprefix("http://crm.test"),
            "cursor": f"{base}&limit=2&startAfter={place['startAfter']}&startAfterId={place['startAfterId']}",
            "page": f"{base}&limit=2&page={number + 1}",
        }[way]
    assert seen == whole
    if way != "url":
        assert api.ask("GET", target).body["opportunities"] == []


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("limit=101", "limit must not be greater than 100"),
        ("limit=0", "limit must not be less than 1"),
        ("limit=x", "limit must be a number conforming to the specified constraints"),
        ("page=0", "page must not be less than 1"),
        ("q=" + "x" * 76, "q must be shorter than or equal to 75 characters"),
        ("status=closed", "status must be one of the following values: open, won, lost, abandoned, all"),
        ("order=up", "order must be one of the following values: added_desc, added_asc, name_desc, name_asc"),
        ("date=13-45-2026", "date must be a date, such as 12-31-2026"),
        ("endDate=soon", "endDate must be a date, such as 12-31-2026"),
        ("getTasks=1", "getTasks must be a boolean value"),
        ("startAfter=x", "startAfter must be a number conforming to the specified constraints"),
        ("query=x", "property query should not exist"),
    ],
)
def test_invalid_searches(api, accounts, query, text):
    """A fault of a query is a 422 that names the parameter."""
    answer = api.ask("GET", f"/opportunities/search?location_id={accounts.location}&{query}")
    assert (answer.status, answer.body["message"]) == (422, [text])


def test_a_search_shows_the_contacts_notes_and_tasks_if_asked(api, accounts, contact, opportunity):
    """Notes and tasks of the contact are in the answer only where the query asks for them."""
    opportunity()
    task = {"title": "Call", "dueDate": "2026-12-01T00:00:00.000Z", "completed": False}
    assert api.ask("POST", f"/contacts/{contact['id']}/tasks", task).status == 201
    assert api.ask("POST", f"/contacts/{contact['id']}/notes", {"body": "called"}).status == 201
    base = f"/opportunities/search?location_id={accounts.location}"
    for query, expected in (
        ("", ([], [])),
        ("&getNotes=true", (["called"], [])),
        ("&getNotes=true&getTasks=true&getCalendarEvents=true", (["called"], ["Call"])),
        ("&getNotes=false", ([], [])),
    ):
        [shown] = api.ask("GET", base + query).body["opportunities"]
        assert ([note["body"] for note in shown["notes"]], [each["title"] for each in shown["tasks"]]) == expected
        assert shown["calendarEvents"] == []


def test_scopes_of_opportunities(api, desk, accounts, opportunity):
    """Reading needs `opportunities.readonly`, writing `opportunities.write`; neither opens the other."""
    path = f"/opportunities/{opportunity()['id']}"
    reads = [("GET", path), ("GET", f"/opportunities/search?location_id={accounts.location}")]
    reads.append(("GET", f"/opportunities/pipelines?locationId={accounts.location}"))
    writes = [("POST", "/opportunities/"), ("PUT", path), ("PUT", f"{path}/status"), ("DELETE", path)]
    for needed, requests, other in (
        ("opportunities.readonly", reads, "opportunities.write"),
        ("opportunities.write", writes, "opportunities.readonly"),
    ):
        token = desk.token_with(other, "contacts.readonly", "contacts.write")
        for method, target in requests:
            answer = api.ask(method, target, {}, token=token)
            assert (answer.status, answer.body.get("requiredScope")) == (401, needed)
