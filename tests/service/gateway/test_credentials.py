"""Where the gateway gets an account's upstream credential from: a source of another kind than the pasted one."""

import asyncio
from collections.abc import Iterator

import pytest

from asgi_upstream import ask
from private_integrations_service.authorizer import Authorizer, AuthorizerMiddleware
from private_integrations_service.gateway import Credential, Gateway, GatewayLimits, Upstream
from private_integrations_service.gateway.refusals import CREDENTIAL_MISSING
from raw_upstream import OK, RawUpstream

REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}"


class Refreshing:
    """A source with short-lived credentials: it awaits one when it has none, and drops one that was rejected."""

    def __init__(self, account: str) -> None:
        self.issued = 0
        self._account = account
        self._held: Credential | None = None

    async def credential(self, account_id):
        """Return the account's credential, after a refresh if there is none."""
        if account_id != self._account:
            return CREDENTIAL_MISSING
        if self._held is None:
            await asyncio.sleep(0.01)
            self.issued += 1
            self._held = Credential(f"fresh-{self.issued}")
        return self._held

    def rejected(self, account_id, credential):
        """Drop a credential, unless it was replaced meanwhile."""
        if account_id == self._account and credential is self._held:
            self._held = None


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    """An upstream whose answers the tests write."""
    made = RawUpstream()
    yield made
    made.close()


@pytest.fixture
def authorizer(database, catalogue, clock):
    """The authorizer over the database."""
    made = Authorizer(database, catalogue, 10)
    yield made
    made.close()


def statuses(authorizer, upstream, source, token, times):
    """Ask so often for a contact through a gateway with this source."""

    async def run():
        gateway = Gateway(authorizer, Upstream.parse(f"http://127.0.0.1:{upstream.port}"), source, GatewayLimits())
        headers = [(b"authorization", f"Bearer {token}".encode()), (b"version", b"2021-07-28")]
        app = AuthorizerMiddleware(gateway, authorizer)
        told = [await ask(app, "GET", b"/contacts/abc", headers) for _ in range(times)]
        gateway.close()
        return [(each.status, each.reason) for each in told]

    return asyncio.run(run())


def test_a_rejected_credential_is_refreshed(authorizer, upstream, desk, accounts):
    """The gateway waits for the source, reports a 401 to it, and sends the next request with another credential."""
    accepted = []

    def script(peer):
        while head := peer.request():
            is_first = b"fresh-1\r\n" in head
            accepted.append(not is_first)
            peer.send(REFUSED if is_first else OK)

    upstream.play(script)
    source = Refreshing(accounts.location)
    told = statuses(authorizer, upstream, source, desk.token(desk.integration("contacts.readonly")), 3)
    assert told == [(502, "upstream-credential-refused"), (200, None), (200, None)]
    assert accepted == [False, True, True]
    assert source.issued == 2


def test_an_account_without_a_credential_is_refused(authorizer, upstream, desk):
    """The source's own refusal is the answer, and the upstream is not asked."""
    peers = upstream.play(lambda peer: peer.more())
    token = desk.token(desk.integration("contacts.readonly"))
    assert statuses(authorizer, upstream, Refreshing("another"), token, 1) == [(502, "upstream-credential-missing")]
    assert peers == []
