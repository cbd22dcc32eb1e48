"""Which locations a body names, in every way of writing it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_integrations_service.authorizer.decisions import named_locations
from private_integrations_service.authorizer.replies import Refusal
from private_integrations_service.catalogue import Catalogue
from private_integrations_service.gateway import refusals
from private_integrations_service.gateway.bodies import FormWatch, locations_in
from private_integrations_service.gateway.requests import Body

TYPE = b"multipart/form-data; boundary=b"
texts = st.text(st.characters(codec="utf-8"), min_size=1)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"locationId":"a"}', {"a"}),
        (b'{"locationId":"a","locationId":"b"}', {"a", "b"}),
        (b'{"\\u006cocationId":"a"}', {"a"}),
        (b'{"locationId":["a","b"]}', {"a", "b"}),
        (b'{"locationIds":["a","b"]}', {"a", "b"}),
        (b'{"locationId[]":"a"}', {"a"}),
        (b'{"locationId":7}', {"7"}),
        (b'{"locationId":null,"altId":""}', set()),
        (b'{"contact":{"locationId":"a"}}', set()),
        (b'[{"locationId":"a"},{"altId":"b"}]', {"a", "b"}),
        (b'{"altId":"a"}', {"a"}),
        (b'{"altId":"a","altType":"location"}', {"a"}),
        (b'{"altId":"a","altType":"company"}', set()),
        (b'{"altId":"a","altType":"company","altType":"location"}', {"a"}),
        (b'"locationId"', set()),
        (b"", set()),
        (b"  ", set()),
    ],
)
def test_locations_in_json(body, named):
    """Every one at the top level, twice if it is there twice; an agency's id is none."""
    assert locations_in(body, Body.JSON) == named


def test_a_location_that_is_no_text_is_nobodys():
    """An object in its place, which a database might take for a condition, equals no account's id."""
    assert len(locations_in(b'{"locationId":{"$ne":"a"}}', Body.JSON) - {"a"}) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'locationId':'a'}",
        b'{"a":NaN}',
        b'{"a":1,}',
        b'\xef\xbb\xbf{"locationId":"a"}',
        '{"locationId":"a"}'.encode("utf-16"),
        b'{"a":"\xff"}',
        b"[" * 100_000,
        b"locationId=a",
    ],
)
def test_what_is_not_json_is_refused(body):
    """What could be read otherwise by somebody more patient is not forwarded."""
    assert locations_in(body, Body.JSON) is refusals.BODY_MALFORMED


@given(st.dictionaries(texts, st.none() | st.booleans() | texts | st.lists(texts)), texts)
def test_a_location_is_found_beside_anything(fields, location):
    """Whatever else the body has."""
    body = json.dumps(fields | {"locationId": location}).encode()
    assert location in locations_in(body, Body.JSON)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"locationId=a&locationId=b", {"a", "b"}),
        (b"locationId%5B%5D=a&locationId%5B1%5D=b", {"a", "b"}),
        (b"%6CocationId=a", {"a"}),
        (b"[locationId]=a", {"a"}),
        (b"altId=a&altType=location", {"a"}),
        (b"altType=company&altId=a", set()),
        (b"x=locationId", set()),
    ],
)
def test_locations_in_forms_and_queries(body, named, catalogue):
    """Every spelling of a list; bodies and queries are read alike."""
    assert locations_in(body, Body.FORM) == named
    # What begins like JSON and isn't is refused without a type.
    assert locations_in(body, Body.UNMARKED) == (refusals.BODY_MALFORMED if body.startswith(b"[") else named)
    match = catalogue.match("GET", "/invoices/abc")
    assert named_locations(match, body) == named


@pytest.fixture(scope="module")
def catalogue():
    """The catalogue."""
    return Catalogue.load()


def test_an_unmarked_body_is_read_as_whatever_it_can_be():
    """JSON without its type names locations too; plain text names none and passes."""
    assert locations_in(b'{"locationId":"a"}', Body.UNMARKED) == {"a"}
    assert locations_in(b"Hello, world: {}", Body.UNMARKED) == set()


@pytest.mark.parametrize(
    "value",
    [b"[" * 100_000 + b"]" * 100_000, b"[" * 700 + b"]" * 700, b"9" * 10_000, b"NaN", b"1,"],
    ids=["deep", "less deep", "long", "NaN", "comma"],
)
@pytest.mark.parametrize("kind", [Body.JSON, Body.UNMARKED])
def test_what_only_others_can_read_hides_nothing(value, kind):
    """JSON that a more patient parser than ours would read is refused, if its location was not found."""
    for body in (b'{"locationId":"a","x":' + value + b"}", b'{"locationId":"a","altId":' + value + b"}"):
        found = locations_in(body, kind)
        assert found is refusals.BODY_MALFORMED or "a" in found
    for marked in (b'\xef\xbb\xbf{"locationId":"a"}', '{"locationId":"a"}'.encode("utf-16")):
        assert locations_in(marked, kind) is refusals.BODY_MALFORMED


def part(disposition, value, *more):
    """One part of a multipart body."""
    head = b"\r\n".join([b"--b", b"Content-Disposition: form-data; " + disposition, *more])
    return head + b"\r\n\r\n" + value + b"\r\n"


def watch(body, size=None):
    """What a watch finds in a body that comes in pieces of `size` bytes."""
    form = FormWatch.of(TYPE)
    size = size or len(body)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    named = set()
    for number, piece in enumerate(pieces):
        found = form.feed(piece, last=number == len(pieces) - 1)
        if isinstance(found, Refusal):
            return found
        named |= found
    return named


@pytest.mark.parametrize(
    ("disposition", "named"),
    [
        (b'name="locationId"', {"a"}),
        (b"name=locationId", {"a"}),
        (b'NAME = "locationId"', {"a"}),
        (b'name="locationId[]"', {"a"}),
        (b'name="x"; name="locationId"', {"a"}),
        (b'name="locationId"; filename="a.txt"', {"a"}),
        (b'name="altId"', {"a"}),
        (b'name="file"; filename="locationId"', set()),
        (b'name="locationIdentifier"', set()),
        (b'name="myLocationId"', set()),
    ],
)
def test_locations_in_multipart_bodies(disposition, named):
    """However the field's name is quoted, and wherever the body is cut."""
    body = part(b'name="file"; filename="x"', b"\0" * 50) + part(disposition, b"a") + b"--b--\r\n"
    for size in (None, 1, 7, 64):
        assert watch(body, size) == named


def test_an_agencys_id_is_no_location_in_either_order():
    """The field that says what the id is may come after it."""
    fields = [part(b'name="altId"', b"a"), part(b'name="altType"', b"company")]
    for body in (b"".join(fields), b"".join(reversed(fields))):
        assert watch(body + b"--b--\r\n", 5) == set()


@pytest.mark.parametrize(
    "body",
    [
        b"not multipart",
        part(b'name="a"', b"1"),
        part(b"name*=UTF-8''locationId", b"a") + b"--b--\r\n",
        part(b'name="\\locationId"', b"a") + b"--b--\r\n",
        b"--b\r\nContent Disposition\r\n\r\n--b--\r\n",
    ],
)
def test_a_malformed_multipart_body_is_refused(body, caplog):
    """Without its end, without its form, or with a name that readers differ on; the library has no lines about it."""
    for size in (None, 1):
        assert watch(body, size) is refusals.BODY_MALFORMED
    assert caplog.records == []


def test_an_encoded_field_is_refused():
    """Its value could be any location; files may be encoded as they like."""
    encoded = b"Content-Transfer-Encoding: base64"
    assert watch(part(b'name="locationId"', b"YQ==", encoded) + b"--b--\r\n") is refusals.BODY_ENCODED
    assert watch(part(b'name="file"; filename="x"', b"YQ==", encoded) + b"--b--\r\n") == set()


@pytest.mark.parametrize(
    "media",
    [b"multipart/form-data", b"multipart/form-data; boundary=", b"multipart/form-data; boundary=a; boundary=b"],
)
def test_a_multipart_body_says_its_boundary_once(media):
    """Otherwise the upstream might see other parts than we do."""
    assert FormWatch.of(media) is refusals.BODY_MALFORMED


def test_a_long_value_is_not_kept():
    """Memory stays flat; what is kept equals no id."""
    (named,) = watch(part(b'name="locationId"', b"a" * 1_000_000) + b"--b--\r\n", 65536)
    assert len(named) <= 512


def test_many_values_are_not_kept():
    """A body of nothing but locations is refused before they fill the memory."""
    parts = b"".join(part(b'name="altId"', b"%d" % number) for number in range(1000))
    assert watch(parts + b"--b--\r\n", 1000) is refusals.BODY_MALFORMED
