"""Reading what anybody may send: for any bytes at all an answer and never an exception, and only one meaning."""

import re
from urllib.parse import quote, unquote_to_bytes

from hypothesis import assume, example, given
from hypothesis import strategies as st

from private_integrations.contract import digest_of
from private_integrations_service.authorizer.decisions import read_headers
from private_integrations_service.authorizer.named_accounts import named_in_request
from private_integrations_service.authorizer.replies import PlatformError
from private_integrations_service.catalogue.endpoints import Catalogue
from private_integrations_service.http.request_heads import HeadReader, Malformed, RequestHead
from private_integrations_service.tokens.format import presented_token, without_secrets

CATALOGUE = Catalogue.load()
HEX = "0123456789abcdef"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def tokens():
    """Texts of a token's shape."""
    parts = [st.text(HEX, min_size=length, max_size=length) for length in (8, 4, 4, 4, 12)]
    return st.tuples(*parts).map(lambda found: ("pit-" + "-".join(found)).encode())


# Around a token: what a client might put there by mistake, and anything else.
around = st.sampled_from(
    [b"", b" ", b"  ", b"\t", b"\0", b"\n", b"\xa0", b"Bearer ", b"bearer ", b"BEARER ", b"Basic "]
)
around |= st.binary(max_size=20)


# `Authorization`


@given(st.binary() | st.binary(min_size=30, max_size=60))
def test_any_bytes_are_no_token(value):
    """Whatever bytes an `Authorization` has, reading it raises nothing, and bytes without a token are none."""
    assume(not re.search(rb"pit-[0-9a-f]{8}", value))
    assert presented_token(value) is None


@given(tokens(), around, around)
@example(b"pit-" + b"00000000-0000-0000-0000-000000000000", b"", b"\n")
@example(b"pit-" + b"00000000-0000-0000-0000-000000000000", b"Bearer ", b"")
def test_a_token_has_two_spellings(token, before, after):
    """A token is read from `Bearer …` or bare, with not one byte beside it; then its digest is all that is kept."""
    value = before + token + after
    accepted = after == b"" and before in (b"", b"Bearer ", b"bearer ")
    assert presented_token(value) == (digest_of(token) if accepted else None)


@given(tokens(), st.data())
def test_no_byte_of_a_token_may_differ(token, data):
    """A token with any one byte changed is another token or none, never the same one."""
    place = data.draw(st.integers(0, len(token) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != token[place]))
    changed = token[:place] + bytes([byte]) + token[place + 1 :]
    still_one = place >= 4 and token[place] != ord("-") and chr(byte) in HEX
    assert presented_token(changed) == (digest_of(changed) if still_one else None)


@given(tokens(), st.integers(1, 100_000))
def test_a_long_value_is_no_token(token, length):
    """What is longer than a token can be is none, however long."""
    assert presented_token(token + b"0" * length) is None
    assert presented_token(b"Bearer " + b" " * length + token) is None


# Combinations of headers

names = st.sampled_from([b"authorization", b"version", b"user-agent", b"host", b"cookie", b"authorization2", b""])
names |= st.binary(max_size=10)
values = (
    tokens()
    | tokens().map(lambda token: b"Bearer " + token)
    | st.sampled_from([b"v3", b"", b" "])
    | st.binary(max_size=60)
)


@given(st.lists(st.tuples(names, values), max_size=8))
def test_one_authorization_or_none(headers):
    """Any headers are read without an exception: two `Authorization` are never a token, and no other header is one."""
    sent = [value for name, value in headers if name == b"authorization"]
    read = read_headers(headers)
    if len(sent) > 1:
        assert isinstance(read, PlatformError)
        assert read.reason == "token-repeated"
    elif not sent:
        assert isinstance(read, PlatformError)
        assert read.reason == "token-missing"
    elif (digest := presented_token(sent[0])) is None:
        assert isinstance(read, PlatformError)
        assert read.reason == "token-malformed"
    else:
        versions = [value for name, value in headers if name == b"version"]
        version = b", ".join(versions).decode("latin-1").strip(" \t") if versions else None
        agents = [value for name, value in headers if name == b"user-agent"]
        assert read[:3] == (digest, version, agents[-1] if agents else b"")


@given(
    st.lists(
        st.tuples(
            names | st.sampled_from([b"transfer-encoding", b"content-length"]),
            st.sampled_from([b"chunked", b"5"]) | st.binary(max_size=20),
        ),
        max_size=6,
    )
)
def test_framing_is_plain_or_refused(headers):
    """Any headers are read without an exception; what passes has one `Host`, and one plain length or coding at most."""
    head = HeadReader().read(b"GET / HTTP/1.1\r\n" + b"".join(b"%b: %b\r\n" % each for each in headers) + b"\r\n")
    if isinstance(head, RequestHead):
        assert head.headers == [(name, value.strip(b" \t")) for name, value in headers]
        framing = [(name, value) for name, value in head.headers if name in (b"transfer-encoding", b"content-length")]
        assert [name for name, _ in head.headers].count(b"host") == 1
        assert framing in ([], [(b"transfer-encoding", b"chunked")], [(b"content-length", b"%d" % (head.length or 0))])
    else:
        assert isinstance(head, Malformed)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_refused(sent):
    """No bytes raise anything."""
    HeadReader().read(sent)
    HeadReader().read(b"GET / HTTP/1.1\r\nHost: a\r\n" + sent + b"\r\n\r\n")


# Paths

segments = st.sampled_from(sorted({part for e in CATALOGUE.endpoints for part in e.path.strip("/").split("/")}))
segments |= st.text(max_size=8)


def _escaped(path, places):
    """The path with the bytes at these places percent-encoded, and those beyond ASCII; never a slash."""
    return "".join(
        f"%{byte:02{'X' if place % 2 else 'x'}}" if byte > 0x7F or (place in places and byte != ord("/")) else chr(byte)
        for place, byte in enumerate(path.encode())
    )


def _meaning(method, path):
    match = CATALOGUE.match(method, path)
    return match and (match.endpoint, dict(match.params))


@given(
    st.sampled_from(METHODS) | st.text(max_size=5), st.text() | st.binary().map(lambda raw: "/" + raw.decode("latin-1"))
)
def test_any_path_is_matched_or_not(method, path):
    """Whatever method and path are, matching raises nothing, and what matches is the template that fits."""
    match = CATALOGUE.match(method, path)
    if match is not None:
        assert match.endpoint.method == method
        assert len(match.params) == len(match.endpoint.parameters)


@given(st.sampled_from(CATALOGUE.endpoints), st.data())
def test_an_encoded_path_means_what_the_plain_one_does(endpoint, data):
    """However many characters are percent-encoded, once, the path means the same endpoint with the same values."""
    value = st.text("abcXYZ019-_.~!é{}", min_size=1, max_size=6).filter(lambda text: text.strip("."))
    path = re.sub(r"\{[^}]*\}", lambda _: data.draw(value), endpoint.path)
    places = data.draw(st.sets(st.integers(0, len(path.encode()))))
    plain = _meaning(endpoint.method, quote(path, safe="/{}!~"))
    assert plain is not None
    assert _meaning(endpoint.method, _escaped(path, places)) == plain


@given(st.sampled_from(METHODS), st.lists(segments, max_size=6), st.data())
def test_no_unsafe_path_means_anything(method, parts, data):
    """A path that holds, decoded, what moves or ends a path for somebody behind us matches nothing, however encoded."""
    unsafe = data.draw(
        st.sampled_from(["..", ".", "", "a/b", "/", "a\\b", "\\..", "a\0", "\n", "a\rb", "\x7f", "\x85"])
    )
    place = data.draw(st.integers(0, len(parts)))
    encoded = "".join(f"%{byte:02x}" for byte in unsafe.encode())
    path = "/" + "/".join([*(quote(part, safe="{}") for part in parts[:place]), encoded, *parts[place:], "x"])
    assert CATALOGUE.match(method, path) is None


@given(st.sampled_from(METHODS), st.lists(segments.filter(bool), min_size=1, max_size=6))
def test_a_value_is_decoded_once(method, parts):
    """What was encoded twice stays encoded once: no value turns into a slash or a dot segment behind us."""
    match = CATALOGUE.match(method, "/" + "/".join(quote(quote(part, safe=""), safe="") for part in parts))
    if match is not None:
        for position, name in match.endpoint.parameters:
            assert unquote_to_bytes(match.params[name]) == parts[position - 1].encode()


@given(st.sampled_from(CATALOGUE.endpoints), st.binary())
def test_any_query_is_read(endpoint, query):
    """In a query of any bytes, the accounts that it and the path name are found without an exception."""
    match = CATALOGUE.match(endpoint.method, re.sub(r"\{[^}]*\}", "x", endpoint.path))
    assert match is not None
    named = named_in_request(match, query, ())
    assert all(isinstance(each.value, str) for each in named)
    values = {each.value for each in named}
    assert ("x" in values) >= bool({"locationId", "companyId"} & match.params.keys())


# Answers


@given(tokens(), st.text(), st.text())
def test_no_answer_repeats_a_token(token, before, after):
    """A token in a text is cut out, plain, in capitals or percent-encoded, whatever stands around it."""
    for spelled in (
        token.decode(),
        token.decode().upper(),
        quote(token, safe=""),
        _escaped(token.decode(), range(0, 40, 3)),
    ):
        assert token.decode() not in without_secrets(f"{before}{spelled}{after}").lower()
