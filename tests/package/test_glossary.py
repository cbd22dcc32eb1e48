"""docs/glossary.md names each concept once, and has the words that programs and people see."""

import re
from typing import Any, get_args

import pytest

from private_integrations.contract import Role, ServiceAlarmKind
from private_integrations.rotation.decisions import Status
from throwaway import REPOSITORY

GLOSSARY = (REPOSITORY / "docs" / "glossary.md").read_text()
NAMES = [name for name in re.findall(r"^\| ([^|]+?) \|", GLOSSARY, re.MULTILINE) if name not in ("name", "---")]


def test_a_name_is_explained_once():
    """No concept has two rows."""
    assert len(NAMES) > 100
    assert sorted(NAMES) == sorted(set(NAMES))


@pytest.mark.parametrize("kind", [Status, Role, ServiceAlarmKind])
def test_words_that_people_see_are_in_it(kind: Any):
    """Statuses, roles of keys and alarms of the service are in the glossary."""
    words = get_args(kind) or tuple(kind)
    assert words
    assert [word for word in words if f"`{word}`" not in GLOSSARY] == []
