"""Estimate how many guesses a password takes, in a bounded time for any input.

The estimate is zxcvbn's: its lists of the most used passwords, of names and of words, keyboard rows, sequences and
dates. Two things are done before, so that it is neither fooled nor slow. Capitals, separators and signs that people add
to satisfy rules (`Password-123!`) are taken out, for zxcvbn counts each of them as a random character. And no sign is
left that could mean several letters, whose combinations take zxcvbn minutes.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log10
from typing import Literal

Weakness = Literal["common", "service", "personal"]
"""Name the reason why a password is easy to guess: it is much used, or made of the service's or the person's words."""

# The reason that helps the person most comes first.
_TELLING: tuple[Weakness, ...] = ("personal", "service", "common")
# Three words in a row are beyond it; a common word with a year, a digit and a sign is far below.
_ENOUGH = 8.5
_LONGEST_EXAMINED = 40
_SHORTEST_WORD = 3

_SERVICE_WORDS = (
    "private integration",
    "private integrations",
    "privateintegrations",
    "highlevel",
    "gohighlevel",
    "high level",
    "leadconnector",
    "pulumi",
    "integration",
    "integrations",
    "rotation",
    "token",
    "gateway",
    "sandbox",
)
_SIGNS = str.maketrans({"@": "a", "$": "s", "!": "i", "|": "l", "+": "t"})
# zxcvbn knows years up to 2019.
_LATE_YEAR = re.compile("20[2-9][0-9]")


@dataclass(frozen=True)
class Words:
    """The words that an attacker knows about a person: of the address, the name and the accounts."""

    personal: tuple[str, ...] = ()

    @classmethod
    def of(cls, email: str, *names: str) -> "Words":
        """Return the words of an address, and of the names of a person and of their accounts."""
        local, _, host = email.partition("@")
        # The last label is a country's or a kind's and says little.
        return cls(tuple(_words([email, local, host, host.rpartition(".")[0], *names])))


def weakness(password: str, words: Words) -> Weakness | None:
    """Say why a password is too easy to guess, or None if it isn't."""
    # A quarter of a second and 15 MB, which a worker spends once it serves such a page.
    from zxcvbn import zxcvbn

    found: set[Weakness] = set()
    for form, removed in _forms(password):
        if not form:
            return "common"
        estimate = zxcvbn(form, user_inputs=[*words.personal, *_words(_SERVICE_WORDS)])
        # A random password has many different signs, one that satisfies a rule has one.
        if log10(estimate["guesses"]) + max(0, removed - 1) < _ENOUGH:
            found.add(_why(estimate["sequence"], words))
    return next((why for why in _TELLING if why in found), None)


def _forms(password: str) -> set[tuple[str, int]]:
    """List the spellings of a password to examine, each with the number of different characters taken out of it."""
    text = unicodedata.normalize("NFKC", password).casefold()
    text = _LATE_YEAR.sub("2019", text)
    forms = set()
    for spelled in (text, text.translate(_SIGNS)):
        kept = "".join(filter(str.isalnum, spelled))
        forms.add((kept[:_LONGEST_EXAMINED], len({c for c in spelled if not c.isalnum()})))
    return forms


def _why(sequence: Sequence[Mapping[str, object]], words: Words) -> Weakness:
    own = {str(match["matched_word"]) for match in sequence if match.get("dictionary_name") == "user_inputs"}
    if own & set(words.personal):
        return "personal"
    return "service" if own else "common"


def _words(texts: Iterable[str]) -> list[str]:
    """Return the words of texts, one by one and in a row, as they can occur in an examined password."""
    found: dict[str, None] = {}
    for text in texts:
        parts = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold())
        for word in ("".join(parts), *parts):
            if len(word) >= _SHORTEST_WORD:
                found[word] = None
    return list(found)
