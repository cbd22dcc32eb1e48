"""Show one private integration from creation to deletion, with the real engine and a real service: scripts/demo."""

import runpy
import signal
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import psutil
import pulumi.automation as auto
import requests

from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from throwaway import REPOSITORY, Service, engine_environment, make_stack, running_service

PROJECT = "quickstart"
QUICKSTART = REPOSITORY / "examples" / "quickstart" / "__main__.py"


class Story:
    """Hold a stack of the quickstart example and its service, and run the steps of the demo."""

    def __init__(self, stack: auto.Stack, service: Service) -> None:
        self.stack = stack
        self.service = service
        self.management = Client(ServiceConnection(service.url, service.key))

    def tell(self) -> None:
        """Run all steps, from the first `up` to the last refusal."""
        self.create()
        self.edit_scopes()
        self.rotate()
        self.destroy()
        self.farewell()

    def create(self) -> None:
        """Deploy a program of a dozen lines: it makes an integration with a token."""
        title("1. Declare an integration", f"{QUICKSTART.relative_to(REPOSITORY)} says what is wanted; `up` makes it.")
        self.preview()
        self.up()
        self.show("GET  /contacts/ with its token", self.get_contacts(self.token))
        self.show("POST /contacts/ with its token", self.add_contact(self.token))

    def edit_scopes(self) -> None:
        """Add a scope: the integration is edited in place."""
        title(
            "2. Give it one more scope",
            "The preview shows one update; the token stays, and nobody is handed a new one.",
        )
        before = self.token
        scopes = '["contacts.readonly", "contacts.write", "locations.readonly"]'
        self.stack.set_config("scopes", auto.ConfigValue(scopes))
        self.preview()
        self.up()
        say(f"The token is {'the same' if self.token == before else 'ANOTHER'}, and the write passes now:")
        self.show("POST /contacts/ with its token", self.add_contact(self.token))

    def rotate(self) -> None:
        """Rotate: the preview shows the reason, and the old token keeps working."""
        title(
            "3. Rotate it",
            "A schedule does this by itself (every 90d); a new trigger does it today. The preview says why.",
        )
        old = self.token
        self.stack.set_config("trigger", auto.ConfigValue("after the audit of November"))
        self.preview(diff=True)
        self.up()
        new = self.token
        say("Both tokens work. The old one has no deadline yet, for nobody has used the new one:")
        self.show("GET  /contacts/ with the old token", self.get_contacts(old))
        self.show("the old token works until", self.deadline())
        self.show("GET  /contacts/ with the new token", self.get_contacts(new))
        say("That was the new token's first use: only now the old one's 7 days begin.")
        self.show("the old token works until", self.deadline())
        self.show("GET  /contacts/ with the old token", self.get_contacts(old))

    def destroy(self) -> None:
        """Destroy the integration: its tokens end, too."""
        title("4. Destroy it", "The integration goes, with every token it ever had.")
        tokens = {"old": self.superseded_token, "new": self.token}
        self.stack.destroy(color="never")
        for name, token in tokens.items():
            self.show(f"GET  /contacts/ with the {name} token", self.get_contacts(token))

    def farewell(self) -> None:
        """Print what you can do next."""
        title("That was all of it", "Next:")
        say("  . .venv/bin/activate && private-integrations serve     a service of your own")
        say("  pulumi up                                              the same program, with the full Pulumi CLI")
        say("  docs/how-it-works.md                                   why nobody is cut off")

    @property
    def token(self) -> str:
        """Return the present token, as a consumer in the same stack would get it."""
        return str(self.stack.outputs()["token"].value)

    @property
    def superseded_token(self) -> str:
        """Return the token before the present one, which the state keeps while it works."""
        state = self.stack.export_stack().deployment or {}
        [token] = [each for each in state["resources"] if each["type"].endswith(":Token")]
        return str(token["outputs"]["previous_token"]["plaintext"]).strip('"')

    def deadline(self) -> str:
        """Return the deadline of the superseded token, as the service knows it."""
        [page] = self.management.token_states(under=f"organization/{PROJECT}/dev")
        superseded = page.tokens[0].in_role("previous")
        return (
            f"{superseded.expires_at:%Y-%m-%d %H:%M} UTC" if superseded and superseded.expires_at else "(no deadline)"
        )

    def preview(self, *, diff: bool = False) -> None:
        """Show the engine's preview."""
        quote(
            "pulumi preview --diff" if diff else "pulumi preview", self.stack.preview(diff=diff, color="never").stdout
        )

    def up(self) -> None:
        """Run the engine's `up`."""
        result = self.stack.up(color="never")
        changes = result.summary.resource_changes or {}
        done = ", ".join(f"{count} {name}" for name, count in sorted(changes.items()))
        say(f"  $ pulumi up: {done}\n")

    def get_contacts(self, token: str) -> str:
        """Read the demo account's contacts."""
        return self.ask("GET", token, params={"locationId": self.service.account})

    def add_contact(self, token: str) -> str:
        """Write a contact."""
        return self.ask("POST", token, json={"locationId": self.service.account, "firstName": "Grace"})

    def ask(self, method: str, token: str, **parts: object) -> str:
        """Return the answer to one API request, in a few words."""
        headers = {"Authorization": f"Bearer {token}", "Version": "2021-07-28"}
        answer = requests.request(method, f"{self.service.url}/contacts/", headers=headers, timeout=10, **parts)  # type: ignore[arg-type]
        body = answer.json()
        if answer.ok:
            return f"{answer.status_code} " + (f"{len(body['contacts'])} contacts" if "contacts" in body else "created")
        missing = f" (missing: {body['requiredScope']})" if "requiredScope" in body else ""
        return f"{answer.status_code} {body['message']}{missing}"

    def show(self, what: str, result: str) -> None:
        """Print one line of the demo."""
        say(f"  {what:<36}{result}")


def say(text: str) -> None:
    """Print at once, so that a person can follow."""
    print(text, flush=True)


def title(text: str, explanation: str) -> None:
    """Begin a step."""
    say(f"\n{text}\n{'-' * len(text)}\n{explanation}\n")


def quote(command: str, output: str) -> None:
    """Repeat what the engine printed."""
    say(f"  $ {command}")
    say("\n".join(f"  | {line}".rstrip() for line in output.strip().splitlines()) + "\n")


def stop(signal_number: int, _: object) -> NoReturn:
    """End what this process started, then itself; the blocks it leaves remove their folders."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        child.terminate()
    psutil.wait_procs(children, timeout=10)
    sys.exit(128 + signal_number)


def main() -> None:
    """Run the demo in a temporary folder."""
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    with tempfile.TemporaryDirectory(prefix="private-integrations-demo-") as name:
        folder = Path(name)
        say("Starting a service with an empty database, a demo account and five contacts …")
        with running_service(folder / "service") as service:
            environment = engine_environment(folder, service.environment)
            stack = make_stack(folder, PROJECT, run_example, environment)
            Story(stack, service).tell()


def run_example() -> None:
    """Run the example's own file, as `pulumi up` would."""
    runpy.run_path(str(QUICKSTART), run_name="__main__")


if __name__ == "__main__":
    main()
