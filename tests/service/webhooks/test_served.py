"""Webhooks of a running service: the management API, the command line, the pages, and the sender as a job."""

import json
import re
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from certificates import make_certificates
from management import Management, problem
from private_integrations import cli
from private_integrations.contract import digest_of, new_management_key, new_sealing_key, new_webhook_secret
from receivers import answer, receiving, says
from services import new_service
from visitors import new_visitor


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Certificates for receivers on this machine."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder, "localhost")
    return folder


@pytest.fixture(scope="module")
def receiver(certificates):
    """A receiver at a name that this machine resolves by itself."""
    with receiving(certificates, "localhost") as made:
        yield made


@pytest.fixture(scope="module")
def sending(under_test, tmp_path_factory, receiver, certificates):
    """A service with two workers that may send to this machine."""
    settings = {
        "PRIVATE_INTEGRATIONS_SEALING_KEYS": new_sealing_key(),
        "PRIVATE_INTEGRATIONS_WEBHOOK_PORTS": str(receiver.port),
        "PRIVATE_INTEGRATIONS_WEBHOOK_NETWORKS": "127.0.0.0/8, ::1/128",
        "SSL_CERT_FILE": str(certificates / "ca.crt"),
    }
    folder = tmp_path_factory.mktemp("sending") / "data"
    with new_service(under_test, folder, "--workers", "2", **settings) as started:
        yield started


@pytest.fixture
def management(sending):
    """Its management API with the admin's key."""
    return Management(sending.url, sending.key, sending.account)


def make(management, url, **changes):
    """A new webhook; answers it with its secret."""
    secret = new_webhook_secret()
    body = {"account": management.account, "url": url, "secret": secret, **changes}
    answer = management.ask("POST", "/webhooks", body)
    assert answer.status_code == 201, answer.text
    return answer.json() | {"secret": secret}


def eventually(look):
    """What `look` finds as soon as it finds something."""
    deadline = time.monotonic() + 20
    while not (found := look()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return found


def test_a_rotation_is_told_within_moments(management, receiver):
    """From the change through the outbox and the job to the receiver, who verifies it."""
    made = make(management, receiver.url, events=["rotation.rotated"])
    integration = management.integration()["id"]
    issued = management.issue(integration, 1).json()
    received = receiver.got.get(timeout=20)
    payload = Webhook(made["secret"]).verify(received.body, received.headers)
    assert payload["type"] == "rotation.rotated"
    assert payload["data"]["integration_id"] == integration
    assert payload["data"]["fingerprint"] == issued["fingerprint"]
    assert payload["data"]["actor"].startswith("key/admin/key_")
    assert issued["token"] not in received.body.decode()
    path = f"/webhooks/{made['id']}/deliveries"
    (delivery,) = eventually(lambda: management.ask("GET", f"{path}?state=delivered").json()["deliveries"])
    assert (delivery["message_id"], delivery["event"]) == (received.headers["webhook-id"], "rotation.rotated")
    assert [(attempt["outcome"], attempt["status"]) for attempt in delivery["attempts"]] == [("accepted", 200)]
    assert management.ask("GET", f"{path}?state=failed").json() == {"deliveries": [], "cursor": None}
    management.ask("DELETE", f"/webhooks/{made['id']}")


def test_no_answer_has_a_secret(management, receiver):
    """Not the one to its making, not a list, and not a refusal that is about it."""
    made = make(management, receiver.url)
    path = f"/webhooks/{made['id']}"
    wrong = {"account": management.account, "url": "ftp://x", "secret": made["secret"]}
    for answered in (
        management.ask("POST", "/webhooks", {**wrong, "url": receiver.url}),
        management.ask("POST", "/webhooks", wrong),
        management.ask("POST", "/webhooks", {**wrong, "secret": made["secret"] + "!"}),
        management.ask("POST", f"{path}/secret", {"secret": made["secret"], "overlap_seconds": -1}),
        management.ask("PATCH", path, {"url": f"https://localhost/{made['secret']}#"}),
        management.ask("GET", path),
        management.ask("GET", "/webhooks"),
    ):
        assert made["secret"][6:] not in answered.text
    management.ask("DELETE", path)


def test_pages_of_deliveries(management, receiver):
    """The newest first, a hundred at a time, each once."""
    made = make(management, receiver.url, events=["rotation.due"])
    path = f"/webhooks/{made['id']}"
    sent = [management.ask("POST", f"{path}/ping").json()["message_id"] for _ in range(101)]
    first = management.ask("GET", f"{path}/deliveries").json()
    second = management.ask("GET", f"{path}/deliveries?cursor={first['cursor']}").json()
    assert [delivery["message_id"] for delivery in first["deliveries"] + second["deliveries"]] == sent[::-1]
    assert second["cursor"] is None
    assert problem(management.ask("GET", f"{path}/deliveries?cursor=x")) == (422, "invalid-request")
    for message_id in sent:
        assert receiver.got.get(timeout=20).headers["webhook-id"] == message_id
    management.ask("DELETE", path)


def test_a_deployer_manages_the_webhooks_of_its_account(management, receiver):
    """And of no other, where there is none for it."""
    key = new_management_key()
    body = {"digest": digest_of(key).hex(), "role": "deployer", "accounts": [management.account]}
    management.ask("PUT", "/keys/hooks", body)
    bound = Management(management.url, key, management.account)
    made = make(bound, receiver.url)
    assert [found["id"] for found in bound.ask("GET", "/webhooks").json()["webhooks"]] == [made["id"]]
    agency = next(a["id"] for a in management.ask("GET", "/accounts").json()["accounts"] if a["kind"] == "agency")
    foreign = {"account": agency, "url": receiver.url, "secret": new_webhook_secret()}
    assert problem(bound.ask("POST", "/webhooks", foreign)) == (404, "account-unknown")
    assert bound.ask("GET", f"/webhooks?account={agency}").json() == {"webhooks": []}
    assert bound.ask("DELETE", f"/webhooks/{made['id']}").json() == {"deleted": True}


@pytest.fixture
def run(sending, monkeypatch, capsys):
    """Runs a command in this process; answers its code and what it wrote to stdout and stderr."""
    for name, value in sending.environment.items():
        monkeypatch.setenv(name, value)

    def command(*arguments):
        code = cli.run(["webhooks", *arguments])
        written = capsys.readouterr()
        return code, written.out, written.err.removeprefix("private-integrations: ")

    return command


def test_the_commands(run, sending, receiver, management):
    """The life of a webhook on the command line; a secret is printed when it is made, and when it is replaced."""
    code, out, err = run("create", receiver.url, "--event", "rotation.due", "--account", sending.account, "--json")
    made = json.loads(out)
    assert (code, err, made["events"]) == (0, "store this secret now, it will not be shown again\n", ["rotation.due"])
    hook = made["id"]
    code, out, err = run("ping", hook)
    message_id = receiver.got.get(timeout=20).headers["webhook-id"]
    assert (code, out) == (0, "")
    assert err == f"sent as {message_id}; what comes of it: private-integrations webhooks deliveries {hook}\n"
    eventually(lambda: "accepted (200)" in run("deliveries", hook, "--state", "delivered")[1])
    assert run("replay", hook, message_id)[2] == f"1 message of {hook} will be sent again\n"
    again = receiver.got.get(timeout=20)
    assert again.headers["webhook-id"] == message_id
    assert Webhook(made["secret"]).verify(again.body, again.headers)["type"] == "ping"

    code, second, _ = run("rotate-secret", hook, "--secret-only")
    run("ping", hook)
    received = receiver.got.get(timeout=20)
    for secret in (made["secret"], second.strip()):
        assert Webhook(secret).verify(received.body, received.headers)["type"] == "ping"

    receiver.behave = says(answer(410))
    run("ping", hook)
    receiver.got.get(timeout=20)
    eventually(lambda: "it answered 410 Gone" in run("list", "--account", sending.account)[1])
    code, out, err = run("replay", hook, "--failed-since", "2026-01-01")
    assert (code, out, err) == (5, "", f"{hook} is disabled: it answered 410 Gone; enable it first\n")
    receiver.behave = says(answer(200))
    assert run("edit", hook, "--enable", "--all-events")[2] == f"changed {hook}\n"
    assert run("replay", hook, "--failed-since", "2026-01-01T00:00Z")[2] == f"1 message of {hook} will be sent again\n"
    receiver.got.get(timeout=20)
    listed = json.loads(run("list", "--json")[1])["webhooks"]
    assert [(found["id"], found["events"], found["disabled_because"]) for found in listed] == [(hook, None, None)]

    assert run("delete", hook, "--yes")[2] == f"deleted {hook}\n"
    assert run("delete", hook, "--yes")[2] == f"nothing to delete: there is no webhook {hook}\n"
    assert run("list", "--account", sending.account)[1].split() == ["ID", "ACCOUNT", "URL", "EVENTS", "STATE"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "https://x.test/"], "no account is given; give --account or set PRIVATE_INTEGRATIONS_ACCOUNT"),
        (["create", "https://x.test/", "--account", "a", "--event", "typo"], 'there is no event "typo"'),
        (["create", "pit-" + "0" * 8, "--account", "a"], "there is no account a"),
        (["edit", "whk_1"], "nothing to change"),
        (["replay", "whk_1"], "name the messages to send again, or give --failed-since"),
        (["replay", "whk_1", "--failed-since", "yesterday"], '"yesterday" is no instant in UTC such as 2026-11-20'),
        (["delete", "whk_1"], "nobody can be asked here; give --yes to delete"),
        (["ping", "whk_1"], "there is no webhook whk_1"),
    ],
)
def test_what_the_commands_refuse(run, monkeypatch, arguments, said):
    """One line says why, and what to give instead."""
    monkeypatch.delenv("PRIVATE_INTEGRATIONS_ACCOUNT", raising=False)
    code, out, err = run(*arguments)
    assert (code != 0, out) == (True, "")
    assert said in err
    assert err.count("\n") == 1


def test_secrets_are_sealed_in_the_database(under_test, management, sending, receiver):
    """And `upstreams reseal` seals them anew with everything else."""
    made = make(management, receiver.url)
    done = management.ask("POST", "/upstreams/reseal").json()
    assert (done["unchanged"], done["unreadable"]) == (1, [])
    stored = b"".join(under_test.stored(sending.data_dir).values())
    assert made["id"].encode() in stored
    assert made["secret"].removeprefix("whsec_").encode() not in stored
    management.ask("DELETE", f"/webhooks/{made['id']}")


# The pages, without JavaScript.


@pytest.fixture(scope="module")
def ada(sending):
    """An admin of the account, signed in."""
    return new_visitor(sending.url, sending.key, sending.account)


@pytest.fixture
def pages(sending):
    """Where the account's webhooks are."""
    return f"/settings/accounts/{sending.account}/webhooks"


def hidden(page, name):
    """The value of a hidden field."""
    return re.search(rf'name="{name}" value="([^"]+)"', page.text)[1]


def create(visitor, pages, url, **fields):
    """Fill in the form for a new webhook; answers the page with the secret."""
    secret = hidden(visitor.get(pages), "secret")
    return visitor.post(pages, url=url, secret=secret, which="all", **fields)


def address_of(pages, page):
    """Where the webhook is that a page leads to."""
    return re.search(rf'href="({pages}/whk_[A-Za-z0-9]+)"', page.text)[1]


def test_the_life_of_a_webhook_on_its_pages(ada, pages, receiver, management):
    """Made, its secret shown once, tested, disabled, enabled, replayed, its secret replaced, deleted."""
    assert "No webhooks yet" in ada.get(pages).text
    made = create(ada, pages, receiver.url, description="On call")
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", made.text)[0]
    assert "It will not be shown again" in made.text
    # Sent twice, by reloading: the same webhook.
    assert ada.post(pages, url=receiver.url, secret=secret, which="all", description="On call").text == made.text
    own = address_of(pages, made)
    shown = ada.get(own)
    assert "Nothing was sent yet" in shown.text
    assert secret not in shown.text + ada.get(pages).text
    assert ada.get(pages).text.count(f'href="{own}"') == 1

    tested = ada.post(f"{own}/ping")
    assert tested.url.endswith(f"{own}?notice=webhook-pinged")
    assert Webhook(secret).verify(*_parts(receiver.got.get(timeout=20)))["type"] == "ping"
    shown = eventually(lambda: (page := ada.get(own)) and "accepted (200)" in page.text and page)
    message_id = re.search(r"msg_[A-Za-z0-9]+", shown.text)[0]
    ada.post(f"{own}/replay", message=message_id)
    assert receiver.got.get(timeout=20).headers["webhook-id"] == message_id

    ada.post(f"{own}/disable")
    assert "disabled on request" in ada.get(own).text
    management.integration()
    assert ada.post(f"{own}/ping").status_code == 409
    ada.post(f"{own}/enable")
    assert ada.post(f"{own}/replay", days="1").url.endswith("notice=webhook-replayed")
    assert json.loads(receiver.got.get(timeout=20).body)["type"] == "integration.created"

    second = re.search(r"whsec_[A-Za-z0-9+/=]+", rotated_on(ada, own).text)[0]
    ada.get(own)
    ada.post(f"{own}/ping")
    received = receiver.got.get(timeout=20)
    assert [accepts(value, received) for value in (secret, second)] == [True, True]

    ada.get(own)
    gone = ada.post(f"{own}/delete")
    assert "The webhook is deleted." in gone.text
    assert ada.get(own).status_code == 404


def rotated_on(visitor, own):
    """The page after a new secret was asked for."""
    page = visitor.post(f"{own}/secret", secret=hidden(visitor.get(own), "secret"), overlap="1d")
    assert "The secret before it signs too" in page.text
    return page


def _parts(received):
    return received.body, received.headers


def accepts(secret, received):
    """Whether a message is signed with this secret."""
    try:
        return bool(Webhook(secret).verify(*_parts(received)))
    except WebhookVerificationError:
        return False


def test_what_a_form_can_t_be_is_said_beside_what_was_typed(ada, pages, receiver):
    """The page comes back with the fault and the values, and nothing was made or changed."""
    refused = create(ada, pages, "http://hooks.test/", description="<b>Hooks</b>")
    assert refused.status_code == 422
    assert 'role="alert" class="fault">A webhook&#39;s URL begins with https://.</p>' in refused.text
    assert 'value="http://hooks.test/"' in refused.text
    assert 'value="&lt;b&gt;Hooks&lt;/b&gt;"' in refused.text
    none = ada.post(pages, url=receiver.url, secret=hidden(refused, "secret"), which="some")
    assert (none.status_code, "Choose at least one event, or all of them." in none.text) == (422, True)
    unknown = ada.post(pages, url=receiver.url, secret=hidden(none, "secret"), which="some", event=["a", "b"])
    assert (unknown.status_code, "There is no event a;" in unknown.text) == (422, True)
    weak = ada.post(pages, url=receiver.url, secret="whsec_", which="all")
    assert (weak.status_code, "24 to 64 random bytes" in weak.text) == (422, True)

    ada.get(pages)
    made = ada.post(pages, url=receiver.url, secret=new_webhook_secret(), which="some",
                    event=["rotation.due", "rotation.overdue"], description="<b>Hooks</b>")  # fmt: skip
    own = address_of(pages, made)
    assert ada.get(own).text.count("checked") == 3
    assert "<b>Hooks" not in ada.get(own).text + ada.get(pages).text
    wrong = ada.post(own, url="https://169.254.169.254/", which="all", description="")
    assert (wrong.status_code, "Webhooks are sent to port" in wrong.text) == (422, True)
    saved = ada.post(own, url=receiver.url + "/new", which="all", description="Mine")
    assert "Saved." in saved.text
    assert saved.text.count("checked") == 1
    for fields in ({"days": "x"}, {"message": "a b"}, {}):
        assert ada.post(f"{own}/replay", **fields).status_code == 422
    ada.post(f"{own}/delete")


def test_another_accounts_webhooks_are_not_there(ada, sending, pages, receiver, management):
    """For its admin, and for the account's own under another account's address: the page of what doesn't exist."""
    agency = next(a["id"] for a in management.ask("GET", "/accounts").json()["accounts"] if a["kind"] == "agency")
    management.ask("PUT", "/accounts/elsewhere", {"name": "Elsewhere", "agency_id": agency})
    stranger = new_visitor(sending.url, sending.key, "elsewhere")
    own = address_of(pages, create(ada, pages, receiver.url))
    name = own.rpartition("/")[2]
    missing = f"{pages}/whk_nothing"
    stranger.get("/settings/accounts/elsewhere/webhooks")
    nothing = stranger.get("/settings/accounts/nobody/webhooks")
    assert nothing.status_code == 404
    for visitor, place in (
        (stranger, pages),
        (stranger, own),
        (stranger, f"/settings/accounts/elsewhere/webhooks/{name}"),
        (ada, missing),
        (ada, f"/settings/accounts/elsewhere/webhooks/{name}"),
    ):
        visitor.get(f"/settings/accounts/{'elsewhere' if visitor is stranger else sending.account}/webhooks")
        assert visitor.get(place).status_code == 404
    stranger.get("/settings/accounts/elsewhere/webhooks")
    fields = {"url": receiver.url, "which": "all", "secret": new_webhook_secret(), "overlap": "0", "days": "1"}
    for action in ("", "/secret", "/enable", "/disable", "/ping", "/replay", "/delete"):
        for place in (own, f"/settings/accounts/elsewhere/webhooks/{name}"):
            assert stranger.post(place + action, **fields).status_code == 404, action
    assert stranger.post(pages, **fields).status_code == 404
    (mine,) = management.ask("GET", f"/webhooks?account={sending.account}").json()["webhooks"]
    assert (mine["id"], mine["url"], mine["former_secret_until"]) == (name, receiver.url, None)
    ada.get(own)
    ada.post(f"{own}/delete")


def test_an_agency_may_have_its_sub_accounts_events(sending, receiver, management):
    """Its page offers that, a sub-account's doesn't."""
    agency = next(a["id"] for a in management.ask("GET", "/accounts").json()["accounts"] if a["kind"] == "agency")
    admin = new_visitor(sending.url, sending.key, agency)
    pages = f"/settings/accounts/{agency}/webhooks"
    assert "sub-accounts" in admin.get(pages).text
    assert "sub-accounts" not in admin.get(f"/settings/accounts/{sending.account}/webhooks").text
    own = address_of(pages, create(admin, pages, receiver.url, sub_accounts="yes"))
    integration = management.integration()["id"]
    assert json.loads(receiver.got.get(timeout=20).body)["data"]["integration_id"] == integration
    admin.get(own)
    admin.post(f"{own}/delete")


def test_without_sealing_keys_the_page_says_what_is_missing(service):
    """There is no form that could only fail."""
    visitor = new_visitor(service.url, service.key, service.account)
    page = visitor.get(f"/settings/accounts/{service.account}/webhooks")
    assert "--sealing-keys FILE" in page.text
    assert 'name="secret"' not in page.text
