"""What the gateway sends, and what it passes back: the pure parts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_integrations.errors import ConfigurationError
from private_integrations_service.authorizer.replies import PlatformError
from private_integrations_service.catalogue.endpoints import Catalogue
from private_integrations_service.gateway import Upstream, refusals
from private_integrations_service.gateway.requests import Body, forwarded_request, literals_beside, request_head
from private_integrations_service.gateway.responses import (
    ResponseHead,
    answered_headers,
    is_well_framed,
    refused_credential,
)

CREDENTIAL = "pit-" + "11111111-2222-4333-8444-555555555555"
UPSTREAM = Upstream.parse("https://services.example.com/v2/")
CATALOGUE = Catalogue.load()
READ = CATALOGUE.match("GET", "/contacts/abc").endpoint
CREATE = CATALOGUE.match("POST", "/contacts/").endpoint

tokens = st.from_regex(rb"[a-z][a-z0-9-]{0,20}", fullmatch=True)
values = st.from_regex(rb"[\x21-\x7e\x80-\xff]{0,20}", fullmatch=True)


def forwarded(path=b"/contacts/abc", query=b"", headers=(), endpoint=READ, framed=False):
    """The request to send."""
    return forwarded_request(endpoint, path, query, headers, framed=framed)


def sent(*headers, endpoint=CREATE, path=b"/contacts/", query=b""):
    """The lines of the head that is sent."""
    request = forwarded(path, query, headers, endpoint)
    assert not isinstance(request, PlatformError), request
    head = request_head(request, UPSTREAM, CREDENTIAL, request.length)
    assert isinstance(head, bytes)
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].split(b"\r\n")


# The upstream


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://services.example.com", (True, "services.example.com", 443, b"", b"services.example.com")),
        ("https://Services.example.com:443/", (True, "services.example.com", 443, b"", b"services.example.com")),
        ("https://example.com:8443/v2/", (True, "example.com", 8443, b"/v2", b"example.com:8443")),
        ("http://127.0.0.1:8080", (False, "127.0.0.1", 8080, b"", b"127.0.0.1:8080")),
        ("http://localhost", (False, "localhost", 80, b"", b"localhost")),
        ("http://[::1]:81/a/b", (False, "::1", 81, b"/a/b", b"[::1]:81")),
    ],
)
def test_an_upstream_is_a_base_url(url, expected):
    """Https anywhere, http on this machine; a path stands before every path."""
    found = Upstream.parse(url)
    assert (found.secure, found.host, found.port, found.prefix, found.authority) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "services.example.com",
        "ftp://example.com",
        "https://",
        "http://example.com",
        "http://10.0.0.1",
        "http://127.0.0.1.example.com",
        "https://user:secret@example.com",
        "https://example.com/?a=1",
        "https://example.com/#a",
        "https://example.com/a b",
        "https://example.com/../a",
        "https://example.com/%2e",
        "https://example.com:0",
        "https://example.com:99999",
        "https://ex\u00e4mple.com",
        "https://[::1",
        "https://a..example.com",
        "https://" + "a" * 64 + ".example.com",
        "https://-a.example.com",
        "https://a%20b.example.com",
        "https://[::1%25eth0]x",
    ],
)
def test_what_is_no_upstream_is_refused(url):
    """One line that says so, without the credentials that were in it."""
    with pytest.raises(ConfigurationError, match=r"^upstream[^\n]*$") as refused:
        Upstream.parse(url)
    assert "secret" not in str(refused.value)


# The request line


@given(st.lists(st.sampled_from([b"contacts", b"abc", b"%20", b"a+b", b"a,b:@=", b"%C3%A4", b"."]), min_size=1))
def test_the_path_is_sent_as_it_was_authorized(segments):
    """Byte for byte, escapes and trailing slash included, below the upstream's own path."""
    for path in (b"/" + b"/".join(segments), b"/" + b"/".join(segments) + b"/"):
        assert sent(path=path)[0] == b"POST /v2" + path + b" HTTP/1.1"


@given(st.from_regex(rb"[!-\"$-~\x80-\xff]{1,40}", fullmatch=True))
def test_the_query_is_sent_unchanged(query):
    """Byte for byte, repeated keys included."""
    assert sent(query=query)[0] == b"POST /v2/contacts/?" + query + b" HTTP/1.1"


@pytest.mark.parametrize(
    "path",
    [
        b"/contacts/..;/locations",
        b"/contacts/search;x",
        b"/contacts/a%3bb",
        b"/contacts/a%23b",
        b"/contacts/a%3Fb",
        b"/contacts/a%252Fb",
        b"/contacts/a%25",
        b"/contacts/a%2Fb",
        b"/contacts/a%5Cb",
        b"/contacts/a\\b",
        b"/contacts/a%00b",
        b"/contacts/a%0d%0ab",
        b"/contacts/a%7f",
        b"/contacts/%73earch",
        b"/contacts/a%2Db",
        b"/contacts/a%2eb",
        b"/contacts/a%5Fb",
        b"/contacts/a%7eb",
        b"/contacts/a?b",
        b"/contacts/a#b",
        b"/contacts/a b",
        b"/contacts/a%zzb",
        b"/contacts/a%2",
        b"/contacts/{contactId}",
        b"/contacts/\xc3\xa4",
        b"/contacts/a\r\nHost: b",
        b"",
    ],
)
def test_a_path_that_may_be_read_otherwise_is_refused(path):
    """What servers differ on never reaches one, whatever the catalogue made of it."""
    assert forwarded(path) is refusals.PATH_AMBIGUOUS


def test_every_path_of_the_catalogue_may_be_sent():
    """No endpoint is closed by what is refused in ids."""
    for endpoint in CATALOGUE.endpoints:
        path = re.sub(r"\{\w+\}", "aB9_-x", endpoint.path).encode()
        assert re.fullmatch(rb"[A-Za-z0-9/_-]+", path), "a word that may be written in two ways"
        assert not isinstance(forwarded(path, endpoint=endpoint), PlatformError), endpoint


@given(st.binary(max_size=20))
def test_no_path_has_what_ends_a_request_line(path):
    """Whatever is let through has one reading: no blank, no control character, no query, no fragment."""
    request = forwarded(b"/" + path)
    if not isinstance(request, PlatformError):
        assert re.fullmatch(rb"/[A-Za-z0-9/._~!$&'()*+,=:@%-]*", request.target)


@pytest.mark.parametrize("query", [b"a=b c", b"a=\r\nHost: b", b"a#b", b"a=\x00", b"a=\x7f"])
def test_a_query_with_raw_control_characters_is_refused(query):
    """It would end the request line, or the target."""
    assert forwarded(query=query) is refusals.QUERY_MALFORMED


def test_words_that_mean_something_are_known_beside_parameters():
    """A server that ignores case would take these for its own words."""
    beside = literals_beside(CATALOGUE.endpoints)
    assert set(beside) == {endpoint.path for endpoint in CATALOGUE.endpoints}
    [(name, words)] = beside["/contacts/{contactId}"]
    assert name == "contactId"
    assert {"search", "upsert", "bulk", "business"} <= words
    campaigns = dict(beside["/contacts/{contactId}/campaigns/{campaignId}"])
    assert "removeall" in campaigns["campaignId"]


# Headers of the request


def test_the_head_is_built_anew():
    """Host and credential are the upstream's; what belongs to the connection, or names the consumer, is left out."""
    lines = sent(
        (b"host", b"crm.test"),
        (b"authorization", b"Bearer consumer"),
        (b"cookie", b"session=1"),
        (b"version", b"2021-07-28"),
        (b"connection", b"keep-alive, X-Hop"),
        (b"x-hop", b"1"),
        (b"keep-alive", b"timeout=5"),
        (b"te", b"trailers"),
        (b"trailer", b"x"),
        (b"upgrade", b"h2c"),
        (b"http2-settings", b"AAMAAABkAAQ"),
        (b"proxy-authorization", b"Basic x"),
        (b"proxy-connection", b"close"),
        (b"expect", b"100-continue"),
        (b"forwarded", b"for=1.2.3.4"),
        (b"x-forwarded-for", b"1.2.3.4"),
        (b"x-forwarded-host", b"elsewhere"),
        (b"x-real-ip", b"1.2.3.4"),
        (b"x-pit-account", b"foreign"),
        (b"x_pit_account", b"foreign"),
        (b"x-http-method-override", b"DELETE"),
        (b"x-original-url", b"/elsewhere"),
        (b"accept", b"a"),
        (b"accept", b"b"),
        (b"content-type", b"application/json"),
        (b"content-length", b"3"),
        (b"accept", b"c"),
    )
    assert lines == [
        b"POST /v2/contacts/ HTTP/1.1",
        b"Host: services.example.com",
        b"Authorization: Bearer " + CREDENTIAL.encode(),
        b"Via: 1.1 private-integrations",
        b"version: 2021-07-28",
        b"accept: a",
        b"accept: b",
        b"accept: c",
        b"content-type: application/json",
        b"content-length: 3",
    ]


@given(st.lists(st.tuples(tokens, values), max_size=8))
def test_headers_pass_in_order_or_not_at_all(headers):
    """Nothing is joined, reordered or invented; and there is exactly one Host, one credential, one framing."""
    request = forwarded(headers=headers, endpoint=CREATE)
    if isinstance(request, PlatformError):
        return
    lines = sent(*headers)[4:-1]
    passed = iter([b"%s: %s" % header for header in headers])
    assert all(line in passed for line in lines)
    names = [line.partition(b":")[0].lower() for line in sent(*headers)[1:]]
    for single in (b"host", b"authorization"):
        assert names.count(single) == 1
    assert names.count(b"content-length") + names.count(b"transfer-encoding") == 1


@pytest.mark.parametrize(
    "name", [b"host", b"content-length", b"transfer-encoding", b"content-type", b"content-encoding"]
)
def test_a_repeated_header_is_refused(name):
    """Where the upstream could take the other one, there is only one."""
    refused = forwarded(headers=[(name, b"1"), (b"accept", b"*/*"), (name, b"1")])
    assert (refused.status, refused.reason) == (400, "header-repeated")


CHECKED = [
    (b"version", b"v3"),
    (b"locationid", b"own"),
    (b"location-id", b"own"),
    (b"companyid", b"own"),
    (b"altid", b"own"),
    (b"alttype", b"location"),
    (b"content-type", b"application/json"),
    (b"content-encoding", b"identity"),
]


@pytest.mark.parametrize("option", [b"connection", b"trailer", b"te", b"upgrade", b"keep-alive", b"proxy-connection"])
@pytest.mark.parametrize("checked", CHECKED, ids=lambda header: header[0].decode())
def test_every_header_that_was_checked_is_kept(option, checked):
    """A consumer can't remove a checked header before the upstream by naming it in `Connection`."""
    for value in (checked[0], b"close, " + checked[0].upper(), b"x,\t" + checked[0] + b" ,y"):
        for headers in ([(option, value), checked], [checked, (option, value)]):
            lines = sent(*headers, (b"content-length", b"2"))
            assert b"%s: %s" % checked in lines
            assert option not in [line.partition(b":")[0].lower() for line in lines]


@pytest.mark.parametrize("name", [b"location_id", b"x_version", b"content_type", b"x.pit.account", b"version+", b"a'b"])
def test_names_that_cgi_takes_for_others_are_dropped(name):
    """Servers in CGI's tradition read any such character as a hyphen, and so another header."""
    assert not [line for line in sent((name, b"1")) if line.startswith(name)]


@given(values, values)
def test_no_value_begins_a_header(before, after):
    """A line break in a value, from whatever server, is refused."""
    for line_break in (b"\r\n", b"\n", b"\r", b"\0"):
        request = forwarded(headers=[(b"x-note", before + line_break + after)])
        assert request_head(request, UPSTREAM, CREDENTIAL, 0) is refusals.HEADER_MALFORMED


# Framing and kinds of bodies


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-length", b"3"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"gzip, chunked")],
        [(b"transfer-encoding", b"identity")],
        [(b"transfer-encoding", b"chunked, chunked")],
        [(b"transfer-encoding", b"\x0bchunked, identity")],
        [(b"content-length", b"3, 3")],
        [(b"content-length", b"+3")],
        [(b"content-length", b"-1")],
        [(b"content-length", b"0x3")],
        [(b"content-length", b"")],
        [(b"content-length", b"9" * 30)],
    ],
)
def test_framing_with_two_readings_is_refused(headers):
    """One length, or chunked and nothing else."""
    assert forwarded(headers=headers) is refusals.FRAMING_UNKNOWN


@pytest.mark.parametrize(
    ("media", "body"),
    [
        (b"application/json", Body.JSON),
        (b"Application/JSON; charset=UTF-8", Body.JSON),
        (b"application/merge-patch+json", Body.JSON),
        (b"application/x-www-form-urlencoded", Body.FORM),
        (b"text/plain", Body.UNMARKED),
        (None, Body.UNMARKED),
        (b"text/json", Body.JSON),
        (b"application/json; charset=utf-8; profile=x;", Body.JSON),
        (b"multipart/form-data; boundary=x", Body.MULTIPART),
        (b"multipart/mixed; boundary=x", Body.MULTIPART),
        (b"image/png", Body.OPAQUE),
        (b"application/octet-stream", Body.OPAQUE),
        (b"application/x-json", Body.UNMARKED),
        (b"image/png; a=json", Body.OPAQUE),
    ],
)
def test_kinds_of_bodies(media, body):
    """A body that may name an account is read or watched."""
    said = [] if media is None else [(b"content-type", media)]
    assert forwarded(headers=[*said, (b"content-length", b"5")]).body is body
    assert forwarded(headers=[*said, (b"transfer-encoding", b"Chunked")]).body is body
    assert forwarded(headers=said).body is Body.NONE
    assert forwarded(headers=[*said, (b"content-length", b"0")]).body is Body.NONE
    assert forwarded(headers=said, framed=True).body is body


@pytest.mark.parametrize(
    ("said", "written"),
    [
        (b"Application/JSON; x-charset=utf-8", b"application/json"),
        (b"application/json;charset=UTF-8", b"application/json"),
        (b'application/json; charset="utf-8"', b"application/json"),
        (b'application/json; x="; charset=utf-7"', b"application/json"),
        (b"application/json ;; charset=utf8 ;", b"application/json"),
        (b"application/json; charset*=utf-7''", b"application/json"),
        (b"application/vnd.api+json; profile=x", b"application/vnd.api+json"),
        (b"application/x-www-form-urlencoded; charset=utf-8", b"application/x-www-form-urlencoded"),
        (b"text/plain", b"text/plain; charset=utf-8"),
        (b"Multipart/Form-Data; charset=utf-8; boundary=aB_9", b"multipart/form-data; boundary=aB_9"),
        (b'multipart/form-data; boundary="a:b"', b'multipart/form-data; boundary="a:b"'),
    ],
)
def test_a_checked_body_goes_out_with_a_content_type_of_our_own(said, written):
    """The upstream gets the type as it was understood, in one spelling, and no other parameter."""
    lines = sent((b"content-type", said), (b"content-length", b"2"))
    assert [line for line in lines if line.lower().startswith(b"content-type")] == [b"content-type: " + written]


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        (b"application/json; x-charset=utf-8; charset=utf-7", refusals.BODY_ENCODED),
        (b"application/json; charset=utf-7; x-charset=utf-8", refusals.BODY_ENCODED),
        (b'application/json; x="charset=utf-8"; charset=utf-16', refusals.BODY_ENCODED),
        (b'application/json; charset="utf\\-7"', refusals.BODY_ENCODED),
        (b"application/json; charset=us-ascii", refusals.BODY_ENCODED),
        (b"application/json; charset=iso-8859-1", refusals.BODY_ENCODED),
        (b"application/json; charset=utf-8; charset=utf-7", refusals.CONTENT_TYPE_MALFORMED),
        (b"application/json; charset=utf-8; CHARSET=utf-8", refusals.CONTENT_TYPE_MALFORMED),
        (b"application/json; charset = utf-8", refusals.CONTENT_TYPE_MALFORMED),
        (b"application/json; charset", refusals.CONTENT_TYPE_MALFORMED),
        (b"application/json; charset=", refusals.CONTENT_TYPE_MALFORMED),
        (b"application/json charset=utf-8", refusals.CONTENT_TYPE_MALFORMED),
        (b"application/json, text/plain", refusals.CONTENT_TYPE_MALFORMED),
        (b'application/json; charset="utf-8', refusals.CONTENT_TYPE_MALFORMED),
        (b"application /json", refusals.CONTENT_TYPE_MALFORMED),
        (b"json", refusals.CONTENT_TYPE_MALFORMED),
        (b"", refusals.CONTENT_TYPE_MALFORMED),
        (b"image/png", refusals.BODY_UNREADABLE),
        (b"application/octet-stream", refusals.BODY_UNREADABLE),
        (b"multipart/related; boundary=a", refusals.BODY_UNREADABLE),
        (b"multipart/form-data", refusals.BODY_MALFORMED),
        (b"multipart/form-data; boundary=", refusals.CONTENT_TYPE_MALFORMED),
        (b"multipart/form-data; boundary=a; boundary=b", refusals.CONTENT_TYPE_MALFORMED),
        (b'multipart/form-data; boundary="a,b"', refusals.BODY_MALFORMED),
        (b'multipart/form-data; boundary="a "', refusals.BODY_MALFORMED),
    ],
)
def test_a_body_with_two_readings_is_refused(said, refusal):
    """A media type that readers differ on, another charset than UTF-8, or a body that can't be read: not forwarded."""
    for framing in ((b"content-length", b"2"), (b"transfer-encoding", b"chunked")):
        assert forwarded(b"/contacts/", endpoint=CREATE, headers=[(b"content-type", said), framing]) is refusal


@pytest.mark.parametrize(
    ("media", "encoding"),
    [
        (b"application/json", b"gzip"),
        (b"application/json", b"br"),
        (b"application/json", b"identity, gzip"),
        (b"multipart/form-data; boundary=x", b"deflate"),
        (b"application/json; charset=utf-16", b"identity"),
        (b'text/plain; charset="UTF-7"', b"identity"),
    ],
)
def test_a_body_that_cannot_be_checked_is_refused(media, encoding):
    """Encoded, it could name any location."""
    headers = [(b"content-type", media), (b"content-encoding", encoding), (b"content-length", b"5")]
    assert forwarded(headers=headers) is refusals.BODY_ENCODED


def test_idempotent_methods():
    """RFC 9110 §9.2.2: a POST or PATCH may have been carried out by an upstream that then closed."""
    methods = {endpoint.method for endpoint in CATALOGUE.endpoints if forwarded(b"/a", endpoint=endpoint).idempotent}
    assert methods == {"GET", "PUT", "DELETE"}


# The answer


def test_the_answer_keeps_its_headers():
    """Rate limits and repeated cookies pass; what belongs to the connection, and what only we say, does not."""
    head = ResponseHead(
        200,
        [
            (b"content-length", b"2"),
            (b"x-ratelimit-remaining", b"99"),
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"connection", b"close, X-Hop"),
            (b"x-hop", b"1"),
            (b"keep-alive", b"timeout=5"),
            (b"transfer-encoding", b"chunked"),
            (b"upgrade", b"h2"),
            (b"proxy-authenticate", b"Basic"),
            (b"alt-svc", b'h3=":443"'),
            (b"x-pit-problem", b"token-expired"),
            (b"pit-token-expires", b"2026-11-21T00:00:00Z"),
        ],
    )
    assert answered_headers(head, UPSTREAM, CREDENTIAL) == [
        (b"content-length", b"2"),
        (b"x-ratelimit-remaining", b"99"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
    ]


def test_a_204_has_no_length():
    """An answer that can't have a body doesn't say how long it is (RFC 9110 §8.6), whatever the upstream does."""
    head = ResponseHead(204, [(b"content-length", b"0"), (b"x-other", b"1")])
    assert answered_headers(head, UPSTREAM, CREDENTIAL) == [(b"x-other", b"1")]


@given(values, values, st.sampled_from([CREDENTIAL, CREDENTIAL.replace("-", "%2D"), CREDENTIAL.replace("1", "%31")]))
def test_a_header_with_the_credential_is_dropped(before, after, secret):
    """Plain or percent-encoded, wherever it stands in the value."""
    head = ResponseHead(302, [(b"location", before + secret.encode() + after), (b"x-other", b"1")])
    assert answered_headers(head, UPSTREAM, CREDENTIAL) == [(b"x-other", b"1")]


@pytest.mark.parametrize(
    ("location", "passed"),
    [
        (b"https://services.example.com/v2/contacts/", b"/contacts/"),
        (b"https://SERVICES.example.com/v2/contacts/?a=1#b", b"/contacts/?a=1#b"),
        (b"http://services.example.com/v2/contacts/", b"/contacts/"),
        (b"//services.example.com/v2/contacts/", b"/contacts/"),
        (b"/v2/contacts/", b"/contacts/"),
        (b"/v2//elsewhere/", b"/v2//elsewhere/"),
        (b"https://services.example.com/v2//elsewhere/", b"https://services.example.com/v2//elsewhere/"),
        (b"https://services.example.com/v20/a", b"https://services.example.com/v20/a"),
        (b"https://elsewhere.example.com/v2/a", b"https://elsewhere.example.com/v2/a"),
        (b"contacts/abc", b"contacts/abc"),
        (b"?page=2", b"?page=2"),
    ],
)
def test_redirects_into_the_upstream_lead_through_the_gateway(location, passed):
    """A consumer would follow one to the upstream itself with its own token; others are passed as they are."""
    head = ResponseHead(302, [(b"location", location)])
    assert answered_headers(head, UPSTREAM, CREDENTIAL) == [(b"location", passed)]


@pytest.mark.parametrize(
    ("headers", "good"),
    [
        ([], True),
        ([(b"content-length", b"3")], True),
        ([(b"transfer-encoding", b"chunked")], True),
        ([(b"content-length", b"3"), (b"content-length", b"3")], False),
        ([(b"content-length", b"3"), (b"transfer-encoding", b"chunked")], False),
        ([(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")], False),
        ([(b"transfer-encoding", b"gzip, chunked")], False),
        ([(b"transfer-encoding", b"identity")], False),
    ],
)
def test_framing_of_an_answer(headers, good):
    """What may be read in two ways is broken."""
    assert is_well_framed(headers) is good


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"statusCode":401,"message":"Invalid Private Integration token"}', "Invalid Private Integration token"),
        (f'{{"message":"bad: {CREDENTIAL}"}}'.encode(), "bad: \u2026"),
        (b'{"message":"not pit-' + b'aaaaaaaa-1111"}', "not pit-\u2026"),
        (b'{"message":["a"]}', None),
        (b"[1]", None),
        (b"Unauthorized", None),
        (b"\xff", None),
        (b"", None),
        (None, None),
    ],
)
def test_a_refused_credential_is_told_apart(body, said):
    """The consumer learns that the gateway's credential was refused, and in which words, but never the credential."""
    refused = refused_credential(body, CREDENTIAL)
    assert (refused.status, refused.reason) == (502, "upstream-credential-refused")
    assert refused.about.get("upstreamMessage") == said


@given(st.integers(0, 255))
def test_only_what_must_be_encoded_is(octet):
    """An octet that a path can hold as it is has no second spelling; one that ends or splits a path has none at all."""
    allowed = not isinstance(forwarded(b"/contacts/a%%%02X" % octet), PlatformError)
    assert allowed is (octet > 0x7F or chr(octet) in " !\"$&'()*+,:<=>@[]^`{|}")
