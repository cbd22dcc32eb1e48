"""The management API as tests ask it: requests with one key, and what an answer says."""

import uuid
from dataclasses import dataclass
from typing import Any

import requests

API = "/private-integrations/v1"


@dataclass
class Management:
    """The management API with one key."""

    url: str
    key: str
    account: str

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None, **parts: Any):
        """One request; `key` in place of the usual one."""
        headers = {"Authorization": f"Bearer {self.key if key is None else key}", **parts.pop("headers", {})}
        return requests.request(method, self.url + API + path, json=body, headers=headers, timeout=10, **parts)

    def declare(self, external_id: str | None = None, **changes: Any):
        """Declare an integration."""
        body = {
            "account": self.account,
            "name": "CRM sync",
            "scopes": ["contacts.readonly"],
            "owner_nonce": uuid.uuid4().hex,
            **changes,
        }
        return self.ask("PUT", f"/integrations/by-external-id/{external_id or new_external_id()}", body)

    def integration(self, **changes: Any) -> dict[str, Any]:
        """A new integration."""
        answer = self.declare(**changes)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def issue(self, integration_id: str, generation: int, **changes: Any):
        """Ask for a generation."""
        body = {"issuer": "us", "run": "r1", "attempt": 1, "overlap_seconds": 3600, **changes}
        return self.ask("PUT", f"/integrations/{integration_id}/generations/{generation}", body)

    def state(self, integration_id: str) -> dict[str, Any]:
        """The state of an integration's tokens."""
        [state] = self.ask("GET", "/tokens", params={"integration": integration_id}).json()["tokens"]
        return state


def new_external_id() -> str:
    """An external id that no other test has."""
    return f"organization/{uuid.uuid4().hex}/dev/crm"


def roles(state: dict[str, Any]) -> dict[int, str]:
    """The role of each generation, the live secret's where there are several."""
    ordered = sorted(state["tokens"], key=lambda secret: secret["role"] != "ended")
    return {secret["generation"]: secret["role"] for secret in ordered}


def problem(answer: requests.Response) -> tuple[int, str]:
    """Status and stable name of a problem, whose body must be a well-formed one."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["detail"]
    return answer.status_code, body["type"].removeprefix("urn:private-integrations:problem:")
