"""Claims on webhooks: one replica serves a webhook at a time, and a dead one gives it up by time."""

from contextlib import ExitStack, closing

import psycopg
import pytest

from private_integrations_service.storage.postgresql.engine import open_postgresql


@pytest.fixture
def claims(postgres_database, tmp_path):
    """The claims of two replicas on one database."""
    with ExitStack() as opened:
        folders = [tmp_path / name for name in ("one", "two")]
        engines = [opened.enter_context(closing(open_postgresql(postgres_database, folder))) for folder in folders]
        yield [engine.claims() for engine in engines]


def test_one_replica_has_a_webhook_at_a_time(claims):
    """It keeps its claim for as long as it takes it again; after that another one has it. Other webhooks are apart."""
    one, two = claims
    assert [one.take("hook"), two.take("hook"), one.take("hook"), two.take("other")] == [True, False, True, True]
    two.release("hook")
    assert not two.take("hook")
    one.release("hook")
    assert [two.take("hook"), one.take("hook")] == [True, False]


def test_a_claim_ends_by_time(claims, postgres_database):
    """A replica that was killed loses its claims, by the clock of the database."""
    one, two = claims
    assert one.take("hook")
    with psycopg.connect(postgres_database) as connection:
        connection.execute("UPDATE webhook_claims SET until = until - interval '44 seconds'")
    assert not two.take("hook")
    with psycopg.connect(postgres_database) as connection:
        connection.execute("UPDATE webhook_claims SET until = until - interval '2 seconds'")
    assert [two.take("hook"), one.take("hook")] == [True, False]


def test_a_claim_that_is_being_made_is_not_waited_for(claims, postgres_database):
    """While another replica takes the claim, or renews it, the answer comes at once, and is no."""
    one, two = claims
    assert one.take("hook")
    with psycopg.connect(postgres_database) as connection:
        connection.execute("UPDATE webhook_claims SET until = until - interval '1 hour'")
        connection.commit()
        connection.execute("SELECT 1 FROM webhook_claims FOR UPDATE")
        assert not two.take("hook")
    assert two.take("hook")
