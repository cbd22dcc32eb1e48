"""Make a database with any number of tokens, written at once instead of issued one by one."""

import random
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import psycopg
import pysqlite3.dbapi2 as sqlite  # never Python's own: it may lose what the service committed

from private_integrations.contract import Account, AccountClass, digest_of
from private_integrations_service.instants import to_milliseconds
from private_integrations_service.sandbox.storage.furniture import furnish
from private_integrations_service.server.clock import utc_now
from private_integrations_service.storage.accounts import add_account
from private_integrations_service.storage.engine import StorageEngine
from private_integrations_service.storage.postgresql.engine import open_postgresql
from private_integrations_service.storage.sqlite.engine import FILE_NAME, open_database
from private_integrations_service.tokens.format import HASH_VERSION

AGENCY = "benchAgency000000001"
ACCOUNT = "benchAccount00000001"
SCOPES = '["contacts.readonly", "locations.readonly"]'

_NUMBERS = "WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < :count) "
_INTEGRATIONS = f"""
INSERT INTO integrations (id, account_id, external_id, name, description, scopes, owner_nonce, version, last_generation,
                          created_at, updated_at)
{_NUMBERS}
SELECT printf('int_%020d', i), :account, printf('bench/bench/bench/%d', i), 'CRM sync', '', :scopes,
       printf('claim_%020d', i), 1, 1, :now, :now
FROM numbers
"""
_TOKENS = f"""
INSERT INTO tokens (integration_id, generation, role, issuer, run, attempt, digest, hash_version, overlap_seconds,
                    issued_at, delivered_at)
{_NUMBERS}
SELECT printf('int_%020d', i), 1, 'current', printf('bench/bench/bench/%d', i), 'run', 1, digest(i), :hash_version,
       604800, :now, :now
FROM numbers
"""

_POSTGRESQL_INTEGRATIONS = """
INSERT INTO integrations (id, account_id, external_id, name, description, scopes, owner_nonce, version, last_generation,
                          created_at, updated_at)
SELECT 'int_' || lpad(i::text, 20, '0'), %(account)s, 'bench/bench/bench/' || i, 'CRM sync', '', %(scopes)s,
       'claim_' || lpad(i::text, 20, '0'), 1, 1, %(now)s, %(now)s
FROM generate_series(1, %(count)s) AS i
"""
_POSTGRESQL_TOKENS = """
INSERT INTO tokens (integration_id, generation, role, issuer, run, attempt, digest, hash_version, overlap_seconds,
                    issued_at, delivered_at)
SELECT 'int_' || lpad(i::text, 20, '0'), 1, 'current', 'bench/bench/bench/' || i, 'run', 1,
       sha256(convert_to('pit-' || lpad(to_hex(i), 8, '0') || '-0000-4000-8000-000000000000', 'UTF8')),
       %(hash_version)s, 604800, %(now)s, %(now)s
FROM generate_series(1, %(count)s) AS i
"""


def token(number: int) -> str:
    """Return the value of a token by its number, counted from 1; these are no secrets."""
    return f"pit-{number:08x}-0000-4000-8000-000000000000"


def integration(number: int) -> str:
    """Return the id of the integration that has the token with this number."""
    return f"int_{number:020d}"


def stock(folder: Path, count: int) -> None:
    """Make a data folder with an account and so many integrations, each with one token in use."""
    with closing(open_database(folder, utc_now)) as database:
        _add_accounts(database)
    values = _values(count)
    with closing(sqlite.connect(str(folder / FILE_NAME), isolation_level=None)) as connection:
        connection.create_function("digest", 1, lambda number: digest_of(token(number)))
        # No other process has it open, and it is temporary.
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-400000")
        connection.execute("BEGIN IMMEDIATE")
        for statement in (_INTEGRATIONS, _TOKENS):
            connection.execute(statement, values)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def stock_postgresql(address: str, folder: Path, count: int) -> None:
    """Make the same in a PostgreSQL database; the folder is of a replica that leaves it again."""
    with closing(open_postgresql(address, folder)) as database:
        _add_accounts(database)
    with psycopg.connect(address, autocommit=True) as connection:
        for statement in (_POSTGRESQL_INTEGRATIONS, _POSTGRESQL_TOKENS):
            connection.execute(statement, _values(count))
        connection.execute("VACUUM ANALYZE")


def _add_accounts(database: StorageEngine) -> None:
    with database.write() as write:
        for account in (
            Account(id=AGENCY, name="Bench agency", kind=AccountClass.AGENCY),
            Account(id=ACCOUNT, name="Bench", kind=AccountClass.SUB_ACCOUNT, agency_id=AGENCY),
        ):
            add_account(write.connection, account, utc_now())
        furnish(write.connection, ACCOUNT)


def _values(count: int) -> dict[str, int | str]:
    return {
        "count": count,
        "account": ACCOUNT,
        "scopes": SCOPES,
        "hash_version": HASH_VERSION,
        "now": to_milliseconds(utc_now()),
    }


def write_credentials(file: Path, numbers: Iterable[int]) -> Path:
    """Write a file with the `Authorization` values of these tokens, in a random order that is always the same."""
    shuffled = list(numbers)
    random.Random(1).shuffle(shuffled)
    file.write_text("".join(f"Bearer {token(number)}\n" for number in shuffled))
    return file
