"""Signing in by an identity provider: a real one of a library, and ID tokens that are not good in every way."""

import hmac
import json
import logging
import socket
import threading
from base64 import urlsafe_b64encode
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey
from sqlalchemy import select

from guests import CHEAP, OPERATOR, PASSWORD, Guest, admitted, invited, pages_over, path_of, user_id
from oidc_provider import running_provider
from private_integrations.errors import ConfigurationError
from private_integrations_service.access.security_log import NUMBERS, SecurityLog
from private_integrations_service.operations import users
from private_integrations_service.operations.identity_provider import verified_claims
from private_integrations_service.operations.passwords import Passwords
from private_integrations_service.server.clock import utc_now
from private_integrations_service.settings import IdentityProvider, Settings
from private_integrations_service.storage import tables

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PUBLIC = "https://tokens.example.com"
START = "/settings/sign-in/provider"
LIST = "/settings/private-integrations"
ADA = {"email": "ada@example.com", "email_verified": True}
SECRET = "of the client, kept"
AMISS = "try it again later"


@pytest.fixture(scope="module")
def provider():
    """A provider on this machine, whose users and what it says of them a test sets."""
    with running_provider() as issuer:
        assert issuer.startswith("http://localhost:")
        yield issuer


def pages_with(database, catalogue, issuer, **settings):
    """The pages as they are with a provider; its clock is the real one, and so is the database's."""
    made = IdentityProvider(issuer, "our-client", SECRET)
    settings = Settings(public_url=PUBLIC, identity_provider=made, **settings)
    return pages_over(database, catalogue, settings)


@pytest.fixture
def clock():
    """The real clock, as the provider's is."""
    return utc_now


@pytest.fixture
def app(database, catalogue, provider, accounts):
    """The pages, and ada, who is invited to the first location."""
    invited(database, NOW, ADA["email"], **{accounts.location: "admin"})
    return pages_with(database, catalogue, provider)


def browser_of(app):
    """Somebody behind a proxy that speaks TLS."""
    return Guest(app, host="tokens.example.com", origin=PUBLIC)


def at_the_provider(provider, address, subject, claims):
    """Sign in there as a subject of whom it says these claims; answers where it leads back to."""
    requests.put(f"{provider}/users/{subject}", json=claims, timeout=10).raise_for_status()
    answer = requests.post(address, data={"sub": subject}, timeout=10, allow_redirects=False)
    assert answer.status_code == 302, answer.text
    return path_of(answer.headers["Location"])


def sign_in(app, provider, subject="ada-1", claims=None, browser=None, to=""):
    """The whole way; answers the browser and what it was shown at the end."""
    browser = browser or browser_of(app)
    address = browser.get(f"{START}?to={to}").location
    assert address.startswith(f"{provider}/oauth2/authorize?")
    return browser, browser.get(at_the_provider(provider, address, subject, ADA if claims is None else claims))


def test_whoever_was_invited_signs_in(app, provider, database):
    """By the address that the provider vouches for; with PKCE, state and nonce, and back to where they were going."""
    browser = browser_of(app)
    assert START in browser.get("/settings/sign-in").text
    asked = parse_qs(urlsplit(browser.get(START).location).query)
    assert asked.keys() == {
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    }
    assert asked["redirect_uri"] == [f"{PUBLIC}/settings/sign-in/provider/back"]
    assert asked["code_challenge_method"] == ["S256"]
    assert len({asked["state"][0], asked["nonce"][0], asked["code_challenge"][0]}) == 3
    browser, back = sign_in(app, provider, to="/settings/me")
    assert back.location == "/settings/me"
    assert set(browser.cookies) == {"__Host-session", "__Host-known"}
    assert "ada@example.com" in browser.get("/settings/me").text
    with database.read() as connection:
        assert [(row.subject, row.user_id) for row in connection.execute(select(tables.identities))] == [
            ("ada-1", user_id(database, "ada@example.com"))
        ]
        assert connection.execute(select(tables.one_time_codes)).all() == []


def test_a_subject_is_the_person_whatever_the_address_says(app, provider):
    """Once linked it is enough; the same address under another subject is somebody else, and stays out."""
    sign_in(app, provider)
    moved, back = sign_in(app, provider, claims={"email": "ada@elsewhere.example", "email_verified": False})
    assert back.location == LIST
    assert "ada@example.com" in moved.get("/settings/me").text
    heir, back = sign_in(app, provider, subject="ada-2")
    assert back.status == 403
    assert "belongs to another person at the provider" in back.alert
    assert "__Host-session" not in heir.cookies


def test_the_first_link_ends_what_the_invitation_opened_before(app, provider, database):
    """The password and its sessions end; the person's own page says so, and the log has an entry."""
    lines = []
    log = SecurityLog(memoryview(bytearray(NUMBERS * 8)).cast("Q"), lambda line: lines.append(json.loads(line)) or True)
    app.state.parts = replace(app.state.parts, passwords=Passwords(CHEAP), security=log)
    code = users.link(database, ADA["email"], actor=OPERATOR).code
    thief = browser_of(app)
    assert thief.post(f"/settings/welcome/{code}", password=PASSWORD).location == LIST
    person, back = sign_in(app, provider)
    assert back.location == "/settings/me"
    assert "the password that it had was removed; 1 session ended" in person.get("/settings/me").text
    assert thief.get("/settings/me").location.startswith("/settings/sign-in")
    assert thief.post("/settings/sign-in", email=ADA["email"], password=PASSWORD).status == 401
    user = user_id(database, ADA["email"])
    [linked] = [line for line in lines if line["event"] == "identity-linked"]
    assert (linked["user"], linked["password_removed"], linked["sessions_ended"]) == (user, 1, 1)
    failed = sign_in(app, provider, subject="ada-2")[1]
    assert failed.status == 403
    assert (lines[-1]["event"], lines[-1]["method"], lines[-1]["problem"]) == (
        "sign-in-failed",
        "provider",
        "identity-other",
    )
    # A person who had neither goes where they were going.
    assert sign_in(app, provider)[1].location == LIST


def test_an_operator_unlinks_somebody(app, provider, database):
    """For a new account at the provider: the sessions end, and the next subject with the address is linked."""
    browser, _ = sign_in(app, provider)
    users.forget_identities(database, "ada@example.com", actor=OPERATOR)
    assert browser.get("/settings/me").status == 303
    _, back = sign_in(app, provider, subject="ada-2")
    assert back.location == LIST
    _, back = sign_in(app, provider)
    assert back.status == 403


@pytest.mark.parametrize(
    ("claims", "status", "says"),
    [
        ({"email": "ada@example.com"}, 403, "vouch"),
        ({"email": "ada@example.com", "email_verified": False}, 403, "vouch"),
        ({"email": "ada@example.com", "email_verified": "true"}, 403, "vouch"),
        ({"email": ["ada@example.com"], "email_verified": True}, 403, "vouch"),
        ({"email_verified": True}, 403, "vouch"),
        ({"email": "eve@example.com", "email_verified": True}, 403, "Nobody has invited eve@example.com"),
        ({**ADA, "nonce": "another one"}, 502, AMISS),
        ({**ADA, "nonce": None}, 502, AMISS),
        ({**ADA, "iss": "https://evil.example"}, 502, AMISS),
        ({**ADA, "aud": "another client"}, 502, AMISS),
        ({**ADA, "aud": ["another client"]}, 502, AMISS),
        ({**ADA, "aud": ["our-client", "another client"]}, 502, AMISS),
        ({**ADA, "azp": "another client"}, 502, AMISS),
        ({**ADA, "exp": 1_700_000_000}, 502, AMISS),
        ({**ADA, "exp": None}, 502, AMISS),
        ({**ADA, "iat": 4_000_000_000}, 502, AMISS),
        ({**ADA, "nbf": 4_000_000_000}, 502, AMISS),
    ],
)
def test_whoever_the_provider_does_not_vouch_for_stays_out(app, provider, database, caplog, claims, status, says):
    """Unverified, unknown, or an ID token for something else: a page that says so, no session, no link."""
    browser, back = sign_in(app, provider, claims=claims)
    told = "sign-in by the identity provider: its ID token is not good: "
    assert [record.getMessage().startswith(told) for record in caplog.records] == [True] * (status == 502)
    assert (back.status, says in back.alert) == (status, True), back.alert
    assert set(browser.cookies) == set()
    with database.read() as connection:
        assert connection.execute(select(tables.identities)).all() == []
        assert connection.execute(select(tables.sessions)).all() == []


def test_an_address_of_other_letters_is_somebody_elses(app, provider, database, accounts):
    """What becomes an invited address only by being put into lower case was verified as another one."""
    invited(database, NOW, "kim@example.com", **{accounts.location: "admin"})
    _, back = sign_in(app, provider, claims={"email": "\u212aim@example.com", "email_verified": True})
    assert back.status == 403
    _, back = sign_in(app, provider, claims={"email": "Kim@example.com", "email_verified": True})
    assert back.status == 303


def test_whoever_is_disabled_stays_out(app, provider, database):
    """Linked or not."""
    for _ in range(2):
        users.disable(database, "ada@example.com", actor=OPERATOR)
        _, back = sign_in(app, provider)
        assert back.status == 403
        users.enable(database, "ada@example.com", actor=OPERATOR)
        assert sign_in(app, provider)[1].location == LIST


def test_an_answer_is_for_the_browser_that_asked(app, provider):
    """Another state, another browser, or the same answer twice: nobody is signed in as somebody else by an address."""
    browser = browser_of(app)
    back = at_the_provider(provider, browser.get(START).location, "ada-1", ADA)
    other = browser_of(app)
    assert other.get(back).status == 400
    other.get(START)
    assert other.get(back).status == 400
    assert "__Host-session" not in other.cookies
    state = parse_qs(urlsplit(back).query)["state"][0]
    assert browser.get(back.replace(state, state[:-1])).status == 400
    browser = browser_of(app)
    back = at_the_provider(provider, browser.get(START).location, "ada-1", ADA)
    secret = browser.cookies["__Host-provider"]
    assert browser.get(back).location == LIST
    assert browser.get(back).status == 400
    # Even with the secret kept: the provider takes a code once.
    browser.cookies["__Host-provider"] = secret
    assert browser.get(back).status == 502


def test_an_answer_of_another_issuer_is_not_looked_at(app, provider):
    """RFC 9207: the issuer in the answer, if it is there, is ours."""
    browser = browser_of(app)
    back = at_the_provider(provider, browser.get(START).location, "ada-1", ADA)
    assert browser.get(f"{back}&iss=https://evil.example").status == 502
    assert "__Host-session" not in browser.cookies


def test_a_person_who_says_no_there_is_back_at_the_sign_in(app, provider):
    """The provider's own words are not repeated."""
    browser = browser_of(app)
    address = browser.get(START).location
    state = parse_qs(urlsplit(address).query)["state"][0]
    shown = browser.get(f"{START}/back?error=access_denied&error_description=<b>no</b>&state={state}")
    assert (shown.status, shown.alert) == (502, "The identity provider did not sign you in; begin again.")
    assert "no</b>" not in shown.text
    assert START in shown.text


def test_where_it_leads_is_a_page_of_ours(app, provider):
    """Also when the cookie says otherwise."""
    for to in ("//evil.example", "https://evil.example", "/settings/%5Cevil.example"):
        assert sign_in(app, provider, to=to)[1].location == LIST


# Without an answer, or with a bad one.


@contextmanager
def answering(answer):
    """An address on this machine that says these bytes, made for its URL, to the first who connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer(url))

        thread = threading.Thread(target=serve)
        thread.start()
        yield url
        thread.join(10)


def said(body, status=b"200 OK"):
    """An answer with this body."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        said(b"<html>", b"503 Busy"),
        said(b"[]"),
        said(b'{"issuer": "https://evil.example"}'),
        said(b"\xff" * 100),
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    ],
)
def test_a_provider_that_makes_no_sense_is_a_calm_page(database, catalogue, answer, caplog):
    """One line for the operator, none of the provider's words for the person, no secret in either."""
    with answering(lambda _: answer) as issuer, caplog.at_level(logging.WARNING):
        shown = browser_of(pages_with(database, catalogue, issuer)).get(START)
    assert (shown.status, shown.alert) == (502, "The identity provider can't be asked; try it again later.")
    assert len(caplog.records) == 1
    assert SECRET not in caplog.text


@pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"])
@pytest.mark.parametrize("url", ["http://login.example.com/", "ftp://localhost/", "javascript:alert(1)", "https://a b"])
def test_nobody_is_sent_to_an_address_without_tls(database, catalogue, caplog, endpoint, url):
    """Nor is the client's secret: each endpoint is https, or on this machine."""

    def about(issuer):
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
        return said(json.dumps({"issuer": issuer, **dict.fromkeys(names, f"{issuer}/x"), endpoint: url}).encode())

    with answering(about) as issuer, caplog.at_level(logging.WARNING):
        assert browser_of(pages_with(database, catalogue, issuer)).get(START).status == 502
    assert [record.args[0].args for record in caplog.records] == [(f"its {endpoint} is no https address",)]


def test_nothing_secret_is_said_where_the_provider_refuses(app, provider, caplog):
    """A code that it doesn't know: its error's name is for the operator; code and secret are in no log and no page."""
    browser = browser_of(app)
    address = browser.get(START).location
    state = parse_qs(urlsplit(address).query)["state"][0]
    with caplog.at_level(logging.WARNING, logger="private_integrations_service"):
        shown = browser.get(f"{START}/back?code=made-up-code&state={state}")
    ours = [record for record in caplog.records if record.name.startswith("private_integrations_service")]
    assert [record.getMessage() for record in ours] == [
        f"sign-in by the identity provider: {provider.removeprefix('http://')} answers 400 invalid_grant"
        " to POST /oauth2/token"
    ]
    assert shown.status == 502
    for secret in (SECRET, "made-up-code", browser.cookies.get("__Host-provider", "of nobody")):
        assert secret not in shown.text


# ID tokens, one by one.

KEY = RSAKey.generate_key(2048, {"kid": "k1", "alg": "RS256"})
KEYS = KeySet([RSAKey.import_key(KEY.as_dict(private=False))])
CLAIMS = {
    "iss": "https://login.example.com",
    "aud": "our-client",
    "sub": "ada-1",
    "nonce": "n",
    "iat": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 300,
}


def read(id_token, now=NOW):
    """The claims, as this sign-in expects them."""
    return verified_claims(
        id_token, KEYS, issuer="https://login.example.com", client_id="our-client", nonce="n", now=now
    )


def signed(key=KEY, header=None, **changes):
    """An ID token."""
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not ...}
    algorithm = {"alg": "RS256", "kid": "k1", **(header or {})}
    return jwt.encode(algorithm, claims, key, algorithms=[algorithm["alg"]])


def test_a_good_id_token_is_good_for_its_time():
    """Until it expires, and a minute more, as clocks differ."""
    assert read(signed())["sub"] == "ada-1"
    assert read(signed(), NOW + timedelta(minutes=5, seconds=59))
    with pytest.raises(JoseError):
        read(signed(), NOW + timedelta(minutes=6))
    assert read(signed(), NOW - timedelta(seconds=60))
    with pytest.raises(JoseError):
        read(signed(), NOW - timedelta(seconds=61))
    assert read(signed(aud=["our-client", "other"], azp="our-client"))


@pytest.mark.parametrize(
    "changes",
    [
        *({name: ...} for name in ("iss", "aud", "sub", "nonce", "iat", "exp")),
        {"iss": "https://login.example.com/"},
        {"iss": ["https://login.example.com"]},
        {"sub": ""},
        {"sub": 7},
        {"nonce": ["n"]},
        {"nonce": ""},
        {"aud": []},
        {"aud": {"our-client": 1}},
        {"aud": ["our-client", "other"]},
        {"azp": "other"},
        {"azp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": float("inf")},
        {"iat": "now"},
    ],
)
def test_an_id_token_with_a_claim_amiss_is_not_good(changes):
    """Missing, of another shape, or of another value."""
    with pytest.raises(JoseError):
        read(signed(**changes))


NONE, SHARED = b'{"alg":"none"}', b'{"alg":"HS256","kid":"k1"}'


def encoded(part):
    """A part of a token."""
    return urlsafe_b64encode(part).decode().rstrip("=")


def test_only_signatures_of_the_providers_keys_count():
    """Not none at all, not one of another key, not one that takes the public key for a shared secret."""
    head, body, signature = signed().split(".")
    none = f"{encoded(NONE)}.{body}."
    shared = f"{encoded(SHARED)}.{body}"
    confused = f"{shared}.{encoded(hmac.digest(KEY.as_pem(private=False), shared.encode(), 'sha256'))}"
    other = signed(RSAKey.generate_key(2048, {"kid": "k1"}))
    elliptic = signed(ECKey.generate_key("P-256", {"kid": "k1"}), {"alg": "ES256"})
    unknown = signed(header={"kid": "k2"})
    for id_token in (
        none,
        none.rstrip(".") + "." + signature,
        confused,
        other,
        elliptic,
        unknown,
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{signed(sub='eve').split('.')[1]}.{signature}",
        "",
        "a.b.c",
        "\xe9.b.c",
    ):
        with pytest.raises(JoseError):
            read(id_token)


# The settings.

GIVEN = {
    "PRIVATE_INTEGRATIONS_PUBLIC_URL": PUBLIC + "/",
    "PRIVATE_INTEGRATIONS_OIDC_ISSUER": "https://login.example.com/",
    "PRIVATE_INTEGRATIONS_OIDC_CLIENT_ID": "our-client",
    "PRIVATE_INTEGRATIONS_OIDC_CLIENT_SECRET": SECRET,
}


def test_the_settings_of_a_provider(tmp_path):
    """From variables, the secret from a private file too; it is in no text of the settings."""
    settings = Settings.from_environment(GIVEN)
    assert settings.public_url == PUBLIC
    assert settings.identity_provider == IdentityProvider("https://login.example.com", "our-client", SECRET)
    assert SECRET not in repr(settings)
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    kept = GIVEN | {
        "PRIVATE_INTEGRATIONS_OIDC_CLIENT_SECRET": "",
        "PRIVATE_INTEGRATIONS_OIDC_CLIENT_SECRET_FILE": str(file),
    }
    assert Settings.from_environment(kept) == replace(settings)
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Settings.from_environment(kept)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"PUBLIC_URL": ""}, "PRIVATE_INTEGRATIONS_PUBLIC_URL must be set, so that"),
        ({"PUBLIC_URL": "http://tokens.example.com"}, "PRIVATE_INTEGRATIONS_PUBLIC_URL must begin with https://"),
        ({"PUBLIC_URL": f"{PUBLIC}/here"}, "PRIVATE_INTEGRATIONS_PUBLIC_URL has a path"),
        ({"PUBLIC_URL": "tokens.example.com"}, "PRIVATE_INTEGRATIONS_PUBLIC_URL is no URL"),
        ({"PUBLIC_URL": "https://["}, "PRIVATE_INTEGRATIONS_PUBLIC_URL is no URL"),
        ({"OIDC_ISSUER": "http://login.example.com"}, "PRIVATE_INTEGRATIONS_OIDC_ISSUER must begin with https://"),
        ({"OIDC_ISSUER": ""}, "PRIVATE_INTEGRATIONS_OIDC_ISSUER must be set too"),
        ({"OIDC_CLIENT_ID": ""}, "PRIVATE_INTEGRATIONS_OIDC_CLIENT_ID must be set too"),
        ({"OIDC_CLIENT_SECRET": ""}, "PRIVATE_INTEGRATIONS_OIDC_CLIENT_SECRET must be set too"),
        ({"OIDC_CLIENT_SECRET_FILE": "/nowhere"}, "not both"),
        ({"PASSWORD_SIGN_IN": "no"}, 'PRIVATE_INTEGRATIONS_PASSWORD_SIGN_IN "no" is neither "on" nor "off"'),
    ],
)
def test_settings_that_can_not_be_meant_are_refused(changes, says):
    """At start, in one line that names the variable; the secret is not in it."""
    given = GIVEN | {f"PRIVATE_INTEGRATIONS_{name}": value for name, value in changes.items()}
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment(given)
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)


def test_without_passwords_there_must_be_a_provider():
    """Or nobody could sign in."""
    with pytest.raises(ConfigurationError, match="nobody could sign in"):
        Settings.from_environment({"PRIVATE_INTEGRATIONS_PASSWORD_SIGN_IN": "off"})


def test_with_passwords_off_none_is_taken(database, catalogue, provider, accounts):
    """No form asks for one, none opens a session, no link lets one be chosen, and none is made."""
    code = invited(database, NOW, ADA["email"], **{accounts.location: "admin"})
    app = pages_with(database, catalogue, provider, password_sign_in=False)
    browser = browser_of(app)
    assert 'type="password"' not in browser.get("/settings/sign-in").text
    assert browser.post("/settings/sign-in", email=ADA["email"], password="x" * 12).status == 401
    assert browser.post(f"/settings/welcome/{code}", password="seven quiet harbours").status == 401
    browser, back = sign_in(app, provider)
    assert back.location == LIST
    assert 'type="password"' not in browser.get("/settings/me").text
    roles = f"/settings/accounts/{accounts.location}/roles"
    made = browser.post(f"{roles}/invite", email="new@example.com", role="user")
    again = browser.post(f"{roles}/{user_id(database, 'new@example.com')}/link")
    for answer in (made, again):
        assert answer.status == 200
        assert "/settings/welcome/" not in answer.text
    with database.read() as connection:
        assert connection.execute(select(tables.one_time_codes)).all() == []
    assert browser.post("/settings/me/password", present="x" * 12, password="seven quiet harbours").status == 401


def test_without_a_provider_there_is_no_such_page(database, catalogue, clock, accounts):
    """And nothing of it on the sign-in page."""
    invited(database, clock(), ADA["email"], **{accounts.location: "admin"})
    app = pages_over(database, catalogue, Settings())
    assert START not in Guest(app).get("/settings/sign-in").text
    assert Guest(app).get(START).status == 404
    assert Guest(app).get(f"{START}/back?code=x&state=y").status == 404
    assert admitted(app, database, clock(), ADA["email"]).get("/settings/me").status == 200
