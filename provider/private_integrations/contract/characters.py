"""Find characters that don't show their effect: controls, bidirectional overrides, and invisible ones.

A name with one of them can look like another name, turn the rest of a line around, or give orders to a terminal. Names
and descriptions are refused with them; where they are stored all the same, the command line prints their code.
"""

import re
import unicodedata
from collections.abc import Iterator

# Invisible, although their category is not one of those below: fillers, a joiner of combining marks, a blank.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\ufffc")
# Formats that are drawn: Arabic and Syriac signs before numbers and verses.
_DRAWN = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
_HIDDEN_CATEGORIES = frozenset(("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"))
# The flags of England and the like: a black flag, the region in tag characters, and their end.
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f")
_ZERO_WIDTH_NON_JOINER, _ZERO_WIDTH_JOINER = "\u200c", "\u200d"
_TEXT_STYLE, _EMOJI_STYLE = "\ufe0e", "\ufe0f"
_VIRAMA = 9


def hidden(text: str, *, allowed: str = "") -> Iterator[int]:
    """Yield the places of hidden characters, except those that are `allowed`.

    Emoji, flags, and what Arabic, Persian, Indic and Chinese writing needs are none: a joiner is good where it joins.
    """
    if text.isascii() and text.isprintable():
        return
    flags = {place for flag in _FLAG.finditer(text) for place in range(*flag.span())}
    for place, character in enumerate(text):
        if character not in allowed and place not in flags and _is_hidden(text, place):
            yield place


def shown(text: str, *, allowed: str = "\n\t") -> str:
    r"""Return the text with the code of each hidden character in its place, such as \u202e."""
    places = set(hidden(text, allowed=allowed))
    return "".join(_code(character) if place in places else character for place, character in enumerate(text))


def shown_json(text: str) -> str:
    """Return a JSON text that says the same, without hidden characters."""
    places = set(hidden(text, allowed="\n"))
    return "".join(_json_code(character) if place in places else character for place, character in enumerate(text))


def _is_hidden(text: str, place: int) -> bool:
    character = text[place]
    if character in (_ZERO_WIDTH_JOINER, _ZERO_WIDTH_NON_JOINER):
        return not _joins(text, place)
    if character in (_TEXT_STYLE, _EMOJI_STYLE):
        return place == 0 or unicodedata.category(text[place - 1]) not in ("So", "Sm", "Sk", "Sc", "Po", "Pd", "Nd")
    if "\ufe00" <= character <= "\ufe0d" or "\U000e0100" <= character <= "\U000e01ef":
        # A variant of an ideograph, as in some people's names.
        return place == 0 or not unicodedata.name(text[place - 1], "").startswith("CJK ")
    category = unicodedata.category(character)
    # Emoji that are newer than this Python.
    if category == "Cn" and "\U0001f000" <= character <= "\U0001faff":
        return False
    return character in _INVISIBLE or (category in _HIDDEN_CATEGORIES and character not in _DRAWN)


def _joins(text: str, place: int) -> bool:
    """Tell whether a joiner is at a place where it changes the drawing: in an emoji, or in a word that needs it."""
    before = text[:place].rstrip(_EMOJI_STYLE + _TEXT_STYLE + "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
    after = text[place + 1 : place + 2]
    if not before or not after:
        return False
    if unicodedata.combining(text[place - 1]) == _VIRAMA:
        return True
    if text[place] == _ZERO_WIDTH_JOINER and _is_pictured(before[-1]) and _is_pictured(after):
        return True
    letter = next((one for one in reversed(before) if unicodedata.category(one) != "Mn"), "")
    return letter != "" and unicodedata.bidirectional(letter) == unicodedata.bidirectional(after) == "AL"


def _is_pictured(character: str) -> bool:
    return unicodedata.category(character) == "So" or "\U0001f000" <= character <= "\U0001faff"


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _json_code(character: str) -> str:
    number = ord(character)
    if number < 0x10000:
        return f"\\u{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
