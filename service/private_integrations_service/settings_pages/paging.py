"""Show long lists page by page, so that each page stays small."""

from .fields import whole_number

PAGE = 50
"""Limit the rows of a page, so that it stays below 100 KB even with hostile names."""


def page_of(wanted: str, count: int, size: int = PAGE) -> tuple[int, int]:
    """Return the wanted page of `count` rows, from 1, and the number of pages; a malformed number is page 1."""
    pages = max(1, -(-count // size))
    return min(max(1, whole_number(wanted, 9) or 1), pages), pages
