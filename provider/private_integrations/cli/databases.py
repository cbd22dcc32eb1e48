"""The operator's commands on databases that no service needs to run for: `migrate` and `copy`."""

from typing import Annotated

import typer

from .failures import note
from .options import AsJson
from .output import print_json, print_table, print_text
from .service import installed


def migrate(
    database: Annotated[
        str,
        typer.Option(
            metavar="URL",
            envvar="PRIVATE_INTEGRATIONS_DATABASE",
            help="The PostgreSQL database, such as postgresql://user@host/name, as libpq reads it.",
        ),
    ],
) -> None:
    """Upgrade the schema of a PostgreSQL database, before you start replicas of a new release."""
    print_text(installed("server.schema_upgrade").upgrade_schema(database))


def copy(
    source: Annotated[
        str,
        typer.Option("--from", metavar="PLACE", help="A data folder, or a database as postgresql://user@host/name."),
    ],
    target: Annotated[
        str, typer.Option("--to", metavar="PLACE", help="The same; it is made, or must be empty. Repeat it freely.")
    ],
    as_json: AsJson = False,
) -> None:
    """Copy a whole installation to another database, with the service stopped: tokens, keys and people work as before.

    Every row is compared and every audit chain verified. The source stays as it is.
    """
    copied = installed("server.copying").copy(source, target)
    if as_json:
        print_json(
            {
                "from": copied.source,
                "to": copied.target,
                "copied": copied.is_new,
                "tables": copied.rows,
                "audit_chains": copied.chains,
            }
        )
    else:
        print_table(("table", "rows"), [(name, str(rows)) for name, rows in copied.rows.items()])
    done = "copied to" if copied.is_new else "was copied before to"
    note(
        f"{copied.source} {done} {copied.target}: every row is the same, and {copied.chains} audit chains are whole; "
        "start the service on the copy, and no longer on the source"
    )
