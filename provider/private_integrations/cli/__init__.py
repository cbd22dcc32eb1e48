"""The command line `private-integrations`: manage integrations and tokens, and run the service.

Data goes to stdout, everything said about it to stderr. Exit codes, for scripts:

0    done
1    the answer is no: `verify` of a token that opens nothing, a deletion that was not confirmed,
     `scopes` of what no token opens, `leaked` of a text without a token; of `due`: something is due; of
     `doctor`: a check failed; of `orphans`: there are some; of `upstreams verify`: anything but accepted; of
     `audit verify`: the log is not whole; of `scopes suggest`: no scope is needed, or some requests are open to no
     private integration
2    wrong usage or configuration, or values that are refused
3    not authorized
4    not found
5    conflict: another change came first
6    the service can't be reached
7    the output could not be written
130  interrupted; 141: the reader of the output went away
"""

import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated

import typer

from . import (
    accounts,
    activity,
    audit,
    data_webhooks,
    databases,
    doctor,
    due,
    integrations,
    keys,
    leaked,
    orphans,
    overview,
    replicas,
    rotations,
    scopes,
    service,
    tokens,
    upstreams,
    users,
    webhooks,
)
from .failures import INTERRUPTED, PROGRAM, report

_EPILOG = "\b\nExit codes:\n  " + (__doc__ or "").partition("scripts:\n\n")[2].strip().replace("\n", "\n  ")

app = typer.Typer(
    help=(
        "Private integrations: create and edit them, rotate their tokens, or serve them. "
        "The service is at PRIVATE_INTEGRATIONS_URL and PRIVATE_INTEGRATIONS_KEY is the management key."
    ),
    epilog=_EPILOG,
    # Plain help: it is read in pipes and logs too, and starts faster.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("list")(overview.list_)
app.command()(overview.show)
app.command("activity")(activity.activity)
app.command()(due.due)
app.command()(doctor.doctor)
app.command()(orphans.orphans)
app.command("import-file")(orphans.write_import_file)
app.command()(integrations.create)
app.command()(integrations.edit)
app.command()(rotations.rotate)
app.command()(rotations.cancel)
app.command()(tokens.expire)
app.command()(integrations.delete)
app.command()(tokens.verify)
app.command()(leaked.leaked)
app.add_typer(scopes.app, name="scopes")
app.add_typer(accounts.app, name="accounts")
app.add_typer(keys.app, name="keys")
app.add_typer(upstreams.app, name="upstreams")
app.add_typer(users.app, name="users")
app.add_typer(audit.app, name="audit")
webhooks.app.command("data")(data_webhooks.data)
app.add_typer(webhooks.app, name="webhooks")
app.command()(service.serve)
app.command()(replicas.replicas)
app.command()(databases.migrate)
app.command()(databases.copy)


def main() -> None:
    """Run the command line that the process was started with."""
    for stream in (sys.stdout, sys.stderr):
        # A name in an alphabet that the terminal doesn't know is no reason to fail. None: closed by the caller.
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # the real streams, not a test's
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code; what goes wrong is one line on stderr."""
    try:
        code: int = commands()(args=list(arguments), prog_name=PROGRAM, standalone_mode=False) or 0
    except (Exception, KeyboardInterrupt) as error:
        code = report(error)
    if code == INTERRUPTED and sys.stderr is not None and sys.stderr.isatty():
        sys.stderr.write("\n")
    return code


@cache
def commands() -> Callable[..., int | None]:
    """Build the commands, once in a process: that takes longer than most of them."""
    return typer.main.get_command(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        # Takes a tenth of a command's start.
        from importlib.metadata import version

        typer.echo(version("private-integrations"))
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...
