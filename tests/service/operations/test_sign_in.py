"""Signing in: passwords, sessions, forms of other sites, and how often somebody may try."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select

from guests import (
    CHEAP,
    HOME,
    HOST,
    OPERATOR,
    PASSWORD,
    Guest,
    admitted,
    cheap_pages,
    invited,
    pages_over,
    try_to_sign_in,
    user_id,
)
from private_integrations.contract import Refused
from private_integrations_service.operations import passwords, users
from private_integrations_service.operations.password_strength import Words
from private_integrations_service.operations.passwords import Passwords, TooManySignInsError, refuse_password
from private_integrations_service.settings import Settings
from private_integrations_service.storage import tables
from private_integrations_service.storage import users as stored_users

EMAIL = "ada@example.com"


@pytest.fixture
def app(database, catalogue, clock):
    """The pages over a fresh database, with the settings as they are by default."""
    return cheap_pages(database, catalogue, clock)


@pytest.fixture
def ada(app, database, clock, accounts):
    """The browser of an admin who has chosen a password."""
    code = invited(database, clock(), EMAIL, **{accounts.location: "admin"})
    browser = Guest(app)
    assert browser.post(f"/settings/welcome/{code}", password=PASSWORD).location == HOME
    browser.get("/settings/me")
    return browser


def sessions_in(database):
    """How many sessions are stored."""
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(tables.sessions)).scalar_one()


# Passwords.


KNOWN = Words.of(EMAIL, "Ada Lovelace", "Aurora Dental")
COMMON, SERVICE, PERSONAL = "what others use, too", "this service's own words", "your address, your name or"


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("seven quiet", "at least 12 characters"),
        ("x" * 257, "at most 256 characters"),
        ("ab" * 6, COMMON),
        ("............", COMMON),
        ("Password 1234", COMMON),
        ("Password123!", COMMON),
        ("P@ssw0rd2026!", COMMON),
        ("p.a.s.s.w.o.r.d", COMMON),
        ("Welcome2026!", COMMON),
        ("!!Welcome2027!!", COMMON),
        ("letmein12345", COMMON),
        ("Sunshine2026!!", COMMON),
        ("Passwort1234!", COMMON),
        ("Monkey-Dragon-12", COMMON),
        ("abcd-efgh-ijkl", COMMON),
        ("1234-5678-9012", COMMON),
        ("qwertyuiop[]", COMMON),
        ("Summer2026!!", COMMON),
        ("\uff30assword\uff11\uff12\uff13!", COMMON),
        ("PrivateIntegrations1", SERVICE),
        ("private-integrations-2026", SERVICE),
        ("GoHighLevel2026!", SERVICE),
        ("Pulumi-Rotation-1", SERVICE),
        ("ADA@example.com", PERSONAL),
        ("Ada-Example-2026", PERSONAL),
        ("L0velace-1815!", PERSONAL),
        ("aurora dental 26", PERSONAL),
        ("AuroraDental!2026", PERSONAL),
    ],
)
def test_a_password_that_is_easy_to_guess_is_refused_with_the_reason(password, why):
    """Too short, too long, or made of what others use, of the service's words or of the person's, however spelled."""
    refused = refuse_password(password, KNOWN)
    assert refused is not None
    assert refused.problem == "password-weak"
    assert why in refused.detail
    assert password not in refused.detail


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "nine loud mountains",
        "correct horse battery staple",
        "blue table sings",
        "ünïcödé-wörds",
        "日本語のパスワードです今日は",
        "xK9#mQ2$vL7p",
        "x!7Gq.R2_m#w",
        "hpv7-kzq2-mw9x",
        "seven quiet harbours and a passphrase that goes on for as long as it may " * 3,
    ],
)
def test_a_password_that_is_hard_to_guess_is_taken(password):
    """Three words in a row, long passphrases, letters of all kinds, and what a password manager makes."""
    assert refuse_password(password, KNOWN) is None


@pytest.mark.parametrize(
    "password",
    [
        "4@8({[<369&#!1/|0$57+%2" * 11,
        "0123456789" * 25,
        "p4ssw0rd!@" * 25,
        "abcdefghijklmnopqrstuvwxyz0123456789" * 7,
        "1a7l2z3e4a5s6g7t8b9g0o" * 11,
        "\u0301" * 256,
    ],
)
def test_no_password_takes_long_to_examine(password):
    """The estimate would need minutes for some of these; it sees a part of them only."""
    begin = time.process_time()
    refuse_password(password, Words.of(EMAIL, *(f"Account {number} of many" for number in range(50))))
    assert time.process_time() - begin < 2


def test_a_password_is_hashed_by_argon2id_with_the_parameters_of_the_rfc(database, catalogue, clock):
    """64 MiB, three passes, four lanes, a salt of its own: as the pages have it when nothing else is said."""
    hashes = pages_over(database, catalogue, Settings()).state.parts.passwords
    with hashes.turn() as turn:
        first, second = turn.hash(PASSWORD), turn.hash(PASSWORD)
        assert first.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
        assert first != second
        assert turn.fits(PASSWORD, first)
        assert not turn.fits(PASSWORD + " ", first)


def test_the_same_letters_composed_otherwise_are_the_same_password():
    """One keyboard sends é as one character, another as two."""
    with Passwords(CHEAP).turn() as turn:
        assert turn.fits("cafe\u0301 au lait, mais oui", turn.hash("caf\u00e9 au lait, mais oui"))


def test_a_hash_of_former_parameters_is_made_anew(app, ada, database, clock):
    """Whoever signs in with one has one of today's afterwards."""
    user = user_id(database, EMAIL)
    with database.write() as write:
        former = PasswordHasher(time_cost=1, memory_cost=64, parallelism=2).hash(PASSWORD)
        stored_users.set_password(write.connection, user, former)
    assert try_to_sign_in(Guest(app), PASSWORD).location == HOME
    with database.read() as connection:
        assert not Passwords(CHEAP).is_outdated(stored_users.password_of(connection, user))
    assert try_to_sign_in(Guest(app), PASSWORD).location == HOME


def test_a_hash_is_made_for_whoever_there_is_not(app, ada, database, clock, accounts, monkeypatch):
    """An unknown address, a user without a password and a wrong one take the same: one comparison, of equal cost."""
    invited(database, clock(), "new@example.com", **{accounts.location: "user"})
    compared = []
    verify = passwords.PasswordHasher.verify

    def counting(hasher, known, password):
        compared.append(known.rpartition("$")[0].rpartition("$")[0])
        return verify(hasher, known, password)

    monkeypatch.setattr(passwords.PasswordHasher, "verify", counting)
    answers = set()
    for email in (EMAIL, "new@example.com", "nobody@example.com"):
        answer = try_to_sign_in(Guest(app), "wrong password", email)
        answers.add((answer.status, answer.text.replace(email, "…")))
    assert [status for status, _ in answers] == [401]
    assert len(compared) == 3
    assert len(set(compared)) == 1


def test_few_hashes_are_made_at_a_time(monkeypatch):
    """Two hold memory, one waits, and the next one is told at once; nobody waits longer than they have patience."""
    going, release = threading.Semaphore(0), threading.Event()

    def slow(hasher, password):
        going.release()
        release.wait(10)
        return "hash"

    def hash_with(hashes, known=None):
        with hashes.turn(known) as turn:
            return turn.hash(PASSWORD)

    monkeypatch.setattr(passwords.PasswordHasher, "hash", slow)
    hashes = Passwords(at_once=2, waiting=1, patience=10)
    with ThreadPoolExecutor(4) as pool:
        first = [pool.submit(hash_with, hashes) for _ in range(2)]
        for _ in first:
            assert going.acquire(timeout=10)
        third = pool.submit(hash_with, hashes)
        while hashes._unknown._places._value:
            pass
        with pytest.raises(TooManySignInsError):
            hash_with(hashes)
        assert not going.acquire(blocking=False)
        # A known person has exactly one turn of their own.
        known = pool.submit(hash_with, hashes, "usr_1")
        assert going.acquire(timeout=10)
        with pytest.raises(TooManySignInsError):
            hash_with(hashes, "usr_1")
        release.set()
        assert [one.result(10) for one in (*first, third, known)] == ["hash"] * 4
        assert hash_with(hashes, "usr_1") == "hash"
        for _ in range(2):
            assert going.acquire(timeout=10)
    impatient = Passwords(at_once=1, waiting=1, patience=0)
    release.clear()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hash_with, impatient)
        assert going.acquire(timeout=10)
        with pytest.raises(TooManySignInsError):
            hash_with(impatient)
        release.set()
        assert held.result(10) == "hash"


def test_no_hash_is_made_while_others_wait_to_write(app, ada, database, monkeypatch):
    """The writers' turn is free while a password is looked at."""
    seen = []
    verify = passwords.PasswordHasher.verify

    def write():
        with database.write():
            """Every write stores the latest instant."""

    def looking(hasher, known, password):
        with ThreadPoolExecutor(1) as other:
            seen.append(other.submit(write).result(3))
        return verify(hasher, known, password)

    monkeypatch.setattr(passwords.PasswordHasher, "verify", looking)
    assert try_to_sign_in(Guest(app), PASSWORD).location == HOME
    assert seen == [None]


# Sessions.


def test_a_session_is_new_at_every_sign_in(ada, database, app):
    """Signing in again in the same browser ends the session that it had; the old secret opens nothing."""
    old = dict(ada.cookies)
    assert try_to_sign_in(ada, PASSWORD).location == HOME
    assert ada.cookies["session"] != old["session"]
    assert sessions_in(database) == 1
    assert Guest(app, cookies=old).get("/settings/me").location.startswith("/settings/sign-in")


def test_a_session_ends_when_it_is_not_used_and_when_it_is_old(ada, clock, database):
    """After 12 hours of rest, or after 7 days, however much it is used; it is gone once somebody signs in."""
    for _ in range(14):
        clock.move(hours=11)
        assert ada.get("/settings/me").status == 200
    clock.move(hours=14)
    assert ada.get("/settings/me").location.startswith("/settings/sign-in")
    try_to_sign_in(ada, PASSWORD)
    clock.move(hours=11, minutes=59)
    assert ada.get("/settings/me").status == 200
    clock.move(hours=12)
    assert ada.get("/settings/me").location.startswith("/settings/sign-in")
    try_to_sign_in(ada, PASSWORD)
    assert sessions_in(database) == 1


def test_that_a_session_is_used_is_stored_now_and_then(ada, clock, database):
    """A page is no write, but one in five minutes is."""

    def seen():
        with database.read() as connection:
            return connection.execute(select(tables.sessions.c.seen_at)).scalar_one()

    before = seen()
    clock.move(minutes=4)
    ada.get("/settings/me")
    assert seen() == before
    clock.move(minutes=1)
    ada.get("/settings/me")
    assert seen() == before + timedelta(minutes=5)


def test_the_cookie_is_for_this_host_and_no_script(ada, app):
    """HttpOnly and SameSite always; Secure and `__Host-` wherever it isn't this machine, also behind a proxy."""
    for host, origin, secure in (
        (HOST, f"http://{HOST}", False),
        ("localhost", "http://localhost", False),
        ("[::1]:8750", "http://[::1]:8750", False),
        ("tokens.example.com", "https://tokens.example.com", True),
        ("tokens.example.com:8443", "https://tokens.example.com:8443", True),
        # A proxy that names its own upstream as the host.
        (HOST, "https://tokens.example.com", True),
    ):
        browser = Guest(app, host=host, origin=origin)
        made = try_to_sign_in(browser, PASSWORD)
        session = next(line for line in made.set_cookies if "session=" in line)
        assert session.startswith("__Host-session=" if secure else "session="), host
        assert ("Secure" in session) == secure
        assert "HttpOnly" in session
        assert "SameSite=lax" in session
        assert "Path=/" in session
        assert "Domain" not in session
        assert browser.get("/settings/me").status == 200


def test_a_public_address_decides_alone(ada, database, catalogue, clock):
    """With one, cookies are as it says, and forms are taken from it only."""
    app = cheap_pages(database, catalogue, clock, Settings(public_url="https://tokens.example.com"))
    browser = Guest(app, host=HOST, origin="https://tokens.example.com")
    assert try_to_sign_in(browser, PASSWORD).location == HOME
    assert set(browser.cookies) == {"__Host-session", "__Host-known"}
    assert browser.get("/settings/me").status == 200
    elsewhere = try_to_sign_in(Guest(app), PASSWORD)
    assert (elsewhere.status, elsewhere.alert) == (
        403,
        "This service is at https://tokens.example.com; open it there. Nothing was done.",
    )


def test_a_plain_cookie_is_no_session_on_another_host(ada, app):
    """A name that other hosts of the domain could set counts for nothing where `__Host-` is possible."""
    browser = Guest(app, host="tokens.example.com", cookies={"session": ada.cookies["session"]})
    assert browser.get("/settings/me").location.startswith("/settings/sign-in")
    browser.cookies = {"__Host-session": ada.cookies["session"]}
    assert browser.get("/settings/me").status == 200


def test_a_new_password_ends_every_other_session(ada, app):
    """The browser that changed it goes on with a new secret; the former password opens nothing."""
    other = Guest(app)
    try_to_sign_in(other, PASSWORD)
    old = dict(ada.cookies)
    assert ada.post("/settings/me/password", present=PASSWORD, password="nine loud mountains").notice
    assert ada.get("/settings/me").status == 200
    assert other.get("/settings/me").location.startswith("/settings/sign-in")
    assert Guest(app, cookies=old).get("/settings/me").location.startswith("/settings/sign-in")
    assert try_to_sign_in(Guest(app), PASSWORD).status == 401
    assert try_to_sign_in(Guest(app), "nine loud mountains").location == HOME


def test_a_password_is_changed_by_whoever_knows_it(ada):
    """Not by somebody at an open screen, who can't try it out either; and not into a weak one."""
    weak = [ada.post("/settings/me/password", present=PASSWORD, password="short").status for _ in range(12)]
    assert weak == [422] * 12
    wrong = [ada.post("/settings/me/password", present="guess", password="nine loud mountains") for _ in range(11)]
    assert [answer.status for answer in wrong] == [422] * 10 + [429]
    assert ada.get("/settings/me").status == 200


def test_whoever_is_disabled_while_their_password_is_hashed_stays_out(ada, app, database, clock, monkeypatch):
    """The new password isn't taken, and no session waits for them to be enabled again."""
    hashed = passwords.PasswordHasher.hash

    def interrupted(hasher, password):
        users.disable(database, EMAIL, actor=OPERATOR)
        return hashed(hasher, password)

    with monkeypatch.context() as patched:
        patched.setattr(passwords.PasswordHasher, "hash", interrupted)
        ada.post("/settings/me/password", present=PASSWORD, password="nine loud mountains")
    assert sessions_in(database) == 0
    users.enable(database, EMAIL, actor=OPERATOR)
    assert try_to_sign_in(Guest(app), PASSWORD).location == HOME


def test_own_sessions_are_seen_and_ended(ada, app, database):
    """One's own page has them by browser and address; ending one is for its owner, all of them are ended at once."""
    other = Guest(app, address="198.51.100.3")
    try_to_sign_in(other, PASSWORD)
    shown = ada.get("/settings/me").text
    assert "198.51.100.3" in shown
    assert "192.0.2.7" in shown
    assert ada.cookies["session"] not in shown
    with database.read() as connection:
        rows = connection.execute(select(tables.sessions.c.id, tables.sessions.c.address)).all()
    ids = {row.address: row.id for row in rows}
    assert ada.post(f"/settings/me/sessions/{ids['198.51.100.3']}/end").notice == "session-ended"
    assert other.get("/settings/me").location.startswith("/settings/sign-in")
    assert ada.get("/settings/me").status == 200
    try_to_sign_in(other, PASSWORD)
    assert ada.post("/settings/me/sign-out-everywhere").notice == "signed-out-everywhere"
    assert sessions_in(database) == 0


def test_somebody_elses_session_is_not_ended(ada, app, database, clock, accounts):
    """Its id is worth nothing to others."""
    invited(database, clock(), "bob@example.com", **{accounts.location: "admin"})
    bob = admitted(app, database, clock(), "bob@example.com")
    with database.read() as connection:
        owner = tables.sessions.c.user_id == user_id(database, EMAIL)
        session = connection.execute(select(tables.sessions.c.id).where(owner)).scalar_one()
    bob.post(f"/settings/me/sessions/{session}/end")
    assert ada.get("/settings/me").status == 200


def test_whoever_is_disabled_is_out_at_once(ada, app, database, clock):
    """Sessions, links and the password open nothing; enabled again, the password does, and no old session."""
    with database.write() as write:
        code = users.link.step(write, EMAIL, actor=OPERATOR).code
        users.disable.step(write, EMAIL, actor=OPERATOR)
    assert ada.get("/settings/me").location.startswith("/settings/sign-in")
    assert try_to_sign_in(Guest(app), PASSWORD).status == 401
    assert Guest(app).post(f"/settings/welcome/{code}", password=PASSWORD).status == 404
    with database.write() as write:
        assert isinstance(users.link.step(write, "ada@example.com", actor=OPERATOR), Refused)
        users.enable.step(write, EMAIL, actor=OPERATOR)
    assert ada.get("/settings/me").location.startswith("/settings/sign-in")
    assert Guest(app).get(f"/settings/welcome/{code}").status == 404
    assert try_to_sign_in(Guest(app), PASSWORD).location == HOME


# One-time links.


def test_a_link_works_once_and_for_three_days(app, database, clock, accounts):
    """A newer one, its use, and time end it; a weak password doesn't use it up."""
    first = invited(database, clock(), "bob@example.com", **{accounts.location: "user"})
    second = invited(database, clock(), "bob@example.com", **{accounts.location: "user"})
    browser = Guest(app)
    assert browser.get(f"/settings/welcome/{first}").status == 404
    clock.move(days=2, hours=23)
    assert "bob@example.com" in browser.get(f"/settings/welcome/{second}").text
    assert browser.post(f"/settings/welcome/{second}", password="bob@example.com").status == 422
    assert browser.post(f"/settings/welcome/{second}", password=PASSWORD).location == HOME
    assert browser.post(f"/settings/welcome/{second}", password=PASSWORD).status == 404
    third = invited(database, clock(), "cat@example.com", **{accounts.location: "user"})
    clock.move(days=3)
    assert browser.get(f"/settings/welcome/{third}").status == 404


# How often.


def test_failures_slow_down_and_are_forgotten_by_success(ada, app, clock):
    """Five are free; then a second, doubling to a quarter of an hour, as the header says; then all is well again."""
    stranger = Guest(app)
    assert [try_to_sign_in(stranger, f"guess {n}").status for n in range(6)] == [401] * 5 + [429]
    waits = []
    for _ in range(12):
        told = try_to_sign_in(stranger, PASSWORD)
        waits.append(int(told.headers["retry-after"]))
        clock.move(seconds=waits[-1])
        assert try_to_sign_in(stranger, "guess").status == 401
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert try_to_sign_in(stranger, PASSWORD).alert == "Too many tries went wrong; the next one is taken in 15 minutes."
    clock.move(minutes=15)
    assert try_to_sign_in(stranger, PASSWORD).location == HOME
    assert [try_to_sign_in(Guest(app), "guess").status for _ in range(5)] == [401] * 5


def test_strangers_lock_nobody_out_who_is_known(ada, app, clock):
    """A live session isn't touched by them, and a browser that was signed in with before has a count of its own."""
    stranger = Guest(app, address="198.51.100.66")
    for _ in range(5):
        try_to_sign_in(stranger, "guess")
    assert try_to_sign_in(stranger, PASSWORD).status == 429
    assert try_to_sign_in(Guest(app, address="203.0.113.5"), PASSWORD).status == 429
    assert ada.get("/settings/me").status == 200
    ada.post("/settings/sign-out")
    assert try_to_sign_in(ada, PASSWORD).location == HOME


def test_a_known_browser_is_throttled_too(ada):
    """Ten failures are free in it."""
    statuses = [try_to_sign_in(ada, "guess").status for _ in range(11)]
    assert statuses == [401] * 10 + [429]


def test_a_known_browser_is_known_for_its_own_user_only(ada, app, database, clock, accounts):
    """Having an account helps nobody to try another one."""
    invited(database, clock(), "bob@example.com", **{accounts.location: "admin"})
    statuses = [try_to_sign_in(ada, "guess", "bob@example.com").status for _ in range(6)]
    assert statuses == [401] * 5 + [429]


def test_an_address_that_tries_many_accounts_is_slowed_down(ada, app):
    """Thirty failures from one network, with successes of one's own in between; others are not concerned."""
    stranger = Guest(app, address="2001:db8::1")
    for n in range(30):
        stranger.address = f"2001:db8::{n:x}"
        assert try_to_sign_in(stranger, "guess", f"user{n}@example.com").status == 401
    assert try_to_sign_in(stranger, PASSWORD).status == 429
    assert try_to_sign_in(Guest(app, address="2001:db8:0:1::1"), PASSWORD).location == HOME


def test_a_success_takes_back_its_own_count_only(app, ada, clock):
    """Whoever has an account can't clear the count of their address with it."""
    stranger = Guest(app, address="198.51.100.66")
    for n in range(29):
        try_to_sign_in(stranger, "guess", f"user{n}@example.com")
    assert try_to_sign_in(stranger, PASSWORD).location == HOME
    assert try_to_sign_in(stranger, "guess", "user30@example.com").status == 401
    assert try_to_sign_in(stranger, "guess", "user31@example.com").status == 429


def test_many_tries_at_once_are_many(ada, app):
    """Each is counted before it is looked at: of twenty at the same moment, five are compared."""
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: try_to_sign_in(Guest(app), f"guess {n}").status, range(20)))
    assert sorted(answers) == [401] * 5 + [429] * 15


def test_a_try_that_nobody_looked_at_clears_nothing(ada, app, monkeypatch):
    """Whoever keeps every hash busy gets no free guesses by it: such a try takes back itself, and none before it."""
    app.state.parts = replace(app.state.parts, passwords=Passwords(CHEAP, at_once=1, waiting=0))
    assert [try_to_sign_in(Guest(app), "guess").status for _ in range(4)] == [401] * 4
    going, release = threading.Event(), threading.Event()
    verify = passwords.PasswordHasher.verify

    def slow(hasher, known, password):
        going.set()
        release.wait(10)
        return verify(hasher, known, password)

    with monkeypatch.context() as patched, ThreadPoolExecutor(1) as pool:
        patched.setattr(passwords.PasswordHasher, "verify", slow)
        other = pool.submit(try_to_sign_in, Guest(app), "guess", "nobody@example.com")
        assert going.wait(10)
        assert try_to_sign_in(Guest(app), "guess").status == 503
        release.set()
        assert other.result().status == 401
    assert [try_to_sign_in(Guest(app), "guess").status for _ in range(2)] == [401, 429]


def test_counts_survive_a_restart_and_hold_for_every_worker(ada, database, catalogue, clock):
    """They are in the database; after a day without a failure nothing of them is left."""
    for _ in range(5):
        try_to_sign_in(Guest(cheap_pages(database, catalogue, clock)), "guess")
    again = cheap_pages(database, catalogue, clock)
    assert try_to_sign_in(Guest(again), PASSWORD).status == 429
    clock.move(days=1)
    assert try_to_sign_in(Guest(again), "guess", "nobody@example.com").status == 401
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(tables.sign_in_failures)).scalar_one() == 2


def test_what_was_typed_as_an_address_is_not_stored(ada, app, database):
    """It may have been a password."""
    try_to_sign_in(Guest(app), "x", email="my secret passphrase")
    for file in database.folder.iterdir():
        assert b"my secret passphrase" not in file.read_bytes()


# Forms of other sites, and where a sign-in leads.


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, "another site"),
        ({"sec-fetch-site": "same-site", "origin": f"http://{HOST}"}, "another site"),
        ({"origin": "https://evil.example"}, "another site"),
        ({"origin": "null"}, "another site"),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, "another site"),
        ({"origin": f"http://{HOST}.evil.example"}, "another site"),
        ({"origin": f"http://{HOST}/"}, "another site"),
        ({"origin": ""}, "another site"),
        ({"origin": f"http://{HOST}", "host": "["}, "another site"),
        ({"origin": "http://x@y", "host": "x@y"}, "another site"),
        ({}, "another site"),
        ({"origin": "http://tokens.example.com", "host": "tokens.example.com"}, "Over plain http"),
    ],
)
def test_a_form_of_another_site_does_nothing(ada, headers, why):
    """Signing in is refused as everything else: nobody is signed in as somebody else by a link."""
    for path, fields in (("/settings/sign-in", {"email": EMAIL, "password": PASSWORD}), ("/settings/sign-out", {})):
        answer = ada.post(path, headers=headers, **fields)
        assert answer.status == 403
        assert why in answer.alert
        assert not answer.set_cookies
    assert ada.get("/settings/me").status == 200


@pytest.mark.parametrize(
    "headers", [{"origin": f"http://{HOST}"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}]
)
def test_a_form_of_ours_is_taken_as_browsers_send_it(ada, headers):
    """Old ones say the origin, new ones the site too; sending a form anew is the person's own doing."""
    assert ada.post("/settings/sign-out", headers=headers).notice == "signed-out"


def test_a_form_without_the_sessions_key_does_nothing(ada):
    """Also one of the right origin: the key of another session, none, or an empty one."""
    for key in ("", "x", ada.form_key[:-1]):
        assert ada.post("/settings/sign-out", form_key=key).status == 403
    assert ada.get("/settings/me").status == 200


def test_a_form_that_cant_be_read_is_refused(ada):
    """Too many fields, or no text."""
    headers = {"origin": f"http://{HOST}"}
    for content in (b"&".join(b"a=1" for _ in range(1001)), b"form_key=\xff"):
        answer = ada.ask("POST", "/settings/sign-out", headers, content)
        assert (answer.status, answer.alert) == (400, "This form can't be read; nothing was changed.")


def test_asking_for_the_head_only_is_reading(ada):
    """As monitors do."""
    assert ada.ask("HEAD", "/settings/me", {}).status == 200
    assert Guest(ada.app).ask("HEAD", "/settings/me", {}).location == "/settings/sign-in?to=%2Fsettings%2Fme"


@pytest.mark.parametrize(
    ("to", "leads"),
    [
        ("/settings/me", "/settings/me"),
        ("/settings/private-integrations?account=a&x=%2F", "/settings/private-integrations?account=a&x=%2F"),
        ("//evil.example", HOME),
        ("/settings//evil.example", "/settings//evil.example"),
        ("/\\evil.example", HOME),
        ("/settings/\\evil.example", HOME),
        ("https://evil.example/settings/", HOME),
        ("/settings/x\r\nSet-Cookie: a=b", HOME),
        ("/settings/\t/evil", HOME),
        ("/private-integrations/v1/accounts", HOME),
        ("javascript:alert(1)", HOME),
        ("", HOME),
    ],
)
def test_a_sign_in_leads_to_a_page_of_ours(ada, to, leads):
    """Whatever the address says that somebody was sent with."""
    assert try_to_sign_in(ada, PASSWORD, to=to).location == leads


def test_a_form_sent_too_late_says_so(app):
    """Whoever was signed out meanwhile is told that nothing was done."""
    assert Guest(app).post("/settings/me/password").location == "/settings/sign-in?notice=session-over"


def test_a_page_that_came_over_plain_http_says_so(app, database, catalogue, clock):
    """Before a password is typed; a proxy with TLS is recognized by what browsers send over it, or by what it says."""

    def warned(host, made=app, **headers):
        return "plain http" in Guest(made, host=host).get("/settings/sign-in", **headers).text

    assert warned("tokens.example.com")
    assert not warned("127.0.0.1:8750")
    assert not warned("tokens.example.com", **{"sec-fetch-site": "none"})
    assert not warned("tokens.example.com", **{"x-forwarded-proto": "https"})
    public = Settings(public_url="https://tokens.example.com")
    assert not warned("tokens.example.com", cheap_pages(database, catalogue, clock, public))


def test_any_host_header_is_answered(app):
    """None of them makes the service fail."""
    for host in ("[", "]:", "a:b:c", "", "::1", "user@host", "h" * 3000, "exa mple"):
        assert Guest(app, host=host).get("/settings/sign-in").status == 200
        assert Guest(app, host=host).get("/settings/me").location.startswith("/settings/sign-in")
