"""The states of a connection to the upstream: every event in every state."""

import itertools

import pytest

from private_integrations_service.gateway.states import ConnectionEvent, ImpossibleTransition, State, next_state

IMPOSSIBLE = "-"
# One column per state, one line per event: the state after it, `=` for the same one, `!` for FAILED.
TABLE = """
after       NEW      KEPT          AWAITING AWAITING_KEPT HEAD      BODY     LAST_BODY OPEN_BODY COMPLETE SPENT FAILED
BEGIN       AWAITING AWAITING_KEPT -        -             -         -        -         -         -        -     -
BYTES       =        =             HEAD     HEAD          =         =        =         =         SPENT    =     =
EMPTY       -        -             -        -             COMPLETE  -        -         -         -        -     -
EMPTY_LAST  -        -             -        -             SPENT     -        -         -         -        -     -
FRAMED      -        -             -        -             BODY      -        -         -         -        -     -
FRAMED_LAST -        -             -        -             LAST_BODY -        -         -         -        -     -
UNFRAMED    -        -             -        -             OPEN_BODY -        -         -         -        -     -
END         -        -             -        -             =         COMPLETE SPENT     SPENT     =        =     =
SURPLUS     -        -             -        -             -         -        -         -         SPENT    =     =
BREAK       -        -             -        -             !         !        !         !         SPENT    =     =
FAIL        -        -             !        !             !         !        !         !         SPENT    =     =
EOF         =        =             =        =             =         =        =         SPENT     SPENT    =     =
LOST        =        =             !        !             !         !        !         !         SPENT    =     =
REST        -        -             -        -             -         -        -         -         KEPT     -     -
"""
STATES, *ROWS = [line.split()[1:] for line in TABLE.strip().splitlines()]
EXPECTED = {
    (State[state], event): {"=": state, "!": "FAILED"}.get(after, after)
    for event, row in zip(ConnectionEvent, ROWS, strict=True)
    for state, after in zip(STATES, row, strict=True)
}


def test_the_table_is_in_the_order_of_the_events():
    """Each line begins with the name of its event."""
    assert [line.split()[0] for line in TABLE.strip().splitlines()[1:]] == [event.name for event in ConnectionEvent]


@pytest.mark.parametrize(
    ("state", "event"), list(itertools.product(State, ConnectionEvent)), ids=lambda each: each.name
)
def test_every_event_in_every_state(state, event):
    """It leads to the state that the table says; an impossible one is an error that names both."""
    after = EXPECTED[state, event]
    if after == IMPOSSIBLE:
        with pytest.raises(ImpossibleTransition, match=rf"\b{state.name} .*\b{event.name}$"):
            next_state(state, event)
    else:
        assert next_state(state, event) is State[after]
