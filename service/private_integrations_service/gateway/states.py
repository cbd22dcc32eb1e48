"""The states of a connection to the upstream, and what each event makes of them."""

from collections.abc import Mapping
from enum import IntEnum, auto


# Integers: three to five transitions per request, and those of a plain enum take as long as parsing the answer.
class State(IntEnum):
    """How far a connection, or the exchange that runs over it, has come."""

    NEW = 0
    """No request was ever sent."""
    KEPT = auto()
    """The last exchange is complete, and no other one has begun."""
    AWAITING = auto()
    """A request was begun on a new connection; nothing of its answer has arrived."""
    AWAITING_KEPT = auto()
    """The same on a kept connection, which the upstream may have closed before the request arrived."""
    HEAD = auto()
    """Bytes have arrived, but no final head: at most heads of interim answers (1xx)."""
    BODY = auto()
    """The body arrives; the connection is kept after it."""
    LAST_BODY = auto()
    """The body arrives; the connection is closed after it."""
    OPEN_BODY = auto()
    """The body arrives, and ends with the connection."""
    COMPLETE = auto()
    """The answer has arrived, and nothing after it."""
    SPENT = auto()
    """The answer has arrived; the connection must not be used again."""
    FAILED = auto()
    """The exchange has failed, and the connection is being closed."""


class ConnectionEvent(IntEnum):
    """Something that happens to a connection."""

    BEGIN = 0
    """A request begins."""
    BYTES = auto()
    """Bytes arrive."""
    EMPTY = auto()
    """The final head arrives; the answer has no body."""
    EMPTY_LAST = auto()
    """The same, and the upstream closes the connection."""
    FRAMED = auto()
    """The final head arrives; the body says where it ends."""
    FRAMED_LAST = auto()
    """The same, and the upstream closes the connection."""
    UNFRAMED = auto()
    """The final head arrives; the body ends with the connection."""
    END = auto()
    """The parser has read an answer, or an interim answer, to its end."""
    SURPLUS = auto()
    """The parser has read more than the answer."""
    BREAK = auto()
    """The bytes are no answer, or one that is too long."""
    FAIL = auto()
    """The gateway gives up: a deadline has passed, the consumer is gone, or its body was refused."""
    EOF = auto()
    """The upstream sends nothing more."""
    LOST = auto()
    """The connection is closed."""
    REST = auto()
    """The pool takes the connection back to keep it."""


class ImpossibleTransition(RuntimeError):
    """A connection can't have this event in its state; this is a bug of the gateway or of its HTTP parser."""


def _all_to(target: State) -> Mapping[ConnectionEvent, State]:
    """Return the events that may come late, after an exchange was decided on."""
    late = (
        ConnectionEvent.BYTES,
        ConnectionEvent.END,
        ConnectionEvent.SURPLUS,
        ConnectionEvent.BREAK,
        ConnectionEvent.FAIL,
        ConnectionEvent.EOF,
        ConnectionEvent.LOST,
    )
    return dict.fromkeys(late, target)


_IDLE_EVENTS = (ConnectionEvent.BYTES, ConnectionEvent.EOF, ConnectionEvent.LOST)


def _body(state: State, at_end: State, at_eof: State) -> Mapping[ConnectionEvent, State]:
    return {
        ConnectionEvent.BYTES: state,
        ConnectionEvent.END: at_end,
        ConnectionEvent.BREAK: State.FAILED,
        ConnectionEvent.FAIL: State.FAILED,
        ConnectionEvent.EOF: at_eof,
        ConnectionEvent.LOST: State.FAILED,
    }


def _awaiting(state: State) -> Mapping[ConnectionEvent, State]:
    return {
        ConnectionEvent.BYTES: State.HEAD,
        ConnectionEvent.FAIL: State.FAILED,
        ConnectionEvent.EOF: state,
        ConnectionEvent.LOST: State.FAILED,
    }


_TRANSITIONS: Mapping[State, Mapping[ConnectionEvent, State]] = {
    State.NEW: {ConnectionEvent.BEGIN: State.AWAITING, **dict.fromkeys(_IDLE_EVENTS, State.NEW)},
    State.KEPT: {ConnectionEvent.BEGIN: State.AWAITING_KEPT, **dict.fromkeys(_IDLE_EVENTS, State.KEPT)},
    State.AWAITING: _awaiting(State.AWAITING),
    State.AWAITING_KEPT: _awaiting(State.AWAITING_KEPT),
    State.HEAD: {
        **_body(State.HEAD, at_end=State.HEAD, at_eof=State.HEAD),
        ConnectionEvent.EMPTY: State.COMPLETE,
        ConnectionEvent.EMPTY_LAST: State.SPENT,
        ConnectionEvent.FRAMED: State.BODY,
        ConnectionEvent.FRAMED_LAST: State.LAST_BODY,
        ConnectionEvent.UNFRAMED: State.OPEN_BODY,
    },
    State.BODY: _body(State.BODY, at_end=State.COMPLETE, at_eof=State.BODY),
    State.LAST_BODY: _body(State.LAST_BODY, at_end=State.SPENT, at_eof=State.LAST_BODY),
    State.OPEN_BODY: _body(State.OPEN_BODY, at_end=State.SPENT, at_eof=State.SPENT),
    # An answer without a body is complete before the parser says so.
    State.COMPLETE: {**_all_to(State.SPENT), ConnectionEvent.END: State.COMPLETE, ConnectionEvent.REST: State.KEPT},
    State.SPENT: _all_to(State.SPENT),
    State.FAILED: _all_to(State.FAILED),
}
# By index, which costs a fifth of what a dictionary with pairs as keys does.
_NEXT = [[_TRANSITIONS[state].get(event) for event in ConnectionEvent] for state in State]


def next_state(state: State, event: ConnectionEvent) -> State:
    """Return the state after an event; raises ImpossibleTransition."""
    after = _NEXT[state][event]
    if after is None:
        raise ImpossibleTransition(f"a connection that is {state.name} can't have the event {event.name}")
    return after
