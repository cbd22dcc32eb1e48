"""A service as its clients see it, and every kind of change they can ask it for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from private_integrations.contract import API, PROBLEM_PREFIX

Answer = tuple[int, dict[str, Any]]
"""Status and JSON body."""

Send = Callable[[str, str, dict[str, str], Any], Answer]
"""Sends method, target, headers and a JSON body."""


@dataclass
class World:
    """A service as its clients see it, with integrations and tokens for every kind of change."""

    send: Send
    key: str
    account: str
    tokens: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    def manage(self, method: str, path: str, body: Any = None) -> Answer:
        """A request to the management API."""
        return self.send(method, API + path, {"Authorization": f"Bearer {self.key}"}, body)

    def ask(self, token: str, method: str = "GET", path: str = "", body: Any = None) -> Answer:
        """A request about contacts to the data API, with the token of this name."""
        headers = {"Authorization": self.tokens[token], "Version": "v3"}
        query = f"?locationId={self.account}" if method == "GET" else ""
        return self.send(method, f"/contacts/{path}{query}", headers, body)

    def declare(self, name: str) -> Answer:
        """Create an integration."""
        scopes = ["contacts.readonly", "contacts.write"]
        body = {"account": self.account, "name": name, "scopes": scopes, "owner_nonce": f"claim-of-{name}"}
        return self.manage("PUT", f"/integrations/by-external-id/test/{name}", body)

    def issue(self, name: str, generation: int, overlap: int = 3600) -> Answer:
        """Ask for a generation of an integration."""
        body = {"issuer": "us", "run": f"r{generation}", "attempt": 1, "holding": 1, "overlap_seconds": overlap}
        return self.manage("PUT", f"/integrations/{self.ids[name]}/generations/{generation}", body)

    def furnish(self) -> None:
        """Integrations after a rotation, in one, and with one token that is, or was never, in use."""
        for name, generations, used in (
            ("working", 2, 2),
            ("rotating", 2, 1),
            ("rotated", 2, 2),
            ("resting", 1, 1),
            ("leaked", 1, 1),
            ("new", 1, 0),
        ):
            self.ids[name] = self.declare(name)[1]["id"]
            for generation in range(1, generations + 1):
                issued = self.issue(name, generation)[1]
                self.tokens[f"{name} {generation}"] = issued["token"]
                self.ids[f"{name} {generation}"] = issued["fingerprint"]
                if generation <= used:
                    assert self.ask(f"{name} {generation}")[0] == 200
        for name in ("Grace", "Alan"):
            self.ids[name] = self.contact(name)[1]["contact"]["id"]

    def contact(self, name: str) -> Answer:
        """Create a contact."""
        return self.ask("working 2", "POST", body={"locationId": self.account, "name": name, "companyName": LONG})


Change = Callable[[World], Answer]

# Longer than the rest of any page.
LONG = "x" * 4000

MANAGING: dict[str, Change] = {
    "create": lambda world: world.declare("another"),
    "edit": lambda world: world.manage("PATCH", f"/integrations/{world.ids['resting']}", {"description": "y" * 900}),
    "issue": lambda world: world.issue("resting", 2),
    "acknowledge": lambda world: world.manage(
        "POST",
        f"/integrations/{world.ids['rotating']}/generations/2/ack",
        {"fingerprint": world.ids["rotating 2"]},
    ),
    "make a key": lambda world: world.manage("PUT", "/keys/another", {"role": "viewer", "digest": "a" * 64}),
}
ENDING: dict[str, Change] = {
    "expire": lambda world: world.manage("POST", f"/integrations/{world.ids['rotating']}/expire", {"generations": [1]}),
    "cancel": lambda world: world.manage("DELETE", f"/integrations/{world.ids['rotated']}/generations/2"),
    "delete": lambda world: world.manage("DELETE", f"/integrations/{world.ids['resting']}"),
    "report": lambda world: world.send("POST", f"{API}/leaked", {}, {"tokens": [world.tokens["rotated 1"]]}),
    "rotate and expire": lambda world: world.issue("leaked", 2, overlap=0),
}
ENDED = {
    "expire": "rotating 1",
    "cancel": "rotated 2",
    "delete": "resting 1",
    "report": "rotated 1",
    "rotate and expire": "leaked 1",
}
"""The token that is dead afterwards."""
DATA: dict[str, Change] = {
    "first use": lambda world: world.ask("new 1"),
    "create a contact": lambda world: world.contact("Ada"),
    "update a contact": lambda world: world.ask("working 2", "PUT", world.ids["Grace"], {"website": 2 * LONG}),
    "delete a contact": lambda world: world.ask("working 2", "DELETE", world.ids["Alan"]),
}


def refusal(answer: Answer) -> tuple[int, str]:
    """Status and stable name of a refusal of either API."""
    status, body = answer
    return status, body.get("reason") or body.get("type", "").removeprefix(PROBLEM_PREFIX)


def reads_work(world: World) -> None:
    """Whatever needs no write is answered: health, lists, introspection, and the tokens in use."""
    assert world.send("GET", "/health", {}, None) == (200, {"status": "ok"})
    for path in ("/accounts", "/integrations", "/tokens", f"/integrations/{world.ids['new']}"):
        assert world.manage("GET", path)[0] == 200
    for token in ("working 1", "working 2", *ENDED.values()):
        assert world.ask(token)[0] == 200
