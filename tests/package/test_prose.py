"""The lint of words finds the sentences that CONTRIBUTING.md forbids, on their lines, and leaves the others alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from throwaway import REPOSITORY

BEFORE = "# A document\n\nA sentence,\n"


def lint(folder: Path, readme: str, module: str = "") -> str:
    """Return what the lint says of a folder with this document and this module."""
    (folder / "CONTRIBUTING.md").write_text(readme)
    (folder / "tools").mkdir()
    (folder / "tools" / "module.py").write_text(module)
    script = REPOSITORY / "scripts" / "prose.py"
    done = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == bool(done.stderr)
    return done.stderr.strip()


@pytest.mark.parametrize(
    ("sentence", "word"),
    [
        ("and nobody reads it.", "nobody"),
        ("by whoever\nwrites it.", "whoever"),
        ("- What is left is kept.", "What"),
        ("| it is kept. Whether it is read is unknown. |", "Whether"),
        ("a verdict in `code`.", "verdict"),
        ("each waits for its turn.", "its turn"),
        ("the webhooks are\ntold of it.", "are told"),
    ],
)
def test_a_sentence_is_refused_on_its_line(tmp_path: Path, sentence: str, word: str) -> None:
    """A word that a rule names is refused, on the line on which it stands."""
    line = 4 + (sentence.partition(word.split()[0])[0].count("\n"))
    assert lint(tmp_path, BEFORE + sentence).startswith(f'CONTRIBUTING.md:{line}: "{word}": ')


@pytest.mark.parametrize(
    "sentence",
    [
        "`nobody` is a user.",
        '"somebody" is quoted.',
        "What if it fails?",
        "Turn it off.",
        "```\nnobody\n```",
        "Bodies.",
    ],
)
def test_a_sentence_is_left_alone(tmp_path: Path, sentence: str) -> None:
    """Code, quotations, questions and other meanings of a word pass."""
    assert lint(tmp_path, "# A document\n\n" + sentence) == ""


def test_docstrings_and_comments_are_read(tmp_path: Path) -> None:
    """Docstrings, those of attributes too, and comments are checked; strings and directives are not."""
    module = '"""Say it."""\n\nx = 1\n"""Whose it is."""\n\ny = "nobody"  # noqa: S1 - nobody\n# It is\n# told here.\n'
    assert [line.split(": ")[:2] for line in sorted(lint(tmp_path, "", module).splitlines())] == [
        ["tools/module.py:4", '"Whose"'],
        ["tools/module.py:6", '"nobody"'],
        ["tools/module.py:7", '"is told"'],
    ]
