"""Errors as one line on stderr and an exit code; the codes are listed in the package's docstring."""

import re
import sys
import unicodedata
from contextlib import suppress

import typer

from ..contract.characters import shown
from ..errors import (
    Conflict,
    NotAuthorized,
    NotFound,
    PrivateIntegrationError,
    ServiceUnreachable,
)

PROGRAM = "private-integrations"

ANSWER_IS_NO = 1
SOMETHING_IS_DUE = 1
REFUSED = 2
OUTPUT_LOST = 7
INTERRUPTED = 130
READER_GONE = 141

_CODES: dict[type[PrivateIntegrationError], int] = {
    NotAuthorized: 3,
    NotFound: 4,
    Conflict: 5,
    ServiceUnreachable: 6,
}
_SECRET = re.compile(r"\b((?:pit|pmk|psk)-)[0-9a-f][0-9a-f-]{7,}|\b(whsec_)[A-Za-z0-9+/=]{8,}")


class OutputLostError(Exception):
    """Stdout does not take what is written to it."""

    def __init__(self, reason: str, *, advice: str = "", reader_gone: bool = False) -> None:
        """`advice` is for what must not be lost in silence; without it, a reader that went away is no error."""
        super().__init__(f"the output could not be written: {reason}" + (f"; {advice}" if advice else ""))
        self.reason = reason
        self.reader_gone = reader_gone


def usage(message: str, option: str | None = None) -> typer.BadParameter:
    """Return the error of arguments that can't be used; `option` names the wrong one."""
    return typer.BadParameter(message, param_hint=option)


def note(message: str) -> None:
    """Say one line to the person at the terminal; a token or key in it is never shown."""
    # Without stderr there is no place for the message.
    with suppress(OSError):
        if sys.stderr is not None:
            sys.stderr.write(f"{PROGRAM}: {_one_line(message)}\n")


def report(error: BaseException) -> int:
    """Say what went wrong and give the exit code; an error that is no user's mistake is raised again."""
    if isinstance(error, typer.Abort | KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, OutputLostError):
        return _report_lost(error)
    if isinstance(error, typer.TyperException):
        note(_with_advice(error))
        return REFUSED
    if isinstance(error, PrivateIntegrationError):
        note(str(error))
        return exit_code(type(error))
    raise error


def exit_code(kind: type[PrivateIntegrationError]) -> int:
    """Return the exit code for this kind of error or the nearest kind above it."""
    return next((_CODES[parent] for parent in kind.__mro__ if parent in _CODES), REFUSED)


def _report_lost(error: OutputLostError) -> int:
    if error.reader_gone:
        return READER_GONE
    note(str(error))
    return OUTPUT_LOST


def _with_advice(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    advice = f" (see: {context.command_path} --help)" if context else ""
    return error.format_message() + advice


def _one_line(message: str) -> str:
    plain = "".join(" " if unicodedata.category(character) == "Cc" else character for character in message)
    return _SECRET.sub(r"\1\2…", " ".join(shown(plain).split()))
