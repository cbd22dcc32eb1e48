"""The commands about upstream credentials: `upstreams set`, `list`, `verify`, `remove`, `reseal` and `new-key`."""

from typing import Annotated

import typer

from ..contract import UpstreamCredential, UpstreamRequest, instant_text, new_sealing_key
from ..errors import ServiceUnreachable
from .failures import ANSWER_IS_NO, note, usage
from .options import AsJson, connect, identifier, is_interactive, secret_from_stdin, valid
from .output import Row, print_json, print_table, print_text
from .status import when

app = typer.Typer(
    help=(
        "The platform's own tokens, which a service with --upstream forwards requests with: one for each account, "
        "sealed, and never shown again. An admin's key is needed, except to list."
    ),
    rich_markup_mode=None,
)

_HEADINGS = ("account", "set", "by", "sealed with", "verified")

UpstreamAccount = Annotated[
    str, typer.Argument(metavar="ACCOUNT", callback=identifier, help="The account's id, as `accounts` shows it.")
]


@app.command("set")
def set_(
    account: UpstreamAccount,
    verify: Annotated[
        bool, typer.Option("--verify", help="Ask the upstream first, and store only what it accepts.")
    ] = False,
    as_json: AsJson = False,
    surplus: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Read the platform's token for an account from stdin and store it. It replaces the former one at once."""
    if surplus:
        raise usage("the credential is read from stdin; as an argument, others on this machine could see it")
    credential = secret_from_stdin("credential", f"private-integrations upstreams set {account} < file")
    request = valid(UpstreamRequest, credential=credential, verify=verify)
    client = connect()
    try:
        known = client.set_upstream(account, request)
    except (ServiceUnreachable, KeyboardInterrupt):
        # Its answer may be what was lost.
        note("whether it was stored, `private-integrations upstreams list` tells; setting it again does no harm")
        raise
    note(f"the upstream credential of {account} is stored{_verified_too(known)}")
    if as_json:
        print_json(known.model_dump(mode="json"))


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the accounts that have an upstream credential. Never the credentials."""
    found = connect().upstreams()
    if as_json:
        print_json({"upstreams": [known.model_dump(mode="json") for known in found]})
    else:
        print_table(_HEADINGS, [_row(known) for known in found])
    for known in found:
        if not known.readable:
            note(
                f"the upstream credential of {known.account} can't be opened with the service's sealing keys: "
                f"start it with key {known.sealed_with} again, or set the credential anew"
            )


@app.command()
def verify(account: UpstreamAccount, as_json: AsJson = False) -> None:
    """Ask the upstream whether it takes an account's credential."""
    known = connect().verify_upstream(account)
    if as_json:
        print_json(known.model_dump(mode="json"))
    else:
        print_text(f"{account}: {known.verification.in_words if known.verification else 'not verified'}")
    if known.verification is None or known.verification.outcome != "accepted":
        raise typer.Exit(ANSWER_IS_NO)


@app.command()
def remove(
    account: UpstreamAccount,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Forget an account's upstream credential. From then on no request of the account is forwarded."""
    if not yes and not is_interactive():
        raise usage("nobody can be asked here; give --yes to remove")
    client = connect()
    question = f"Remove the upstream credential of {account}? Its requests are forwarded no more."
    if not yes and not typer.confirm(question, err=True):
        note("nothing was removed")
        raise typer.Exit(ANSWER_IS_NO)
    if client.remove_upstream(account):
        note(f"removed the upstream credential of {account}")
    else:
        note(f"nothing to remove: {account} has no upstream credential")


@app.command()
def reseal(as_json: AsJson = False) -> None:
    """Seal every credential with the service's first sealing key, so that the older ones can be taken away."""
    done = connect().reseal_upstreams()
    note(f"sealed {done.resealed} anew with key {done.sealed_with}; {done.unchanged} had that one already")
    if as_json:
        print_json(done.model_dump(mode="json"))
    if done.unreadable:
        note(f"can't be opened with the keys at hand, and stay as they are: {', '.join(done.unreadable)}")
        raise typer.Exit(ANSWER_IS_NO)


@app.command("new-key")
def new_key() -> None:
    """Print a new sealing key, for the file of `serve --sealing-keys`. It is stored nowhere."""
    print_text(new_sealing_key())


def _verified_too(known: UpstreamCredential) -> str:
    return f"; {known.verification.in_words}" if known.verification else ""


def _row(known: UpstreamCredential) -> Row:
    seal = known.sealed_with if known.readable else f"{known.sealed_with}: can't be opened"
    return (known.account, when(known.set_at), known.set_by, seal, _verified(known))


def _verified(known: UpstreamCredential) -> str:
    if known.verification is None:
        return "never"
    status = f" {known.verification.status}" if known.verification.status else ""
    return f"{known.verification.outcome}{status}, {instant_text(known.verification.at)}"
