"""Give an operation its own transaction: an edge calls it with the storage engine, and never opens one itself.

A decorator says which transaction an operation needs. For example:

    @writes
    def rename(write: Write, account_id: str, name: str, *, actor: Actor) -> Account | Refused: ...

    rename(engine, "abc", "Shop", actor=actor)

An operation that another one needs in its own transaction is called by its step: `rename.step(write, …)`.
"""

from collections.abc import Callable
from enum import Enum, auto
from functools import update_wrapper
from typing import Concatenate, Generic, ParamSpec, TypeVar

from sqlalchemy import Connection

from private_integrations.contract import Refused

from ..storage.engine import StorageEngine, Write

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")


class Waiting(Enum):
    """How a write transaction waits for the write lock."""

    USUAL = auto()
    ENDING = auto()
    """Longer than others, and with the reserved space on a full disk: it ends tokens or rights."""
    YIELDING = auto()
    """Behind all others: a client without a credential can cause it."""


class Reading(Generic[Parameters, Answer]):
    """An operation in a read-only transaction of its own: one consistent view."""

    def __init__(self, step: Callable[Concatenate[Connection, Parameters], Answer]) -> None:
        self.step = step
        update_wrapper(self, step)

    def __call__(self, engine: StorageEngine, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        """Run the operation; raises StorageError."""
        with engine.read() as connection:
            return self.step(connection, *args, **kwargs)


class Writing(Generic[Parameters, Answer]):
    """An operation in a write transaction of its own; if it refuses, nothing is stored."""

    def __init__(self, step: Callable[Concatenate[Write, Parameters], Answer], waiting: Waiting) -> None:
        self.step = step
        self.waiting = waiting
        update_wrapper(self, step)

    def __call__(self, engine: StorageEngine, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
        """Run the operation; raises StorageError, and then nothing is stored."""

        def step(write: Write) -> Answer:
            answer = self.step(write, *args, **kwargs)
            if isinstance(answer, Refused):
                raise _Undo(answer)
            return answer

        try:
            if self.waiting is Waiting.ENDING:
                return engine.end_access(step)
            with engine.write(yielding=self.waiting is Waiting.YIELDING) as write:
                return step(write)
        except _Undo as undo:
            return undo.answer  # type: ignore[return-value]  # it is what the step answered


def reads(step: Callable[Concatenate[Connection, Parameters], Answer]) -> Reading[Parameters, Answer]:
    """Make an operation that only reads."""
    return Reading(step)


def writes(step: Callable[Concatenate[Write, Parameters], Answer]) -> Writing[Parameters, Answer]:
    """Make an operation that writes."""
    return Writing(step, Waiting.USUAL)


def ends_access(step: Callable[Concatenate[Write, Parameters], Answer]) -> Writing[Parameters, Answer]:
    """Make an operation that ends tokens or rights: it must not fail because others write, or for want of room."""
    return Writing(step, Waiting.ENDING)


def yields(step: Callable[Concatenate[Write, Parameters], Answer]) -> Writing[Parameters, Answer]:
    """Make an operation that lets all others go first, because a client without a credential can cause it."""
    return Writing(step, Waiting.YIELDING)


class _Undo(Exception):
    """Rolls the transaction of a refused operation back."""

    def __init__(self, answer: Refused) -> None:
        super().__init__(answer.detail)
        self.answer = answer
