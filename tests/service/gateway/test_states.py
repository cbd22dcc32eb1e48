"""The states of a connection to the upstream: every event in every state."""

import itertools

import pytest

from private_integrations_service.gateway.states import Event, ImpossibleTransition, State, next_state

IMPOSSIBLE = "-"
EVENTS = "BEGIN BYTES EMPTY EMPTY_LAST FRAMED FRAMED_LAST UNFRAMED END SURPLUS BREAK FAIL EOF LOST REST".split()
# One line per state, one word per event: the state after it, `=` for the same one.
TABLE = """
NEW           AWAITING      =      -        -     -    -         -             -        -      -      -      =     =      -
KEPT          AWAITING_KEPT =      -        -     -    -         -             -        -      -      -      =     =      -
AWAITING      -             HEAD   -        -     -    -         -             -        -      -      FAILED =     FAILED -
AWAITING_KEPT -             HEAD   -        -     -    -         -             -        -      -      FAILED =     FAILED -
HEAD          -             =      COMPLETE SPENT BODY LAST_BODY BODY_TO_CLOSE =        -      FAILED FAILED =     FAILED -
BODY          -             =      -        -     -    -         -             COMPLETE -      FAILED FAILED =     FAILED -
LAST_BODY     -             =      -        -     -    -         -             SPENT    -      FAILED FAILED =     FAILED -
BODY_TO_CLOSE -             =      -        -     -    -         -             SPENT    -      FAILED FAILED SPENT FAILED -
COMPLETE      -             SPENT  -        -     -    -         -             =        SPENT  SPENT  SPENT  SPENT SPENT  KEPT
SPENT         -             =      -        -     -    -         -             =        =      =      =      =     =      -
FAILED        -             =      -        -     -    -         -             =        =      =      =      =     =      -
"""
EXPECTED = {
    (State[line.split()[0]], Event[event]): line.split()[0] if after == "=" else after
    for line in TABLE.strip().splitlines()
    for event, after in zip(EVENTS, line.split()[1:], strict=True)
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)), ids=lambda each: each.name)
def test_every_event_in_every_state(state, event):
    """It leads to the state that the table says; an impossible one is an error that names both."""
    after = EXPECTED[state, event]
    if after == IMPOSSIBLE:
        with pytest.raises(ImpossibleTransition, match=rf"\b{state.name} .*\b{event.name}$"):
            next_state(state, event)
    else:
        assert next_state(state, event) is State[after]
