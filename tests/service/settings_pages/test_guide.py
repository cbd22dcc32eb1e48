"""docs/settings-pages.md says what the pages say."""

import re
from pathlib import Path

import private_integrations_service.settings_pages as pages

GUIDE = (Path(__file__).parents[3] / "docs" / "settings-pages.md").read_text()
WORDS = sorted({" ".join(words.split()) for words in re.findall(r"\*\*(.+?)\*\*", GUIDE, re.DOTALL)})


def test_what_the_guide_quotes_is_on_the_pages():
    """Every phrase in bold is in a template, word for word."""
    templates = (Path(pages.__file__).parent / "templates").glob("*.html")
    said = " ".join(" ".join(template.read_text().split()) for template in templates)
    assert len(WORDS) > 15
    assert [words for words in WORDS if words not in said] == []
