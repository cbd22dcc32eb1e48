"""Parse media types by their grammar (RFC 9110 §8.3.1), and write the `Content-Type` of a forwarded body."""

import re
from collections.abc import Mapping
from typing import NamedTuple

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_TYPE = re.compile(rb"[\t ]*(%b/%b)[\t ]*" % (_TOKEN, _TOKEN))
_PARAMETER = re.compile(rb";[\t ]*(?:(%b)=(%b|%b))?[\t ]*" % (_TOKEN, _TOKEN, _QUOTED))
_PLAIN = re.compile(_TOKEN)
_ESCAPED = re.compile(rb"\\(.)")

UTF_8 = frozenset({b"utf-8", b"utf8"})
"""The names of the only charset that is read."""


class MediaType(NamedTuple):
    """A type and subtype in lower case, and parameters: names in lower case, values without quotes, each name once."""

    essence: bytes
    parameters: dict[bytes, bytes]

    @property
    def charset(self) -> bytes | None:
        """Return the charset in lower case, None if there is none."""
        charset = self.parameters.get(b"charset")
        return None if charset is None else charset.lower()


def parse_media_type(value: bytes) -> MediaType | None:
    """Parse a media type; return None if it doesn't match the grammar, or repeats a parameter."""
    found = _TYPE.match(value)
    if found is None:
        return None
    parameters: dict[bytes, bytes] = {}
    end = found.end()
    while end < len(value):
        parameter = _PARAMETER.match(value, end)
        if parameter is None:
            return None
        end = parameter.end()
        if parameter[1] is None:
            continue
        name, given = parameter[1].lower(), parameter[2]
        if name in parameters:
            return None
        parameters[name] = _ESCAPED.sub(rb"\1", given[1:-1]) if given.startswith(b'"') else given
    return MediaType(found[1].lower(), parameters)


def written(essence: bytes, parameters: Mapping[bytes, bytes]) -> bytes:
    """Return a media type as text, with quotes where the grammar requires them."""
    return b"; ".join([essence, *(b"%b=%b" % (name, _quoted(value)) for name, value in parameters.items())])


def _quoted(value: bytes) -> bytes:
    return value if _PLAIN.fullmatch(value) else b'"%b"' % re.sub(rb'(["\\])', rb"\\\1", value)
