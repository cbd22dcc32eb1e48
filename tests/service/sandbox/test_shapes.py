"""The reader of the vendor's names and types: which fields an operation takes and requires in each generation."""

import json

import pytest

from private_integrations_service.sandbox.bodies import refuse_fields
from private_integrations_service.sandbox.shapes import operation_shapes


def faults(method: str, path: str, generation: str, fields: dict) -> list[str]:
    """Return the messages of the shape's checks on these fields."""
    shape = operation_shapes(method, path, generation).body
    refusal = refuse_fields(fields, shape.checks, shape.required)
    return [] if refusal is None else list(refusal.message)


def test_create_and_update_differ() -> None:
    """A contact's create takes fields that its update does not, and requires a location."""
    create = operation_shapes("POST", "/contacts/", "v2").body
    update = operation_shapes("PUT", "/contacts/{contactId}", "v2").body
    assert create.required == {"locationId"}
    assert create.checks.keys() - update.checks.keys() == {"locationId", "gender", "companyName"}
    assert update.required == set()


@pytest.mark.parametrize(
    ("generation", "settings", "expected"),
    [
        ("v2", {"Call": {"status": "active"}}, []),
        ("v2", {"call": {"status": "active"}}, ["dndSettings.property call should not exist"]),
        ("v3", {"call": {"status": "active"}}, []),
        ("v3", {"Call": {"status": "active"}}, ["dndSettings.property Call should not exist"]),
        (
            "v2",
            {"Call": {}},
            ["dndSettings.Call.status must be one of the following values: active, inactive, permanent"],
        ),
        ("v2", {"Call": {"status": "active", "x": 1}}, ["dndSettings.Call.property x should not exist"]),
        ("v2", {"Call": []}, ["dndSettings.Call must be an object"]),
        ("v2", [], ["dndSettings must be an object"]),
    ],
)
def test_objects_take_their_own_fields(generation: str, settings: object, expected: list[str]) -> None:
    """A field of an object is checked like a field of the body, under the names of the generation."""
    assert faults("PUT", "/contacts/{contactId}", generation, {"dndSettings": settings}) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([{"label": "a", "prefillValue": "b"}, {}], []),
        ([{"label": 1}], ["textBoxListOptions.0.label must be a string"]),
        ([{"label": "a"}, {"x": "b"}], ["textBoxListOptions.1.property x should not exist"]),
        (["a"], ["each value in nested property textBoxListOptions must be either object or array"]),
        ({}, ["textBoxListOptions must be an array"]),
    ],
)
def test_arrays_of_objects(options: object, expected: list[str]) -> None:
    """Each element of an array is checked, and a fault names its place."""
    path = "/locations/{locationId}/customFields/{id}"
    assert faults("PUT", path, "v2", {"name": "x", "textBoxListOptions": options}) == expected


def test_queries() -> None:
    """The parameters of a query are read like the fields of a body."""
    query = operation_shapes("GET", "/contacts/business/{businessId}", "v2").query
    assert (set(query.checks), query.required) == ({"limit", "locationId", "skip", "query"}, {"locationId"})


def test_a_generation_that_lacks_an_operation_has_the_others_shapes() -> None:
    """`GET /contacts/` is gone from the v3 specification and still answered under v3."""
    assert operation_shapes("GET", "/contacts/", "v3") == operation_shapes("GET", "/contacts/", "v2")


def test_an_untyped_body_names_no_field() -> None:
    """The specification says only "object" of a search."""
    assert operation_shapes("POST", "/contacts/search", "v2").body.checks == {}


def test_halves_of_surrogate_pairs_are_no_text() -> None:
    """Text that can't be stored is refused in every place for a text, in objects and arrays too."""
    half = json.loads(r'"\ud800"')
    assert faults("POST", "/contacts/{contactId}/tags", "v2", {"tags": [half]}) == [
        "each value in tags must be a string"
    ]
    assert faults(
        "PUT", "/contacts/{contactId}", "v2", {"dndSettings": {"SMS": {"status": "active", "code": half}}}
    ) == ["dndSettings.SMS.code must be a string"]
