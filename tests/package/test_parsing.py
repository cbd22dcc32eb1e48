"""Code is parsed in the tests' process without a garbage collection in between (conftest.py says why)."""

import ast
import gc
from pathlib import Path


def test_a_finalizer_that_parses_does_no_harm():
    """It would make the outer call fail on Python 3.11.7; afterwards garbage is collected as before."""
    nested = []

    def parse(phase: str, _: object) -> None:
        if phase == "start":
            nested.append(ast.parse("a = (1 + (2 * 3))"))

    source = Path(__file__).read_text() * 20
    thresholds = gc.get_threshold()
    gc.callbacks.append(parse)
    gc.set_threshold(50)
    try:
        ast.parse(source)
        gc.collect()
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(parse)
    assert nested
    assert gc.isenabled()
