"""Check the words of docstrings, comments and documents: say who does what, in the words of docs/glossary.md.

`scripts/check` runs it. `python scripts/prose.py --counts [FOLDER]` prints the words per 1,000 of this checkout, or of
another one in FOLDER.
"""

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

CODE = ("provider", "service", "tools", "bench", "scripts")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/glossary.md", "docs/how-it-works.md")
NOT_YET_CLEAN: tuple[str, ...] = ()
"""The folders and files whose text is still to be rewritten; take one out as soon as it is clean."""

RULES = {
    "name the person or the program": r"\b(nobody|somebody|anybody|whoever|whatever)\b",
    "begin with a subject or a verb": r"(?:^|(?<=[.:!?]\s))(What|Who|Whether|Which|Whose)\b(?![^.]*\?)",
    "use the word of the glossary": (
        r"\b(ballasts?|verdicts?|judg(?:es?|ed|ing)|strangers?|crews?|hir(?:es?|ed|ing)|bur(?:y|ies|ied)"
        r"|generation words?|by hand|standings?|(?:is|are|was|were|be|been) told|(?:tells?|told|telling) of"
        r"|(?:an?|the|its|their|whose) turns?)\b"
    ),
}
FIGURES = {
    "nobody, somebody, whoever, whose": r"\b(?:(?:no|some|any|every)body|who(?:ever|se)|whatever)\b",
    "what, who, which, that": r"\b(?:what|who|which|that)\b",
    "negations": r"\b(?:no|not|none|never|nothing|neither|nor|cannot|without)\b|n't\b",
    "you, your": r"\byou(?:rs?)?\b",
    "for example": r"\bfor (?:example|instance)\b",
}

Text = tuple[int, str]
"""A paragraph, and the line on which it begins."""

_BETWEEN = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*#>|]|[0-9]+\.) )")
_MARKER = re.compile(r"^(?:[\s|_*>#-]|[0-9]+\.\s)*")
_PROGRAM = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_QUOTED = re.compile(r"``.+?``|`[^`]*`|\"[^\"]*\"|\]\([^)]*\)|<[^>]*>", re.DOTALL)
_DIRECTIVE = re.compile(r"#( noqa:.*?(- |$)| type:.*?(# |$)|!.*)?")


def code_texts(source: str) -> Iterator[Text]:
    """Yield the docstrings (those of attributes too) and the comments of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from _paragraphs(node.value.value, node.lineno)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]
    for _, block in groupby(enumerate(comments), lambda entry: entry[1][0] - entry[0]):
        lines = [comment for _, comment in block]
        yield from _paragraphs("\n".join(_DIRECTIVE.sub("", text, count=1) for _, text in lines), lines[0][0])


def document_texts(source: str) -> Iterator[Text]:
    """Yield the paragraphs, list items and table rows of a Markdown document, without its programs."""
    yield from _paragraphs(_PROGRAM.sub(lambda block: "\n" * block[0].count("\n"), source))


def faults(paragraph: Text) -> Iterator[tuple[int, str]]:
    """Yield the line and the rule of every word in a paragraph that breaks one."""
    line, text = paragraph
    for rule, pattern in RULES.items():
        for found in re.finditer(pattern.replace(" ", r"\s+"), text):
            yield line + text[: found.start(1)].count("\n"), f'"{" ".join(found[1].split())}": {rule}'


def texts(root: Path) -> Iterator[tuple[str, Text]]:
    """Yield every paragraph that is checked, with the path of its file."""
    for folder in CODE:
        for file in sorted((root / folder).rglob("*.py")):
            for text in code_texts(file.read_text()):
                yield file.relative_to(root).as_posix(), text
    for name in DOCUMENTS:
        for text in document_texts((root / name).read_text() if (root / name).exists() else ""):
            yield name, text


def _paragraphs(text: str, line: int = 1) -> Iterator[Text]:
    """Split a text at blank lines and list markers, and blank out code, quotations and addresses."""
    text = _QUOTED.sub(lambda found: "_" + "\n" * found[0].count("\n"), text)
    start = 0
    for end in [*(between.end() for between in _BETWEEN.finditer(text)), len(text)]:
        marker = _MARKER.match(text[start:end])
        start += marker.end() if marker else 0
        yield line + text[:start].count("\n"), text[start:end]
        start = end


def _counts(root: Path) -> Iterator[str]:
    """Yield a line per figure: occurrences per 1,000 words of the code's text, and of all documents."""
    code = [text for path, (_, text) in texts(root) if path.endswith(".py")]
    files = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").glob("*.md"))]
    documents = [text for file in files for _, text in document_texts(file.read_text())]
    for title, parts in (("code", code), ("documents", documents)):
        text = " ".join(parts).lower()
        words = len(re.findall(r"[a-z][a-z'-]*", text))
        yield f"{title}: {words} words"
        for name, pattern in FIGURES.items():
            found = len(re.findall(pattern, text))
            yield f"  {name}: {found} ({1000 * found / max(1, words):.1f} per 1,000)"


def main(arguments: list[str]) -> None:
    """Report each fault as `file:line: rule`, and the number of faults that still wait in each unclean package."""
    if arguments[:1] == ["--counts"]:
        print("\n".join(_counts(Path(arguments[1] if arguments[1:] else "."))))
        return
    waiting: Counter[str] = Counter()
    refused = []
    for path, text in texts(Path()):
        unclean = next((each for each in NOT_YET_CLEAN if path == each or path.startswith(f"{each}/")), None)
        for line, fault in faults(text):
            if unclean is None or "--all" in arguments:
                refused.append(f"{path}:{line}: {fault}")
            else:
                waiting[unclean] += 1
    for package, count in sorted(waiting.items()):
        print(f"{package}: {count} to rewrite")
    if refused:
        sys.exit("\n".join(refused))


if __name__ == "__main__":
    main(sys.argv[1:])
