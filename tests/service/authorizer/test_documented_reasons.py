"""docs/platform.md §12 names every `reason` of the data API, and none that the code doesn't have."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import private_integrations_service
from private_integrations_service.sandbox.answers import not_found
from private_integrations_service.sandbox.limits import Spent

PAGE = Path(__file__).parents[3] / "docs" / "platform.md"
CODE = Path(private_integrations_service.__file__).parent

# Answered to nobody: the client is gone.
NEVER_SENT = {"client-gone"}


def test_every_reason_is_in_the_table_and_nothing_else() -> None:
    """A refusal's name that people may meet has a place on the page; a name on the page can be met."""
    assert sorted(reasons_on_the_page()) == sorted(set(reasons_in_the_code()) - NEVER_SENT)


def reasons_on_the_page() -> list[str]:
    """The names in the second column of the table whose head is `reason`."""
    rows = PAGE.read_text().partition("| about | `reason` |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    return [name for row in rows for name in re.findall(r"`([a-z-]+)`", row.split(" | ")[1])]


def reasons_in_the_code() -> Iterator[str]:
    """Every reason that a `Refusal` is made with."""
    trees = [ast.parse(file.read_text()) for file in sorted(CODE.rglob("*.py"))]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for given in (call.args[1] for call in calls if name_of(call) == "Refusal" and len(call.args) > 1):
        if isinstance(given, ast.Constant):
            yield str(given.value)
        elif isinstance(given, ast.Name):
            assert given.id == "reason", f"this test can't read the reason {ast.unparse(given)}"
        else:
            known = ("f'rate-limit-", 'f"{noun.')
            assert ast.unparse(given).startswith(known), f"this test can't read the reason {ast.unparse(given)}"
    yield from passed_on(trees, calls)
    for limit in get_args(get_args(get_type_hints(Spent)["exhausted"])[0]):
        refusal = Spent(0, 0, limit).refusal
        assert refusal is not None
        yield refusal.reason
    for noun in nouns(calls):
        yield not_found(noun, "").reason


def passed_on(trees: list[ast.Module], calls: list[ast.Call]) -> Iterator[str]:
    """What functions with a parameter `reason` are called with, or take where nothing is given."""
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        names = [argument.arg for argument in function.args.args]
        if "reason" not in names or not makes_refusals(function):
            continue
        place = names.index("reason")
        defaults = dict(zip(reversed(names), reversed(function.args.defaults), strict=False))
        for call in calls:
            if name_of(call) == function.name:
                given = call.args[place] if len(call.args) > place else defaults["reason"]
                assert isinstance(given, ast.Constant), f"this test can't read the reason {ast.unparse(given)}"
                yield str(given.value)


def nouns(calls: list[ast.Call]) -> Iterator[str]:
    """What can be not found, as its operations name it; notes and tasks say it as the noun of their kind."""
    for call in calls:
        given = {
            "not_found": call.args[0] if call.args else None,
            "Kind": next((keyword.value for keyword in call.keywords if keyword.arg == "noun"), None),
        }.get(name_of(call))
        if isinstance(given, ast.Constant):
            yield str(given.value)
        elif given is not None:
            assert ast.unparse(given) == "self.noun", f"this test can't read the noun {ast.unparse(given)}"


def makes_refusals(function: ast.FunctionDef) -> bool:
    """Whether it is said to answer a refusal."""
    return function.returns is not None and "Refusal" in ast.unparse(function.returns)


def name_of(call: ast.Call) -> str:
    """The called function's own name."""
    called = call.func
    return called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
