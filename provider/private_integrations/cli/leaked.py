"""`leaked`: end every token in a text that was found where none should be."""

import getpass
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from ..client import Client
from ..contract import MAX_LEAKED, TOKEN_PATTERN, LeakReport, token_fingerprint
from ..errors import PrivateIntegrationError
from .failures import ANSWER_IS_NO, note, usage
from .options import AsJson, connect_without_key, is_interactive, valid
from .output import print_json, print_table

# Whatever stands around it: what is no token after all is unknown to the service.
_TOKEN = re.compile(TOKEN_PATTERN.pattern.encode())
_LENGTH = 40
# A log may be large, and so may its lines.
_CHUNK = 1 << 20


def leaked(
    where: Annotated[
        str, typer.Option(metavar="TEXT", help="Where it was found, such as a URL; its owners get to read it.")
    ] = "",
    as_json: AsJson = False,
    surplus: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
) -> None:
    """Read any text from stdin, such as a log, and end every token in it at once.

    No management key is needed: to hold a token is enough to end it. The next `pulumi up` issues another one.
    """
    if surplus:
        raise usage("text is read from stdin; a token as an argument could be seen by others on this machine")
    service = connect_without_key()
    tokens = list(dict.fromkeys(found.decode() for found in _tokens_from_stdin()))
    ended = _reported(service, tokens, where)
    fingerprints = [token_fingerprint(token) for token in tokens]
    if as_json:
        print_json({"found": len(tokens), "ended": ended, "fingerprints": fingerprints})
    elif tokens:
        print_table(("fingerprint",), [(fingerprint,) for fingerprint in fingerprints])
    note(_in_words(len(tokens), ended))
    if not tokens:
        raise typer.Exit(ANSWER_IS_NO)


def _tokens_from_stdin() -> Iterator[bytes]:
    """Return every token in the text that is piped in or typed without being shown, each as often as it is there."""
    if is_interactive():
        yield from _TOKEN.findall(getpass.getpass("Token: ").encode())
    elif sys.stdin is not None:
        rest = b""
        while chunk := sys.stdin.buffer.read(_CHUNK):
            text = rest + chunk
            yield from _TOKEN.findall(text)
            # The beginning of one that the next chunk completes.
            rest = text[-(_LENGTH - 1) :]


def _reported(service: Client, tokens: Sequence[str], where: str) -> int:
    starts = range(0, len(tokens), MAX_LEAKED)
    reports = [valid(LeakReport, tokens=tokens[start : start + MAX_LEAKED], where=where) for start in starts]
    ended = 0
    for start, report in zip(starts, reports, strict=True):
        try:
            ended += service.report_leaked(report).ended
        except (PrivateIntegrationError, KeyboardInterrupt):
            note(f"{start} of {len(tokens)} tokens are reported; the others may still work: run this again")
            raise
    return ended


def _in_words(found: int, ended: int) -> str:
    if not found:
        return "there is no token in this text"
    found_tokens = "1 token is" if found == 1 else f"{found} different tokens are"
    return f"{found_tokens} in this text, and none works now" + (f"; {ended} did until this moment" if ended else "")
