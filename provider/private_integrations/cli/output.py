"""Data on stdout: tables for people, JSON for programs."""

import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..contract.characters import shown, shown_json
from .failures import OutputLostError

if TYPE_CHECKING:
    from rich.table import Table

Row = Sequence[str]

_GAP = 2


def print_json(value: dict[str, Any]) -> None:
    """Print an object for programs."""
    _write(shown_json(json.dumps(value, indent=2, ensure_ascii=False)))


def print_json_lines(lines: Sequence[bytes]) -> None:
    """Print objects for programs, a line each, as they are but for characters that a terminal would obey."""
    _write("\n".join(shown_json(line.decode()) for line in lines))


def print_table(headings: Row, rows: Sequence[Row]) -> None:
    """Print rows under headings, one line each and nothing cut off, however wide that becomes."""
    rows = _shown(rows)
    table = _grid(len(headings))
    table.show_header = True
    for column, heading in zip(table.columns, headings, strict=True):
        column.header = heading.upper()
    for row in rows:
        table.add_row(*row)
    _write(_rendered(table, table_width(headings, rows)))


def print_rows(headings: Row, rows: Sequence[Row], *, narrow: Callable[[Row], str]) -> None:
    """Print a table, or, on a terminal that is too narrow for it, each row as `narrow` writes it on a few lines."""
    rows = _shown(rows)
    width = terminal_width()
    if width is None or width >= table_width(headings, rows):
        print_table(headings, rows)
    else:
        print_text("\n\n".join(narrow(row) for row in rows))


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values, a line each; long values are wrapped on a terminal, but no id or token is."""
    facts = [(name, shown(value)) for name, value in facts]
    table = _grid(2)
    table.columns[0].style = "bold"
    for fact in facts:
        table.add_row(*fact)
    words = [(name, word) for name, value in facts for word in value.split() or [""]]
    narrowest = max(terminal_width() or 0, table_width([], words))
    _write(_rendered(table, narrowest if terminal_width() else table_width([], facts)))


def print_text(text: str) -> None:
    """Print a text and be sure that it has left this process; raises OutputLostError.

    Of what a terminal would obey, or wouldn't show, the code is printed (`contract.characters`), here and in tables.
    """
    _write(shown(text))


def _shown(rows: Sequence[Row]) -> Sequence[Row]:
    return [[shown(cell) for cell in row] for row in rows]


def _write(text: str) -> None:
    if sys.stdout is None:
        raise OutputLostError("stdout is closed")
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        # The rest of the buffer would fail again, and loudly, when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        reader_gone = isinstance(error, BrokenPipeError)
        raise OutputLostError(error.strerror or "unknown error", reader_gone=reader_gone) from error


def table_width(headings: Row, rows: Sequence[Row]) -> int:
    """Return the cells that a table takes when nothing is wrapped."""
    from rich.cells import cell_len

    lines = [headings, *rows] if headings else rows
    widths = [
        max(cell_len(line) for cell in column for line in cell.split("\n")) for column in zip(*lines, strict=True)
    ]
    return sum(widths) + _GAP * (len(widths) - 1)


def terminal_width() -> int | None:
    """Return the width of the terminal that stdout is; None if it is none."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return shutil.get_terminal_size().columns


def _coloured() -> bool:
    return terminal_width() is not None and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _grid(columns: int) -> "Table":
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for _ in range(columns):
        table.add_column(overflow="fold")
    return table


def _rendered(table: "Table", width: int) -> str:
    from rich.console import Console

    file = io.StringIO()
    coloured = _coloured()
    console = Console(
        file=file,
        width=width,
        force_terminal=coloured,
        color_system="standard" if coloured else None,
        # A name such as "[red]" is text.
        markup=False,
        emoji=False,
        highlight=False,
    )
    console.print(table)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())
