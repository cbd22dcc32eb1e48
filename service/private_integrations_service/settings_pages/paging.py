"""Long lists are shown page by page, so that each stays small."""

from .fields import whole_number

PAGE = 50
"""Rows of one page: with hostile names, too, it stays below 100 KB."""


def page_of(wanted: str, count: int, size: int = PAGE) -> tuple[int, int]:
    """Which of the pages of `count` rows an address asks for, from 1, and how many there are; nonsense is the first."""
    pages = max(1, -(-count // size))
    return min(max(1, whole_number(wanted, 9) or 1), pages), pages
