"""What the engine tests declare, and how they use the token."""

from collections.abc import Callable
from typing import Any

import pulumi
import requests

import private_integrations as pi
from consumer import Consumer


def contacts(service: Any, token: str, method: str = "GET") -> int:
    """The status of a request to the sandbox's contacts with this token."""
    answer = requests.request(
        method,
        f"{service.url}/contacts/",
        params={"locationId": service.account} if method == "GET" else None,
        json={"locationId": service.account, "firstName": "Ada"} if method == "POST" else None,
        headers={"Authorization": f"Bearer {token}", "Version": "2021-07-28"},
        timeout=10,
    )
    return answer.status_code


def declare(
    *, rotation_inputs: dict[str, str] | None = None, tries_out: str | None = None, **inputs: Any
) -> Callable[[], None]:
    """A program with one integration and a consumer of its token; the rotation may be given as plain data.

    With `tries_out`, an address of the data API, the consumer uses what it is given before it is content.
    """
    inputs = {"name": "CRM sync", "scopes": ["contacts.readonly"], **inputs}
    if rotation_inputs:
        inputs["rotation"] = pi.Rotation(**rotation_inputs)

    def program() -> None:
        crm = pi.PrivateIntegration("crm", **inputs)
        Consumer("consumer", crm.token, tries_out)
        for output in ("token", "previous_token", "generation", "fingerprint", "status", "next_rotation_at", "id"):
            pulumi.export(output, getattr(crm, output))

    return program
