"""Which locations a body names: forms and JSON are read whole, multipart bodies are watched while they pass."""

import json
import logging
import re

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ..authorizer.decisions import locations_among, read_query
from ..authorizer.replies import Refusal
from . import refusals
from .requests import Body

# A value that is longer is no account's id; the rest of it is not kept.
_LONGEST_VALUE = 256
# No operation names more.
_MOST_VALUES = 100

# However it is quoted: a part whose disposition has one of these names counts as that field.
_FIELD = re.compile(rb"(?<![A-Za-z])(?i:name)\s*=\s*\"?\s*\[*(locationIds?|altId|altType)(?![A-Za-z0-9_])")
# Readers differ on what such a name is; RFC 7578 §4.2 has neither.
_STRANGE_NAME = re.compile(rb"(?i)(?<![a-z])name\s*(?:\*|=\s*\"?[^\";]*\\)")
# Byte order marks of UTF-8 and UTF-16, blanks.
_BEFORE_JSON = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"
_PLAIN_ENCODINGS = frozenset({b"7bit", b"8bit", b"binary"})


def locations_in(body: bytes, kind: Body) -> set[str] | Refusal:
    """The locations that a whole body names, at its top level; a body that isn't what it says is refused."""
    if not body.strip():
        return set()
    if kind is Body.FORM:
        return _in_form(body)
    try:
        return _in_json(body)
    except RecursionError:
        return refusals.BODY_MALFORMED
    except ValueError:
        # Without a type that says so it needn't be JSON; but what begins like it may be JSON to a more patient reader.
        if kind is Body.JSON or body.lstrip(_BEFORE_JSON)[:1] in (b"{", b"["):
            return refusals.BODY_MALFORMED
        return _in_form(body)


_QUIET = logging.Logger("python_multipart, unheard", logging.CRITICAL + 1)


class FormWatch:
    """Reads the fields of a multipart body that name a location, while the body passes by."""

    def __init__(self, boundary: bytes) -> None:
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._end_header,
                "on_part_data": self._part_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )
        # What is broken is refused; the library would also have a line about it on stderr, with bytes of the body.
        self._parser.logger = _QUIET
        self._fields: set[tuple[str, str]] = set()
        self._told: set[str] = set()
        self._refusal: Refusal | None = None
        self._ended = False
        self._begin_part()

    @classmethod
    def of(cls, content_type: bytes) -> "FormWatch | Refusal":
        """A watch for a body of this type; refused if it doesn't say how its parts are told apart."""
        _, parameters = parse_options_header(content_type)
        boundary = parameters.get(b"boundary")
        if not boundary or content_type.lower().count(b"boundary") != 1:
            return refusals.BODY_MALFORMED
        try:
            return cls(boundary)
        except FormParserError:
            return refusals.BODY_MALFORMED

    def feed(self, data: bytes, *, last: bool) -> set[str] | Refusal:
        """Look at a part of the body before it is sent; the locations that it names and no part before it did.

        An `altId` is one of them when the closing boundary is there: the `altType` that says what it is may come
        after it.
        """
        try:
            if data:
                self._parser.write(data)
        except FormParserError:
            return refusals.BODY_MALFORMED
        if self._refusal is not None:
            return self._refusal
        if last and not self._ended:
            return refusals.BODY_MALFORMED
        named = locations_among(field for field in self._fields if self._ended or field[0].startswith("locationId"))
        new = named - self._told
        self._told |= new
        return new

    def _begin_part(self) -> None:
        self._field: str | None = None
        self._value = b""
        self._encoded = False
        self._name = self._header = b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _end_header(self) -> None:
        name, value = self._name.lower(), self._header
        self._name = self._header = b""
        if name == b"content-disposition":
            if _STRANGE_NAME.search(value):
                self._refusal = refusals.BODY_MALFORMED
            elif found := _FIELD.search(value):
                self._field = found[1].decode()
        elif name == b"content-transfer-encoding" and value.strip().lower() not in _PLAIN_ENCODINGS:
            self._encoded = True

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is not None and len(self._value) < _LONGEST_VALUE:
            self._value += data[start : min(end, start + _LONGEST_VALUE)]

    def _end_part(self) -> None:
        if self._field is None:
            return
        if self._encoded:
            self._refusal = refusals.BODY_ENCODED
        self._fields.add((self._field, self._value.decode("utf-8", "replace")))
        if len(self._fields) > _MOST_VALUES:
            self._refusal = refusals.BODY_MALFORMED

    def _end(self) -> None:
        self._ended = True


def _in_form(body: bytes) -> set[str]:
    values = read_query(body)
    return locations_among((name, value) for name in values for value in values[name])


def _in_json(body: bytes) -> set[str]:
    """Raises ValueError or RecursionError if it isn't JSON in UTF-8. A key may be there twice: both count."""
    value = json.loads(body.decode(), object_pairs_hook=_Fields, parse_constant=_no_constant)
    tops = value if isinstance(value, list) else [value]
    return {location for top in tops if isinstance(top, _Fields) for location in locations_among(top.pairs)}


class _Fields:
    """A JSON object as it was written."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        self.pairs = pairs


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
