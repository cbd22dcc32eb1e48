"""`orphans`: the integrations that no stack of your Pulumi backend holds; `import-file`: back from an old export."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..connection import find_account
from ..contract import Integration
from ..deployment.identity import stack_of
from ..errors import ConfigurationError
from ..rotation.status import IntegrationStatus, owner_of
from .failures import SOMETHING_IS_DUE, note, usage
from .options import AccountId, AsJson, connect
from .output import Row, print_json, print_rows
from .overview import reports_in
from .pulumi_state import import_file, integration_ids, read_export
from .status import when

_HEADINGS = ("id", "name", "account", "stack", "because", "status", "last used")
_PULUMI_SECONDS = 60

Because = Literal["stack gone", "not in its stack"]


@dataclass(frozen=True)
class Orphan:
    """An integration that a program declared once, and the reason why no deployment reaches it."""

    report: IntegrationStatus
    because: Because

    @property
    def integration(self) -> Integration:
        """Return the integration itself."""
        return self.report.integration


def orphans(account: AccountId = None, as_json: AsJson = False) -> None:
    """List the integrations that no stack of your Pulumi backend holds. Ends with 1 if there are any.

    Asks `pulumi`, with your present login, for the stacks and what they hold; it changes nothing. Stacks of another
    backend are not known here: look there before you delete or adopt one of these integrations.
    """
    found = [
        report
        for report in reports_in(connect(), account or find_account())
        if owner_of(report.integration.external_id).kind == "pulumi"
    ]
    held = _held({stack_of(report.integration.external_id) for report in found})
    left = [Orphan(report, because) for report in found if (because := _why(report.integration, held))]
    if as_json:
        print_json({"orphans": [_as_json(orphan) for orphan in left]})
    elif left:
        print_rows(_HEADINGS, [_row(orphan) for orphan in left], narrow=_narrow)
        note('take one over with adopt="int_…" in a program, or end it: private-integrations delete ID')
    else:
        note("every integration that a program declared is in its stack")
    if left:
        raise typer.Exit(SOMETHING_IS_DUE)


def write_import_file(
    export: Annotated[
        Path, typer.Argument(metavar="EXPORT", help="What `pulumi stack export --show-secrets --file EXPORT` wrote.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write; it must not exist.")],
) -> None:
    """Write the import file that brings the integrations of an old export back into a stack that lost them.

    The file holds their tokens, so only you can read it: delete it after the import, as the export.
    Use it with: pulumi import --file OUT --generate-code=false
    """
    try:
        text = export.read_bytes()
    except OSError as error:
        raise usage(f"{export} can't be read: {error.strerror}", "EXPORT") from None
    content = import_file(read_export(text, str(export)))
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
            json.dump(content, file, indent=2)
    except OSError as error:
        raise usage(f"{out} can't be written: {error.strerror}", "OUT") from None
    note(f"{out} has {len(content['resources'])} resources: pulumi import --file {out} --generate-code=false")


def _held(stacks: Iterable[str]) -> dict[str, set[str]]:
    """Ask the backend which of these stacks it has, and which integrations each of them holds."""
    # In a folder without a project, names are written in full.
    with tempfile.TemporaryDirectory() as folder:
        there = [str(one["name"]) for one in json.loads(_pulumi(folder, "stack", "ls", "--all", "--json"))]
        listed = {stack: _same_stack(stack, there) for stack in stacks}
        return {
            stack: integration_ids(read_export(_pulumi(folder, "stack", "export", "--stack", name), name))
            for stack, name in listed.items()
            if name is not None
        }


def _same_stack(stack: str, listed: Iterable[str]) -> str | None:
    """Find the listed name of `organization/project/stack`: a backend leaves out your default organization."""
    return next((name for name in listed if stack == name or stack.endswith(f"/{name}")), None)


def _pulumi(folder: str, *arguments: str) -> str:
    program = shutil.which("pulumi")
    if program is None:
        raise ConfigurationError("pulumi is not on PATH, and only your Pulumi backend knows which stacks there are")
    command = [program, *arguments, "--non-interactive", "--color", "never"]
    try:
        done = subprocess.run(  # noqa: S603 - the user's own pulumi
            command, cwd=folder, capture_output=True, text=True, timeout=_PULUMI_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"pulumi {' '.join(arguments)} did not end in {_PULUMI_SECONDS} s") from None
    if done.returncode != 0:
        raise ConfigurationError(f"pulumi {' '.join(arguments)} failed: {_last_line(done.stderr)}")
    return done.stdout


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")


def _why(integration: Integration, held: dict[str, set[str]]) -> Because | None:
    stack = stack_of(integration.external_id)
    if stack not in held:
        return "stack gone"
    return None if integration.id in held[stack] else "not in its stack"


def _as_json(orphan: Orphan) -> dict[str, Any]:
    return {**orphan.report.as_json(), "stack": stack_of(orphan.integration.external_id), "because": orphan.because}


def _row(orphan: Orphan) -> Row:
    return (
        orphan.integration.id,
        orphan.integration.name,
        orphan.integration.account,
        stack_of(orphan.integration.external_id),
        orphan.because,
        orphan.report.in_words,
        when(orphan.report.last_used_at),
    )


def _narrow(row: Row) -> str:
    """Write the row on three lines, for a terminal that is too narrow for one."""
    integration_id, name, account, stack, because, status, used = row
    return f"{integration_id}  {name}\n  {because}: {stack}, account {account}\n  {status}, last used {used}"
