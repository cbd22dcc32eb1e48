"""Read the syntax of Python code, for the tests that look for a call or a name in all modules."""

import ast
import gc


def syntax_of(source: str) -> ast.Module:
    """Parse Python code.

    ``ast.parse`` of Python 3.11.7 and older fails if a finalizer that the garbage collector calls in between parses
    something itself, as printing a traceback does (CPython issue 106905). No collection runs meanwhile here.
    """
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        gc.enable()
