"""Stacks on the real engine: inline programs, a file backend, folders that are thrown away."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pulumi.automation as auto
import pytest
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS

import stored_state
from holding_proxy import HoldingProxy
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import IntegrationRequest
from provider_forks import provider_forks
from throwaway import Service, engine_environment, make_stack, make_workspace

# Inline programs talk to one engine after the other from this process. Connections that are shared by address would
# let an engine on a port that was used before look as dead as the one that had it.
_GRPC_CHANNEL_OPTIONS.append(("grpc.use_local_subchannel_pool", 1))

PROGRAMS = Path(__file__).parent / "programs"

Program = Callable[[], None]

_UNASKED = auto.UpdateSummary("", datetime.min.replace(tzinfo=UTC), "", {}, {}, "")


@dataclass
class Outcome:
    """What a command did or would do: the operation on each resource, and all that was printed."""

    operations: dict[str, str] = field(default_factory=dict)
    text: str = ""

    @property
    def changes(self) -> dict[str, str]:
        """The operations that are not `same`, `read` or `refresh`."""
        return {name: op for name, op in self.operations.items() if op not in ("same", "read", "refresh")}


class EngineStack:
    """A stack whose program may change between commands."""

    def __init__(self, folder: Path, environment: dict[str, str], empty: Path) -> None:
        self.folder = folder
        self.program: Program = lambda: None
        self.project = f"p{uuid.uuid4().hex[:10]}"
        self.environment = engine_environment(folder, {"PYTHONPATH": str(PROGRAMS), **environment})
        copy_stack(empty, folder, self.project)
        workspace = make_workspace(folder, self.project, lambda: self.program(), self.environment)
        workspace.select_stack = lambda _name: None  # each command names its stack
        self.use(auto.Stack.select("dev", workspace))

    def use(self, stack: auto.Stack) -> None:
        """Go on with this stack of the workspace."""
        self.stack = stack
        # After each command the Automation API would ask for outputs and history, a process a question.
        self.stack.outputs = dict
        self.stack.info = lambda _show_secrets=True: _UNASKED

    def preview(self, **options: Any) -> Outcome:
        """What `pulumi preview` shows."""
        return self._run(self.stack.preview, **options)

    def up(self, program: Program | None = None, **options: Any) -> Outcome:
        """What `pulumi up` does; with a program, that one from now on."""
        self.program = program or self.program
        return self._run(self.stack.up, **options)

    def refresh(self, **options: Any) -> Outcome:
        """What `pulumi refresh` finds."""
        return self._run(self.stack.refresh, **options)

    def destroy(self) -> Outcome:
        """What `pulumi destroy` removes."""
        return self._run(self.stack.destroy)

    def output(self, name: str) -> Any:
        """A stack output's value, secret or not; None where there is none."""
        return self.outputs().get(name)

    def outputs(self) -> dict[str, Any]:
        """All outputs of the stack, secret or not."""
        return stored_state.outputs(self._stored())

    def resource(self, kind: str) -> dict[str, Any]:
        """The state of the one resource of this kind, `PrivateIntegration` or `Token`, secrets in clear."""
        found = [entry for entry in self._stored() if entry["type"].endswith(f":{kind}")]
        assert len(found) == 1, f"{len(found)} resources of kind {kind}"
        return found[0]

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """The state of all resources of a kind, by their logical names."""
        entries = [entry for entry in self._stored() if entry["type"].endswith(f":{kind}")]
        return {entry["urn"].rsplit("::", 1)[1]: entry for entry in entries}

    def command(self, *arguments: str) -> None:
        """Run a command of `pulumi` on this stack."""
        self.stack._run_pulumi_cmd_sync([*arguments, "--stack", self.stack.name])

    def rename(self, name: str) -> None:
        """Rename the stack, as by `pulumi stack rename`."""
        self.command("stack", "rename", name)
        self.use(auto.Stack.select(name, self.stack.workspace))

    def rename_in_state(self, urn: str, name: str) -> None:
        """Rename a resource in the state, as by `pulumi state rename`."""
        self.command("state", "rename", urn, name, "--yes")

    def edit_state(self, edit: Callable[[list[dict[str, Any]]], None]) -> None:
        """Export the state, edit its resources, import it."""
        exported = self.stack.export_stack()
        edit(exported.deployment["resources"])
        self.stack.import_stack(exported)

    def everything_written(self) -> str:
        """The raw content of every file of the backend."""
        files = [file for file in (self.folder / "state").rglob("*") if file.is_file()]
        return "\n".join(file.read_text(errors="replace") for file in files)

    def _stored(self) -> list[dict[str, Any]]:
        file = self.folder / "state" / ".pulumi" / "stacks" / self.project / f"{self.stack.name}.json"
        return stored_state.resources(file, self.environment["PULUMI_CONFIG_PASSPHRASE"])

    def _run(self, command: Callable[..., Any], **options: Any) -> Outcome:
        outcome = Outcome()

        def note(event: auto.EngineEvent) -> None:
            if event.resource_pre_event is not None:
                step = event.resource_pre_event.metadata
                name = step.urn.rsplit("::", 1)[1]
                kind = step.type.rsplit(":", 1)[1]
                if kind not in ("Stack", "pulumi-python"):
                    outcome.operations[f"{kind} {name}"] = step.op.value

        outcome.text = command(on_event=note, color="never", **options).stdout
        return outcome


@pytest.fixture
def environment(service: Service) -> dict[str, str]:
    """The environment of the `pulumi` process."""
    return dict(service.environment)


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The program by which the engine starts the provider's processes as forks."""
    with provider_forks(tmp_path_factory.mktemp("forks")) as program:
        yield program


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a new stack as the engine makes one, which takes a second of a CPU."""
    folder = tmp_path_factory.mktemp("empty")
    make_stack(folder, "empty", lambda: None, engine_environment(folder, {}))
    return folder


def copy_stack(empty: Path, folder: Path, project: str) -> None:
    """Copy what the engine wrote for that stack, for a project of this name."""
    for file in ("state/.pulumi/meta.yaml", "state/.pulumi/stacks/empty/dev.json", "work/Pulumi.dev.yaml"):
        copy = folder / file.replace("empty", project)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((empty / file).read_text().replace("organization/empty/", f"organization/{project}/"))


@pytest.fixture
def stack(tmp_path: Path, environment: dict[str, str], forks: str, empty: Path) -> EngineStack:
    """A new stack; what a test leaves of it goes with its folder and the service."""
    return EngineStack(tmp_path, {"PULUMI_PYTHON_CMD": forks, **environment}, empty)


@pytest.fixture
def client(service: Service) -> Client:
    """The service's management API."""
    return Client(ServiceConnection(service.url, service.key))


@pytest.fixture
def accounts(client: Client) -> dict[str, str]:
    """The ids of the accounts by kind."""
    return {account.kind: account.id for account in client.accounts()}


@pytest.fixture
def by_hand(client: Client, service: Service) -> tuple[str, str]:
    """An integration made by a person, and its token."""
    request = IntegrationRequest(
        account=service.account, name="By hand", scopes=["contacts.readonly"], owner_nonce=uuid.uuid4().hex
    )
    made = client.declare(f"cli/{uuid.uuid4().hex}", request)
    issued = client.issue(made.id, 1, issuer="cli/anna", holding=None, overlap_seconds=0, reason="")
    return made.id, issued.token


@pytest.fixture
def proxy(service: Service) -> Iterator[HoldingProxy]:
    """A way to the service that notes requests and can hold back answers."""
    with HoldingProxy(service.url) as started:
        yield started
