"""Store the pipelines of a location; the account is part of every condition."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from .tables import pipelines


@dataclass(frozen=True)
class Stage:
    """Hold a step of a pipeline."""

    id: str
    name: str


@dataclass(frozen=True)
class Pipeline:
    """Hold a pipeline of a location, with its stages in their order, at least one."""

    id: str
    account_id: str
    name: str
    stages: Sequence[Stage]


def list_pipelines(connection: Connection, account_id: str) -> list[Pipeline]:
    """Return the account's pipelines by name."""
    own = select(pipelines).where(pipelines.c.account_id == account_id)
    return [_pipeline(row) for row in connection.execute(own.order_by(pipelines.c.name, pipelines.c.id))]


def pipeline_by_id(connection: Connection, account_id: str, pipeline_id: str) -> Pipeline | None:
    """Return the account's pipeline with this id."""
    own = select(pipelines).where(pipelines.c.account_id == account_id, pipelines.c.id == pipeline_id)
    row = connection.execute(own).one_or_none()
    return None if row is None else _pipeline(row)


def add_pipeline(connection: Connection, pipeline: Pipeline) -> None:
    """Store a new pipeline."""
    connection.execute(
        insert(pipelines).values(
            id=pipeline.id,
            account_id=pipeline.account_id,
            name=pipeline.name,
            stages=[asdict(stage) for stage in pipeline.stages],
        )
    )


def _pipeline(row: Row[Any]) -> Pipeline:
    return Pipeline(row.id, row.account_id, row.name, tuple(Stage(**stage) for stage in row.stages))
