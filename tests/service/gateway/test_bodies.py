"""Which accounts a body names, in every way of writing it."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_integrations_service.authorizer.named_accounts import named_in_request
from private_integrations_service.authorizer.replies import PlatformError
from private_integrations_service.catalogue.account_fields import Names
from private_integrations_service.catalogue.endpoints import Catalogue
from private_integrations_service.gateway import refusals
from private_integrations_service.gateway.bodies import FormWatch, read_accounts
from private_integrations_service.gateway.requests import Body

texts = st.text(st.characters(codec="utf-8"), min_size=1)


def accounts_in(body, kind):
    """The values of the account fields in a whole body; `?` for one that no account fits."""
    read = read_accounts(body, kind)
    return read if isinstance(read, PlatformError) else values(read.named)


def values(named):
    """Return the values of the named accounts."""
    return {"?" if each.kind is Names.OTHER else each.value for each in named}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"locationId":"a"}', {"a"}),
        (b'{"locationId":"a","locationId":"b"}', {"a", "b"}),
        (b'{"\\u006cocationId":"a"}', {"a"}),
        (b'{"locationId":["a","b"]}', {"a", "b"}),
        (b'{"locationIds":["a","b"]}', {"a", "b"}),
        (b'{"locationId[]":"a"}', {"a"}),
        (b'{"locationId":7}', {"?"}),
        (b'{"locationId":true}', {"?"}),
        (b'{"locationId":{"$ne":"a"}}', {"?"}),
        (b'{"locationId":[{"a":1}]}', {"?"}),
        (b'{"locationId[$ne]":"a"}', {"?"}),
        (b'{"locationId":null,"altId":""}', set()),
        (b'{"contact":{"locationId":"a"}}', {"a"}),
        (b'{"__proto__":{"locationId":"a"}}', {"a"}),
        (b'{"modifiedPostPayload":{"locationId":"a"},"sendEstimateDetails":{"altId":"b"}}', {"a", "b"}),
        (b'{"x":[[{"y":{"company_id":"a"}}]]}', {"a"}),
        (
            b'{"location_id":"a","LOCATIONID":"b","agencyId":"c","locations":["d"],"share_location_id":"e"}',
            set("abcde"),
        ),
        (b'{"location\\u0000Id":"a","\\u2113ocationId":"b"}', {"a", "b"}),
        (b'{"serviceLocationId":"a","companyName":"b","location":"c"}', set()),
        (b'[{"locationId":"a"},{"altId":"b"}]', {"a", "b"}),
        (b'{"altId":"a"}', {"a"}),
        (b'{"altId":"a","altType":"location"}', {"a"}),
        (b'{"altId":"a","altType":"company"}', {"a"}),
        (b'{"altId":"a","altType":"company","altType":"location"}', {"a"}),
        (b'"locationId"', set()),
        (b"", set()),
        (b"  ", set()),
    ],
)
def test_accounts_in_json(body, named):
    """Every one at any depth, in any spelling, twice if it is there twice; what is no text equals no account's id."""
    assert accounts_in(body, Body.JSON) == named


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
    assert accounts_in(body, Body.JSON) is refusals.BODY_MALFORMED


@given(st.dictionaries(texts, st.none() | st.booleans() | texts | st.lists(texts)), texts)
def test_an_account_is_found_beside_anything(fields, location):
    """Whatever else the body has."""
    body = json.dumps(fields | {"locationId": location}).encode()
    assert location in accounts_in(body, Body.JSON)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"locationId=a&locationId=b", {"a", "b"}),
        (b"locationId%5B%5D=a&locationId%5B1%5D=b", {"a", "b"}),
        (b"%6CocationId=a", {"a"}),
        (b"[locationId]=a", {"a"}),
        (b"altId=a&altType=location", {"a"}),
        (b"altType=company&altId=a", {"a"}),
        (b"x=locationId", set()),
        (b"location_id=a&location.id=b&location+id=c&+locationId=d&locationId%00x=e", set("abcde")),
        (b"filter%5BlocationId%5D=a&x.altId=b&location%2549d=c", set("abc")),
        (b"locationId%5B%24ne%5D=a", {"?"}),
        (b"locationId[$ne]=", {"?"}),
        (b"location[Id=a&locationId[=b", {"a", "b"}),
        (b"x=1;locationId=a", {"a"}),
        (b"locationId=a;b", {"a;b", "a"}),
    ],
)
def test_accounts_in_forms_and_queries(body, named, catalogue):
    """Every spelling of a list and of a path; bodies and queries are read alike."""
    assert accounts_in(body, Body.FORM) == named
    # What begins like JSON and isn't is refused without a type.
    assert accounts_in(body, Body.UNMARKED) == (refusals.BODY_MALFORMED if body.startswith(b"[") else named)
    match = catalogue.match("GET", "/invoices/abc")
    assert values(named_in_request(match, body, ())) == named


@pytest.fixture(scope="module")
def catalogue():
    """The catalogue."""
    return Catalogue.load()


def test_an_unmarked_body_is_read_as_whatever_it_can_be():
    """JSON without its type names locations too; plain text names none and passes."""
    assert accounts_in(b'{"locationId":"a"}', Body.UNMARKED) == {"a"}
    assert accounts_in(b"Hello, world: {}", Body.UNMARKED) == set()


@pytest.mark.parametrize(
    "value",
    [b"[" * 100_000 + b"]" * 100_000, b"[" * 700 + b"]" * 700, b"9" * 10_000, b"NaN", b"1,"],
    ids=["deep", "less deep", "long", "NaN", "comma"],
)
@pytest.mark.parametrize("kind", [Body.JSON, Body.UNMARKED])
def test_what_only_others_can_read_hides_nothing(value, kind):
    """JSON that a more patient parser than ours would read is refused, if its location was not found."""
    for body in (b'{"locationId":"a","x":' + value + b"}", b'{"locationId":"a","altId":' + value + b"}"):
        found = accounts_in(body, kind)
        assert found is refusals.BODY_MALFORMED or "a" in found
    for marked in (b'\xef\xbb\xbf{"locationId":"a"}', '{"locationId":"a"}'.encode("utf-16")):
        assert accounts_in(marked, kind) is refusals.BODY_MALFORMED


def test_a_name_without_end_costs_no_time():
    """A path of many steps is taken for none that an account fits, without taking it apart."""
    began = time.process_time()
    for step in (b"[locationId", b"[a]", b".a"):
        body = b'{"locationId' + step * 100_000 + b'":1}'
        assert accounts_in(body, Body.JSON) == {"?"}
    assert accounts_in(b'{"' + b"[a].b" * 100_000 + b'":1}', Body.JSON) == set()
    assert time.process_time() - began < 2


@pytest.mark.parametrize("kind", [Body.FORM, Body.UNMARKED])
def test_json_that_calls_itself_something_else_is_read_too(kind):
    """Servers that read JSON or forms under any content type see the accounts that were checked."""
    assert accounts_in(b'{"locationId":"a"}', kind) == {"a"}
    assert accounts_in(b'{"x":"&locationId=a&"}', kind) == {"a"}
    assert accounts_in(b'{"locationId":"a",}', kind) is refusals.BODY_MALFORMED


@pytest.mark.parametrize("kind", [Body.FORM, Body.UNMARKED])
def test_a_form_in_another_encoding_is_refused(kind):
    """HTML's `_charset_` field says of the others how they are encoded."""
    assert accounts_in(b"_charset_=utf-7&a=1", kind) is refusals.BODY_ENCODED
    assert accounts_in(b"a=1&_charset_=UTF-8", kind) == set()


def part(disposition, value, *more):
    """One part of a multipart body."""
    head = b"\r\n".join([b"--b", b"Content-Disposition: form-data; " + disposition, *more])
    return head + b"\r\n\r\n" + value + b"\r\n"


def watch(body, size=None):
    """What a watch finds in a body that comes in pieces of `size` bytes."""
    form = FormWatch(b"b")
    size = size or len(body)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    named = set()
    for number, piece in enumerate(pieces):
        found = form.feed(piece, last=number == len(pieces) - 1)
        if isinstance(found, PlatformError):
            return found
        named |= values(found)
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


def test_an_alt_type_counts_before_and_behind_its_alt_id():
    """The field that says what the id is may come after it: the id is told when all of the body is there."""
    fields = [part(b'name="altId"', b"a"), part(b'name="altType"', b"location")]
    for body in (b"".join(fields), b"".join(reversed(fields))):
        form = FormWatch(b"b")
        assert form.feed(body, last=False) == set()
        (named,) = form.feed(b"--b--\r\n", last=True)
        assert named.kind is Names.EITHER_AS_LOCATION


@pytest.mark.parametrize(
    "body",
    [
        b"not multipart",
        part(b'name="a"', b"1"),
        part(b"name*=UTF-8''locationId", b"a") + b"--b--\r\n",
        part(b'name="\\locationId"', b"a") + b"--b--\r\n",
        part(b'name="=?utf-8?B?bG9jYXRpb25JZA==?="', b"a") + b"--b--\r\n",
        part(b'name="x"\nContent-Disposition: form-data; name="locationId"', b"a") + b"--b--\r\n",
        part(b'name="x"', b"1", b'X: y\nContent-Disposition: form-data; name="locationId"') + b"--b--\r\n",
        part(b'name="x"', b"1", b'X: y\r\n Content-Disposition: form-data; name="locationId"') + b"--b--\r\n",
        part(b'name="x"', b'1\n--b\r\nContent-Disposition: form-data; name="locationId"\r\n\r\na') + b"--b--\r\n",
        part(b'name="x"', b"1--b") + b"--b--\r\n",
        part(b'name="x"', b"1") + b"--b--\r\n" + part(b'name="locationId"', b"a") + b"--b--\r\n",
        b"--b\r\nContent Disposition\r\n\r\n--b--\r\n",
    ],
)
def test_a_malformed_multipart_body_is_refused(body, caplog):
    """Without its end, without its form, or with a name that readers differ on; no library writes a line about it."""
    for size in (None, 1):
        assert watch(body, size) is refusals.BODY_MALFORMED
    assert not caplog.records


def test_an_encoded_field_is_refused():
    """Its value could be any location; files may be encoded as they like."""
    encoded = b"Content-Transfer-Encoding: base64"
    assert watch(part(b'name="locationId"', b"YQ==", encoded) + b"--b--\r\n") is refusals.BODY_ENCODED
    assert watch(part(b'name="file"; filename="x"', b"YQ==", encoded) + b"--b--\r\n") == set()
    charset = b"Content-Type: text/plain; charset=utf-16"
    assert watch(part(b'name="locationId"', b"a", charset) + b"--b--\r\n") is refusals.BODY_ENCODED
    assert watch(part(b'name="_charset_"', b"utf-7") + b"--b--\r\n") is refusals.BODY_ENCODED
    assert watch(part(b'name="_charset_"', b"utf-8") + b"--b--\r\n") == set()


def test_a_long_value_is_not_kept():
    """Memory stays flat; what is kept equals no id."""
    (named,) = watch(part(b'name="locationId"', b"a" * 1_000_000) + b"--b--\r\n", 65536)
    assert len(named) <= 512


def test_many_values_are_not_kept():
    """A body of nothing but locations is refused before they fill the memory."""
    parts = b"".join(part(b'name="altId"', b"%d" % number) for number in range(1001))
    assert watch(parts + b"--b--\r\n", 1000) is refusals.BODY_MALFORMED
