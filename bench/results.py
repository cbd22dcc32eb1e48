"""Keep what the benches measured, and show it in docs/performance.md.

    python bench/request_path.py --save     # keeps its tables in bench/results/request-path.json
    python bench/results.py                 # writes all kept tables into docs/performance.md

A comment in the document names a table: `<!-- request-path: comparisons -->`. The lines below it are replaced.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from private_integrations_service.server.clock import utc_now

HERE = Path(__file__).resolve().parent
KEPT = HERE / "results"
DOCUMENT = HERE.parent / "docs" / "performance.md"
_PLACE = re.compile(r"<!-- ([\w-]+): ([\w-]+) -->\n(?:\|.*\n)*")

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""The heads of the columns, and the rows."""


def add_option(arguments: argparse.ArgumentParser) -> None:
    """Add `--save` to the options of a bench."""
    arguments.add_argument("--save", action="store_true", help="keep the tables for docs/performance.md")


def show(bench: str, tables: Mapping[str, Table], save: bool) -> None:
    """Print the tables of a bench, such as `peers`, and keep them if `save` is true."""
    for heads, rows in tables.values():
        print("\n".join(_lines(heads, rows)), end="\n\n", flush=True)
    if save:
        KEPT.mkdir(exist_ok=True)
        named = {name: {"heads": heads, "rows": rows} for name, (heads, rows) in tables.items()}
        kept = {"day": f"{utc_now():%Y-%m-%d}", "tables": named}
        (KEPT / f"{bench}.json").write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n")


def published(document: str) -> str:
    """Return a document with the kept tables below their comments."""

    def table(place: re.Match[str]) -> str:
        bench, name = place.groups()
        kept = json.loads((KEPT / f"{bench}.json").read_text())
        lines = _lines(kept["tables"][name]["heads"], kept["tables"][name]["rows"])
        return "\n".join([f"<!-- {bench}: {name} -->", *lines]) + "\n"

    return _PLACE.sub(table, document)


def _lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)]


def main() -> None:
    """Write the kept tables into the document."""
    before = DOCUMENT.read_text()
    after = published(before)
    DOCUMENT.write_text(after)
    print(f"{DOCUMENT.name} is {'unchanged' if after == before else 'written'}", file=sys.stderr)


if __name__ == "__main__":
    main()
