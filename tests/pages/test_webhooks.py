"""Webhooks in a real browser: made, tried, disabled, given a new secret and deleted, against a real receiver."""

import pytest
from standardwebhooks.webhooks import Webhook

from certificates import make_certificates
from forked import running_service
from private_integrations.contract import new_sealing_key
from receivers import receiving
from walking import LIST, create, go


@pytest.fixture(scope="module")
def receiver(tmp_path_factory):
    """A receiver on this machine, and the folder of its certificates."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder, "localhost")
    with receiving(folder, "localhost") as made:
        yield made, folder


@pytest.fixture(scope="module")
def service(tmp_path_factory, receiver):
    """A service that can seal secrets, and may send to this machine."""
    made, certificates = receiver
    settings = {
        "PRIVATE_INTEGRATIONS_SEALING_KEYS": new_sealing_key(),
        "PRIVATE_INTEGRATIONS_WEBHOOK_PORTS": str(made.port),
        "PRIVATE_INTEGRATIONS_WEBHOOK_NETWORKS": "127.0.0.0/8, ::1/128",
        "SSL_CERT_FILE": str(certificates / "ca.crt"),
    }
    with running_service(tmp_path_factory.mktemp("sending"), **settings) as started:
        yield started


def test_the_life_of_a_webhook(screen, receiver):
    """Its secret is shown once, a test event arrives with its signature, and the page says so."""
    screen.open(LIST)
    go(screen, "Webhooks")
    screen.look()
    screen.page.get_by_label("URL").fill("http://example.com/")
    screen.press("Create webhook")
    screen.look()
    assert screen.page.get_by_role("alert").count() == 1
    screen.page.get_by_label("URL").fill(receiver[0].url)
    screen.page.get_by_label("Description").fill("Pager")
    screen.press("Create webhook")
    screen.look()
    screen.page.get_by_role("button", name="Copy").click()
    secret = screen.pasted()
    go(screen, "I have stored it")
    screen.look()

    screen.press("Send a test event")
    received = receiver[0].got.get(timeout=30)
    Webhook(secret).verify(received.body, received.headers)
    delivered = screen.page.get_by_text("delivered", exact=True)
    while not delivered.count():
        screen.page.reload()
    screen.page.locator("td details summary").click()
    screen.look()

    screen.press("Make a new secret")
    assert screen.page.locator("#secret").inner_text() != secret
    screen.look()
    go(screen, "I have stored it")
    screen.press("Disable")
    screen.look()
    go(screen, "Webhooks")
    screen.look()
    go(screen, "Pager")
    screen.press("Delete this webhook")
    assert "No webhooks yet" in screen.text()


def test_the_data_webhook_of_an_integration(screen, receiver):
    """Its page has the events and, once there is one, the public key and the way to its log."""
    create(screen, "CRM sync", "contacts.readonly")
    screen.open(LIST)
    go(screen, "CRM sync", "Events of the data that it reads")
    screen.look()
    screen.page.get_by_label("URL").fill("http://example.com/")
    screen.press("Send its events there")
    screen.look()
    assert screen.page.get_by_role("alert").count() == 1
    screen.page.get_by_label("URL").fill(receiver[0].url)
    screen.press("Send its events there")
    screen.look()
    key = screen.page.locator("#public-key").inner_text()
    screen.page.get_by_role("button", name="Copy").click()
    assert screen.pasted() == key
    go(screen, "Log, edit, delete")
    screen.look()
