"""Express, FastAPI and PHP read only accounts that the gateway checked in the requests that it lets through.

A corpus of bodies, in every encoding, under every content type, and of queries is sent through the gateway to each of
these servers. Either the gateway refuses a request, or every field that names an account says the token's own account
to the server behind.
"""

import asyncio
import http.client
import json
import os
import random
import re
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from asgi_upstream import ask
from private_integrations.contract import API
from private_integrations_service.authorizer import Authorizer, AuthorizerMiddleware
from private_integrations_service.forward_auth import ForwardAuth
from private_integrations_service.gateway import Gateway, GatewayLimits, PastedCredentials, Upstream
from throwaway import REPOSITORY, listening_address

PROGRAMS = Path(__file__).parents[1] / "programs"
MODULES = REPOSITORY / ".venv" / "javascript"
OWN = "locationOneAAAAAAAAA"
FOREIGN = "foreignZZZZZZZZZZZZZ"
# Names that mean an account to the server behind, however it spells them.
ACCOUNT_NAMES = re.compile(r"(?i)(?:share_?)?(?:location_?ids?|locations)|alt_?id|company_?id|agency_?id", re.ASCII)


async def held(_):
    """The upstream credential of every account."""
    return "held"


# The values that the servers read.


def accounts_read(value, inside=False):
    """Every value that a server's reading of a request has under a name of an account, at any depth."""
    if isinstance(value, dict):
        for name, item in value.items():
            # A list of PHP's is an object with numbers for names.
            if inside and not name.isdecimal():
                yield {name: item}
            else:
                yield from accounts_read(item, inside or bool(ACCOUNT_NAMES.fullmatch(name)))
    elif isinstance(value, list):
        for item in value:
            yield from accounts_read(item, inside)
    elif inside and value not in (None, ""):
        yield value


@contextmanager
def started(command, **environment):
    """A server in a process of its own; its address."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ | environment
    ) as process:
        try:
            yield listening_address(process)
        finally:
            process.terminate()


@contextmanager
def started_php(folder):
    """PHP's own server, which says on stderr where it listens."""
    command = [
        shutil.which("php") or "php",
        "-d",
        "display_errors=0",
        "-S",
        "127.0.0.1:0",
        str(PROGRAMS / "upstream.php"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=folder) as process:
        try:
            address = None
            while address is None:
                address = re.search(r"\((http://127\.0\.0\.1:\d+)\) started", process.stderr.readline())
            yield address[1]
        finally:
            process.terminate()
            process.stderr.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """The addresses of the servers."""
    node = ["node", str(REPOSITORY / "tests" / "javascript" / "upstream.mjs")]
    fastapi = [sys.executable, str(PROGRAMS / "fastapi_upstream.py")]
    with (
        started(node, MODULES=str(MODULES), QUERY_PARSER="extended") as extended,
        started(node, MODULES=str(MODULES), QUERY_PARSER="simple") as simple,
        started(fastapi) as fast,
        started_php(tmp_path_factory.mktemp("php")) as php,
    ):
        yield {
            "express": f"{extended}/strict",
            "express, simple queries": f"{simple}/strict",
            "express, any type is JSON": f"{extended}/lenient",
            "fastapi": fast,
            "php": php,
        }


SERVERS = ["express", "express, simple queries", "express, any type is JSON", "fastapi", "php"]


@pytest.fixture
def token(desk, accounts):
    """A token of the account OWN that may create contacts, search opportunities and upload."""
    assert accounts.location == OWN
    return desk.token_with("contacts.write", "contacts.readonly", "opportunities.readonly", "medias.write").encode()


@pytest.fixture
def authorizer(database, catalogue, clock):
    """The authorizer over the database."""
    made = Authorizer(database, catalogue, 10)
    yield made
    made.close()


# The corpus.

FIELDS = [
    {"locationId": OWN},
    {"locationId": FOREIGN},
    {"firstName": "Ada"},
    {"location_id": FOREIGN, "locationId": OWN},
    {"locationId": [OWN, FOREIGN]},
    {"locationId": {"$ne": OWN}},
    {"x": {"y": [{"companyId": FOREIGN}]}},
    {"__proto__": {"locationId": FOREIGN}},
    {"constructor": {"prototype": {"locationId": FOREIGN}}},
    {"altId": FOREIGN, "altType": "company"},
]
JSON_TEXTS = [
    *map(json.dumps, FIELDS),
    f'{{"locationId":"{OWN}","locationId":"{FOREIGN}"}}',
    f'{{"locationId":"{FOREIGN}","locationId":"{OWN}"}}',
    f'{{"\\u006cocationId":"{FOREIGN}"}}',
    f'{{"locationId":"{OWN}","\\u006cocationId":"{FOREIGN}"}}',
    f'{{"x":"\\ud800","locationId":"{FOREIGN}"}}',
    f'{{"x":NaN,"locationId":"{FOREIGN}"}}',
    f'{{"x":{"9" * 400},"locationId":"{FOREIGN}"}}',
    f'{{"x":1e999,"locationId":"{FOREIGN}"}}',
    f'{{"x":{"[" * 600}{"]" * 600},"locationId":"{FOREIGN}"}}',
    f"{{'locationId':'{FOREIGN}'}}",
    f'{{"locationId":"{FOREIGN}",}}',
    f'/*x*/{{"locationId":"{FOREIGN}"}}',
    f'[{{"locationId":"{FOREIGN}"}}]',
    f'{{"x":"&locationId={FOREIGN}&"}}',
    f'{{"locationId":"{OWN}","x":"+ACI-,+ACI-locationId+ACI-:+ACI-{FOREIGN}"}}',
    f'{{"locationId":"{OWN}","x":"+AC0-+ACIALAAiAGwAbwBjAGEAdABpAG8AbgBJAGQAIgA6ACI-{FOREIGN}"}}',
    f'{{"locationId":"{OWN}\\u0000","x":1}}',
    f'{{"location\\u0000Id":"{FOREIGN}"}}',
    "",
    "null",
    "Hello",
]
FORM_TEXTS = [
    *(f"locationId={value}" for value in (OWN, FOREIGN)),
    f"locationId={OWN}&locationId={FOREIGN}",
    f"locationId={FOREIGN}&locationId={OWN}",
    f"locationId[]={OWN}",
    f"locationId[]={FOREIGN}",
    f"locationId[0]={OWN}&locationId[1]={FOREIGN}",
    f"locationId%5B0%5D={FOREIGN}",
    f"[locationId]={FOREIGN}",
    f"locationId[$ne]={OWN}",
    "locationId[$ne]=",
    f"location%49d={FOREIGN}",
    f"location%2549d={FOREIGN}",
    f"x=1;locationId={FOREIGN}",
    f"locationId={OWN};locationId={FOREIGN}",
    f"location.Id={FOREIGN}&location%20id={FOREIGN}",
    f"location+id={FOREIGN}",
    f"location_id={FOREIGN}",
    f"+locationId={FOREIGN}",
    f"%20locationId={FOREIGN}",
    f"locationId%00x={FOREIGN}",
    f"locationId%00={FOREIGN}",
    f"locationId={OWN}%00",
    f"x[y][locationId]={FOREIGN}",
    f"x.y.locationId={FOREIGN}",
    f"__proto__[locationId]={FOREIGN}",
    f"locationId[={FOREIGN}",
    f"locationId]={FOREIGN}",
    f"location[Id={FOREIGN}",
    f"&&locationId={FOREIGN}&&",
    f"?locationId={FOREIGN}",
    f"locationId=%20{OWN}",
    f"locationId={OWN},{FOREIGN}",
    f"_charset_=utf-7&locationId={OWN}",
    f"utf8=%26%2310003%3B&&%23108%3BocationId={FOREIGN}",
    "a=1&" * 1200 + f"locationId={FOREIGN}",
    f"locationId={OWN}&" + "a=1&" * 1200,
    f"altId={FOREIGN}&altType=company",
    f"%u006cocationId={FOREIGN}",
    f"locationId={OWN}\r\nlocationId={FOREIGN}",
]


def parts(*fields, boundary="aB_9", line="\r\n", end="--", before="", after=""):
    """A multipart body; a field is the rest of its `Content-Disposition`, its value, and further header lines."""
    text = before
    for disposition, value, *more in fields:
        head = line.join([f"Content-Disposition: form-data; {disposition}", *more])
        text += f"--{boundary}{line}{head}{line}{line}{value}{line}"
    return f"{text}--{boundary}{end}{line}{after}"


_FOREIGN_PART = f'--aB_9\r\nContent-Disposition: form-data; name="locationId"\r\n\r\n{FOREIGN}\r\n'
MULTIPART_TEXTS = [
    parts(('name="locationId"', OWN)),
    parts(('name="locationId"', FOREIGN)),
    parts(('name="locationId"', OWN), ('name="locationId"', FOREIGN)),
    parts(('name="locationId[]"', FOREIGN)),
    parts(('name="x[locationId]"', FOREIGN)),
    parts(("name=locationId", FOREIGN)),
    parts(("name='locationId'", FOREIGN)),
    parts(('NAME="locationId"', FOREIGN)),
    parts(('name="x"; name="locationId"', FOREIGN)),
    parts(('name="locationId"; name="x"', FOREIGN)),
    parts(("name*=UTF-8''locationId", FOREIGN)),
    parts(('name*0="location"; name*1="Id"', FOREIGN)),
    parts(('name="location\\Id"', FOREIGN)),
    parts(('name="location%49d"', FOREIGN)),
    parts(('name="location.id"', FOREIGN)),
    parts(('name="locationId"; filename=""', FOREIGN)),
    parts(('name="x"\nContent-Disposition: form-data; name="locationId"', FOREIGN)),
    parts(('name="x"', "1", 'X: y\nContent-Disposition: form-data; name="locationId"'), ('name="y"', FOREIGN)),
    parts(('name="x"', "1", 'X: y\r\n\tContent-Disposition: form-data; name="locationId"')),
    parts(('name="x"; filename="x"', "1\n" + _FOREIGN_PART)),
    parts(('name="x"; filename="x"', "1\r" + _FOREIGN_PART)),
    parts(('name="x"; filename="x"', "1\r\n" + _FOREIGN_PART.replace("\r\n", "\n"))),
    parts(('name="x"', "1")) + _FOREIGN_PART + "--aB_9--\r\n",
    parts(('name="x"', "1"), before=_FOREIGN_PART),
    parts(('name="x"', "1"), before="\r\n" + _FOREIGN_PART),
    parts(('name="x"', "1"), before="preamble\r\n"),
    parts(('name="locationId"', FOREIGN), line="\n"),
    parts(('name="locationId"', FOREIGN), end=""),
    parts(('name="locationId"', FOREIGN), boundary="aB_9 "),
    parts(('name="locationId"', OWN, "Content-Type: text/plain; charset=utf-16")),
    parts(('name="locationId"', FOREIGN, "Content-Type: text/plain; charset=utf-7")),
    parts(('name="locationId"', "bG9j", "Content-Transfer-Encoding: base64")),
    parts(('name="_charset_"', "utf-7"), ('name="+AGwAbwBjAGEAdABpAG8AbgBJAGQ-"', FOREIGN)),
    parts(('name="file"; filename="a.json"', f'{{"locationId":"{FOREIGN}"}}', "Content-Type: application/json")),
]
MULTIPART_TYPES = [
    b"multipart/form-data; boundary=aB_9",
    b'Multipart/Form-Data; Boundary="aB_9"',
    b"multipart/form-data; boundary=x; boundary=aB_9",
    b"multipart/form-data; x-boundary=x; boundary=aB_9",
    b"multipart/form-data; boundary=aB_9; charset=utf-7",
    b"multipart/form-data; boundary=aB_9, x",
    b"multipart/form-data; boundary*=utf-8''x; boundary=aB_9",
    b"multipart/mixed; boundary=aB_9",
    b"application/json; boundary=aB_9",
]
TYPES = [
    None,
    b"",
    b"application/json",
    b"Application/JSON; Charset=UTF-8",
    b"application/json; x-charset=utf-8; charset=utf-7",
    b"application/json; charset=utf-7; x-charset=utf-8",
    b"application/json; charset=utf-8; charset=utf-7",
    b"application/json; charset=utf-7; charset=utf-8",
    b'application/json; x="; charset=utf-8; "; charset=utf-7',
    b'application/json; x="charset=utf-7"',
    b'application/json; charset="utf-7"',
    b"application/json; charset='utf-8'",
    b"application/json; charset*=utf-7''x; charset=utf-8",
    b"application/json; charset=utf-16",
    b"application/json; charset=utf-16le",
    b"application/json; charset=utf-32",
    b"application/json; charset = utf-7",
    b"application/json;charset=utf-7",
    b"application/json;;charset=utf-8;",
    b"application/json; charset",
    b"application/json charset=utf-7",
    b"application/json, text/plain",
    b"text/plain, application/json",
    b"application/vnd.api+json",
    b"application/merge-patch+json; charset=utf-7",
    b"text/json; charset=utf-7",
    b"text/plain",
    b"text/plain; charset=utf-16",
    b"application/x-www-form-urlencoded",
    b"application/x-www-form-urlencoded; charset=utf-7",
    b"application/x-www-form-urlencoded; charset=iso-8859-1",
    b"application/x-www-form-urlencoded, application/json",
    b"application/octet-stream",
    b"image/png",
    b"application/xml",
    b"text/yaml",
    b"json",
    b"*/*",
]
CODINGS = {
    "utf-8": lambda text: text.encode("utf-8", "surrogatepass"),
    "utf-8 with BOM": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "utf-32-le": lambda text: text.encode("utf-32-le"),
    "utf-7": lambda text: text.replace('"', "+ACI-").encode(),
    "cp037": lambda text: text.encode("cp037", "replace"),
}
CONTENT_ENCODINGS = [
    ((), lambda body: body),
    ((b"identity",), lambda body: body),
    ((b"deflate",), zlib.compress),
    ((b"gzip",), lambda body: zlib.compress(body, wbits=31)),
    ((b"identity, gzip",), lambda body: zlib.compress(body, wbits=31)),
    ((b"x-gzip",), lambda body: zlib.compress(body, wbits=31)),
]


def requests_with_bodies(seed):
    """Headers and body of each request: texts under types in UTF-8, all codings, every multipart body; a sample each.

    Each server gets another sample, always the same one.
    """
    plain = list(product([*JSON_TEXTS, *FORM_TEXTS], TYPES, ["utf-8"], CONTENT_ENCODINGS[:1]))
    odd = list(product([*JSON_TEXTS, *FORM_TEXTS[:12]], TYPES, CODINGS, CONTENT_ENCODINGS))
    multipart = list(product(MULTIPART_TEXTS, MULTIPART_TYPES, ["utf-8"], CONTENT_ENCODINGS[:1]))
    chosen = random.Random(seed)
    sample = [*chosen.sample(plain, 1500), *chosen.sample(odd, 1000), *multipart]
    for text, media, coding, (encodings, encode) in sample:
        headers = [] if media is None else [(b"content-type", media)]
        headers += [(b"content-encoding", encoding) for encoding in encodings]
        yield headers, encode(CODINGS[coding](text))
    # More than one header of a kind.
    for first, second in product([b"application/json", b"application/x-www-form-urlencoded", b"text/plain"], repeat=2):
        yield [(b"content-type", first), (b"content-type", second)], JSON_TEXTS[1].encode()


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_reads_of_a_body_what_the_gateway_checked(servers, authorizer, token, server):
    """A body that reaches a server names no other account, however the server reads it; most plain bodies do."""
    asyncio.run(send_bodies(servers[server], authorizer, token, SERVERS.index(server)))


async def send_bodies(address, authorizer, token, seed):
    """Send every request with a body, and look at what the server read of those that were let through."""
    gateway = Gateway(authorizer, Upstream.parse(address), PastedCredentials(held), GatewayLimits())
    app = AuthorizerMiddleware(gateway, authorizer)
    outcomes = Counter()
    for headers, body in requests_with_bodies(seed):
        sent = [(b"authorization", token), (b"version", b"v3"), *headers]
        told = await ask(app, "POST", b"/contacts/", sent, body)
        outcomes[told.reason] += 1
        if told.reason is None:
            assert told.status == 200, (headers, body[:300], told)
            read = list(accounts_read(told.body))
            outcomes["read"] += bool(read)
            assert all(value == OWN for value in read), (headers, body[:300], told)
    gateway.close()
    assert outcomes.keys() <= {
        *(None, "read", "location-not-allowed", "body-malformed", "body-encoded", "body-unreadable"),
        *("content-type-malformed", "header-repeated"),
    }
    assert min(outcomes[reason] for reason in (None, "location-not-allowed", "body-encoded")) > 50, outcomes
    assert outcomes["read"] >= 10, outcomes


UTF_7 = f'{{"x":"+ACIALAAiAGwAbwBjAGEAdABpAG8AbgBJAGQAIgA6ACI-{FOREIGN}"}}'.encode()
TWO_CHARSETS = [
    b"application/json; x-charset=utf-8; charset=utf-7",
    b'application/json; x="charset=utf-8"; charset=utf-7',
    b"application/json; charset=utf-7",
]


@pytest.mark.parametrize("media", TWO_CHARSETS, ids=bytes.decode)
def test_express_decodes_no_charset_that_the_gateway_did_not(servers, authorizer, token, media):
    """Straight, Express reads UTF-7 under these types, and a foreign location in it; the gateway sends it none."""
    straight_on = straight(servers["express"], "/contacts/", "POST", UTF_7, {"Content-Type": media.decode()})
    assert list(accounts_read(straight_on)) == [FOREIGN]

    async def go():
        gateway = Gateway(authorizer, Upstream.parse(servers["express"]), PastedCredentials(held), GatewayLimits())
        sent = [(b"authorization", token), (b"version", b"v3"), (b"content-type", media)]
        told = await ask(AuthorizerMiddleware(gateway, authorizer), "POST", b"/contacts/", sent, UTF_7)
        gateway.close()
        assert (told.status, told.reason) == (415, "body-encoded")

    asyncio.run(go())


PLAIN = [
    (b"application/json; charset=utf-8", json.dumps({"locationId": OWN, "firstName": "Zo\u00eb \u2603"})),
    (b"application/x-www-form-urlencoded", f"locationId={OWN}&firstName=Ada+Lovelace"),
    (b'multipart/form-data; boundary="a:B/9"', parts(('name="locationId"', OWN), boundary="a:B/9")),
    (
        b"multipart/form-data; boundary=----WebKitFormBoundaryAb9",
        parts(('name="locationId"', OWN), boundary="----WebKitFormBoundaryAb9"),
    ),
]


@pytest.mark.parametrize("server", ["express", "fastapi", "php"])
@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case[0].decode())
def test_a_server_reads_what_consumers_usually_send(servers, authorizer, token, server, case):
    """Nothing that is rewritten on the way keeps a server from reading a body as it was meant."""
    media, text = case

    async def go():
        gateway = Gateway(authorizer, Upstream.parse(servers[server]), PastedCredentials(held), GatewayLimits())
        sent = [(b"authorization", token), (b"version", b"v3"), (b"content-type", media)]
        told = await ask(AuthorizerMiddleware(gateway, authorizer), "POST", b"/contacts/", sent, text.encode())
        gateway.close()
        return told

    told = asyncio.run(go())
    assert told.reason is None
    assert set(accounts_read(told.body)) == {OWN}


def queries():
    """Every query of the corpus that is a query: nothing that ends a request line."""
    texts = [text for text in FORM_TEXTS if len(text) < 4000 and "\r" not in text]
    more = [quote(json.dumps(fields)) for fields in FIELDS]
    return [*texts, *(f"filter={text}" for text in more), *(f"{text}={OWN}" for text in more)]


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_reads_of_a_query_what_was_checked(servers, authorizer, token, server):
    """Through the gateway, and behind one that asks by forward-auth, a query names the token's account alone."""

    async def go():
        gateway = Gateway(authorizer, Upstream.parse(servers[server]), PastedCredentials(held), GatewayLimits())
        app, check = AuthorizerMiddleware(gateway, authorizer), ForwardAuth(authorizer)
        outcomes = Counter()
        for query in queries():
            target = f"/opportunities/search?{query}".encode()
            sent = [(b"authorization", token), (b"version", b"v3")]
            told = await ask(app, "GET", target, sent)
            outcomes[told.reason] += 1
            if told.reason is None:
                assert all(value == OWN for value in accounts_read(told.body)), (query, told)
            about = [(b"x-original-method", b"GET"), (b"x-original-uri", target)]
            checked = await ask(check, "GET", f"{API}/authorize/nginx".encode(), [*sent, *about])
            if checked.status == 200:
                direct = straight(servers[server], target.decode())
                assert all(value == OWN for value in accounts_read(direct)), (query, direct)
            # Forward-auth is no laxer than the gateway, which passes queries byte for byte.
            assert (checked.status == 200) <= (told.reason is None), query
        gateway.close()
        assert outcomes[None] > 5, outcomes
        assert outcomes["location-not-allowed"] > 20, outcomes

    asyncio.run(go())


def straight(address, target, method="GET", body=None, headers=None):
    """Send a request straight to a server, without the gateway, and return the values that it read."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    try:
        connection.request(method, parts.path + target, body, headers or {})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()
