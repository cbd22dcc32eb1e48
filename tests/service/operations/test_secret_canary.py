"""A token and a key go through everything that the service does, and are found nowhere afterwards."""

import json

import pytest
import requests
from sqlalchemy import update

from canary import leaks, secrets_in
from forked import running_service
from management import API, Management
from private_integrations.contract import digest_of, new_management_key
from private_integrations_service.storage import tables

UNKNOWN = "pit-" + "01234567-89ab-cdef-0123-456789abcdef"


class Heard:
    """Sends requests to one service and notes which were answered with a secret."""

    def __init__(self, service):
        self.url = service.url
        self.leaks = set()
        self._session = requests.Session()

    def ask(self, method, path, **parts):
        """One request; its answer is searched, headers and body."""
        answer = self._session.request(method, self.url + path, timeout=10, allow_redirects=False, **parts)
        if secrets_in(json.dumps(dict(answer.headers)).encode() + answer.content):
            self.leaks.add((method, path, answer.status_code))
        return answer


@pytest.fixture
def places(under_test, data_folder):
    """A service of its own, with what went through it; its secrets may be nowhere but in the answers that gave them."""
    with running_service(data_folder) as service:
        yield service, Heard(service)
        assert leaks(under_test.stored(data_folder)) == {}
        service.process.terminate()
        assert secrets_in(service.process.stdout.read().encode()) == set()
    assert leaks(under_test.stored(data_folder)) == {}


def test_secrets_are_found_nowhere(places):
    """However a token or key is used, misplaced or refused: no answer, log, file, metric or document repeats it."""
    service, heard = places
    management = Management(service.url, service.key, service.account)
    made = management.integration(scopes=["contacts.readonly", "contacts.write", "locations.readonly"])
    token = management.issue(made["id"], 1).json()["token"]
    key = new_management_key()
    assert management.ask("PUT", "/keys/second", {"role": "viewer", "digest": digest_of(key).hex()}).ok

    def use_everywhere(*others):
        for secret in (token, *others):
            _use(heard, service, made["id"], secret)

    # The others are the same whatever happens to the token.
    others = (key, service.key, UNKNOWN)
    use_everywhere(*others)
    successor = management.issue(made["id"], 2, run="r2", holding=1).json()["token"]
    _use(heard, service, made["id"], successor)
    use_everywhere()
    assert management.ask("POST", f"/integrations/{made['id']}/expire", {"generations": [1, 2]}).ok
    use_everywhere()
    assert management.ask("DELETE", f"/integrations/{made['id']}").ok
    use_everywhere(*others)
    assert heard.leaks == set()


def _use(heard, service, integration_id, secret):
    """Send a secret wherever one can be sent, rightly and wrongly."""
    admin = {"Authorization": f"Bearer {service.key}", "User-Agent": f"curl {secret}"}
    shapes = [secret, f"Bearer {secret}", f"bearer {secret}", f"Basic {secret}", f"Bearer {secret}0", secret.upper()]
    for value in shapes:
        headers = {"Authorization": value, "Version": "v3"}
        for path in (f"/contacts/?locationId={service.account}", f"/locations/{service.account}", "/nothing"):
            heard.ask("GET", path, headers=headers)
        for path in (
            "/accounts",
            "/health",
            "/metrics",
            "/keys",
            f"/integrations/{integration_id}",
            f"/integrations/{integration_id}/activity",
            "/tokens",
            "/audit",
            "/audit/export",
            "/nothing",
        ):
            heard.ask("GET", API + path, headers=headers)
        heard.ask("POST", "/contacts/", headers=headers, json={"locationId": service.account, "surprise": 1})
        heard.ask("POST", "/contacts/", headers=headers, data=f'{{"{secret}')
    data_api = {
        "Authorization": f"Bearer {secret}",
        "Version": secret,
        "X-Api-Key": secret,
        "Cookie": f"token={secret}",
        "User-Agent": f"robot {secret}",
    }
    for path in (f"/contacts/{secret}", f"/{secret}", f"/contacts/?locationId={secret}", f"/contacts/?token={secret}"):
        heard.ask("GET", path, headers=data_api)
        heard.ask("GET", path, headers=data_api | {"Version": "v3"})
    for path in ("/integrations", "/tokens"):
        heard.ask("GET", f"{API}{path}?cursor={secret}&under={secret}", headers=admin)
    for method, path, body in (
        ("GET", f"/integrations/{secret}", None),
        ("GET", f"/{secret}", None),
        ("DELETE", f"/integrations/{secret}", None),
        ("DELETE", f"/keys/{secret}", None),
        ("PUT", f"/keys/{secret[:100]}", {"role": "admin", "digest": secret}),
        ("PATCH", f"/integrations/{integration_id}", {secret: secret}),
        ("PATCH", f"/integrations/{integration_id}", {"rotation": {"overlap_seconds": int(secret[4:8], 16)}}),
        ("PATCH", f"/integrations/{integration_id}", {"scopes": [secret]}),
        (
            "PUT",
            "/integrations/by-external-id/a/b/c/d",
            {"account": secret, "name": "x", "scopes": ["x"], "owner_nonce": "c"},
        ),
        ("POST", f"/integrations/{integration_id}/expire", {"generations": [secret]}),
        ("POST", f"/integrations/{integration_id}/generations/1/ack", {"fingerprint": secret}),
        ("PUT", f"/integrations/{integration_id}/generations/{secret}", {}),
    ):
        heard.ask(method, API + path, headers=admin, json=body)
    heard.ask("PATCH", f"{API}/integrations/{integration_id}", headers=admin | {"If-Match": f'"{secret}"'}, json={})
    heard.ask("POST", f"{API}/introspect", headers=admin, data={"token": secret})
    heard.ask("POST", f"{API}/introspect", headers=admin, data={secret: "token", "token": ""})
    heard.ask("GET", f"{API}/openapi.json")
    heard.ask("GET", "/health", headers=data_api)


def test_a_stored_secret_is_found(under_test, database):
    """The search covers what an engine keeps in files and what it keeps in tables."""
    assert leaks(under_test.stored(database.folder)) == {}
    with database.write() as write:
        write.connection.execute(update(tables.accounts).values(name=f"Agency {UNKNOWN}"))
    found = leaks(under_test.stored(database.folder))
    assert set().union(*found.values()) == {UNKNOWN[:12].encode()}
    assert under_test.name == "sqlite" or found.keys() == {"accounts"}
