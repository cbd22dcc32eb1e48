"""docs/performance.md shows the figures that the benches kept, and no others."""

import importlib.util

import pytest

from throwaway import REPOSITORY

FILE = REPOSITORY / "bench" / "results.py"


@pytest.fixture(scope="module")
def results():
    """Return the module that writes the page."""
    spec = importlib.util.spec_from_file_location("results", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_what_the_benches_kept(results):
    """`python bench/results.py` would change nothing, and every kept table has its place."""
    document = results.DOCUMENT.read_text()
    assert results.published(document) == document
    for kept in sorted(results.KEPT.glob("*.json")):
        assert f"<!-- {kept.stem}: " in document


def test_a_table_is_written_below_its_name(results, tmp_path, monkeypatch, capsys):
    """The table that a bench kept replaces the one that was there before."""
    monkeypatch.setattr(results, "KEPT", tmp_path / "results")
    results.show("peers", {"ratios": (("of", "ratio"), [["a", "1.20"]])}, save=True)
    assert capsys.readouterr().out == "| of | ratio |\n| --- | --- |\n| a | 1.20 |\n\n"
    old = "Before\n\n<!-- peers: ratios -->\n| of | ratio |\n| --- | --- |\n| a | 9.99 |\n\nAfter\n"
    assert results.published(old) == old.replace("9.99", "1.20")
