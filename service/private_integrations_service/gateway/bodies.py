"""Read which accounts a body names: JSON and forms whole, multipart bodies while they are passed on."""

import logging
import re
from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from ..authorizer.named_accounts import MOST_NAMED, NamedAccount, named_among, named_in_form, named_in_json, read_fields
from ..authorizer.replies import PlatformError
from ..catalogue.account_fields import Names, kind_of
from . import refusals
from .media_types import UTF_8, parse_media_type
from .requests import Body

# No account's id is longer; the rest of a longer value is not kept.
_LONGEST_VALUE = 256
_MOST_FIELDS = 10_000

# Every `name` of a part, in any quoting, without `filename`.
_NAME = re.compile(rb"(?<![A-Za-z])(?i:name)\s*=\s*(?:\"([^\"]*)\"?|([^;]*))")
# Readers differ on these names; RFC 7578 §4.2 allows none of them.
_STRANGE_NAME = re.compile(rb"(?i)(?<![a-z])name\s*(?:\*|=\s*\"?[^\";]*\\|=\s*\"?[^\";]*=\?)")
# Byte order marks of UTF-8 and UTF-16, blanks.
_BEFORE_JSON = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"
_LIKE_JSON = re.compile(rb"\{|\[")
# A form's name may begin with a bracket.
_FORM_LIKE_JSON = re.compile(rb"\{|\[\s*[\[{\"]")
_CHARSET_FIELD = "_charset_"
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# The parser logs the faults of a consumer's body, which the refusal already names.
_SILENT = logging.Logger("multipart", logging.CRITICAL + 1)
_PLAIN_ENCODINGS = frozenset({b"7bit", b"8bit", b"binary"})


class Read(NamedTuple):
    """The accounts that a whole body names, and whether it is JSON."""

    named: set[NamedAccount]
    is_json: bool


def read_accounts(body: bytes, kind: Body) -> Read | PlatformError:
    """Read the accounts that a whole body names; refuse a body that doesn't match its type.

    A body without a type is read as JSON and as a form, since a server may read it as either.
    """
    if not body.strip():
        return Read(set(), is_json=kind is Body.JSON)
    try:
        named = named_in_json(body.decode())
    except (RecursionError, ValueError):
        # A body that begins like JSON may be JSON to a more tolerant parser.
        like = _FORM_LIKE_JSON if kind is Body.FORM else _LIKE_JSON
        if kind is Body.JSON or like.match(body.lstrip(_BEFORE_JSON)):
            return refusals.BODY_MALFORMED
        return _read_form(body, set(), is_json=False)
    return Read(named, is_json=True) if kind is Body.JSON else _read_form(body, named, is_json=True)


def _read_form(body: bytes, named: set[NamedAccount], *, is_json: bool) -> Read | PlatformError:
    if body.count(b"&") + body.count(b";") >= _MOST_FIELDS:
        return refusals.BODY_MALFORMED
    if any(_has_other_charset(name, value.encode()) for name, value in read_fields(body)):
        return refusals.BODY_ENCODED
    return Read(named | named_in_form(body), is_json)


def _has_other_charset(name: str, value: bytes) -> bool:
    """Return whether a field declares another encoding for the others (HTML's `_charset_`)."""
    return name.strip().lower() == _CHARSET_FIELD and value.strip().lower() not in UTF_8


class FormWatch:
    """Read the fields of a multipart body that name an account, while the body is passed on."""

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
        self._parser.logger = _SILENT
        self._marker = b"--" + boundary
        self._raw = b""
        self._markers = 0
        self._parts = 0
        self._fields: list[tuple[str, str]] = []
        self._reported_at = (0, False)
        self._reported: set[NamedAccount] = set()
        self._refusal: PlatformError | None = None
        self._ended = False
        self._clear()

    def feed(self, data: bytes, *, last: bool) -> set[NamedAccount] | PlatformError:
        """Read a part of the body before it is sent; return the accounts that it is the first to name, or a refusal.

        An `altId` is returned with the closing boundary, because the `altType` with its meaning may come after it.
        """
        try:
            if data:
                self._parser.write(data)
        except FormParserError:
            return refusals.BODY_MALFORMED
        self._raw += data
        self._markers += self._raw.count(self._marker)
        self._raw = _rest(self._raw, self._marker)
        # Some readers find a boundary where a stricter one finds none: after a bare line feed, or behind the end.
        if last and (not self._ended or self._markers != self._parts + 1):
            return refusals.BODY_MALFORMED
        if self._refusal is not None:
            return self._refusal
        known = (len(self._fields), self._ended)
        if known == self._reported_at:
            return set()
        self._reported_at = known
        named = named_among(self._fields)
        if not self._ended:
            named = {each for each in named if each.kind not in (Names.EITHER, Names.EITHER_AS_LOCATION)}
        new = named - self._reported
        self._reported |= new
        return new

    def _clear(self) -> None:
        self._names: list[str] = []
        self._charset = False
        self._value = b""
        self._encoded = False
        self._name = self._header = self._seen = b""

    def _begin_part(self) -> None:
        self._parts += 1
        self._clear()

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _end_header(self) -> None:
        name, value = self._name.lower(), self._header
        self._name = self._header = b""
        if _CONTROL.search(value):
            # A bare line feed ends a header to some readers.
            self._refusal = refusals.BODY_MALFORMED
        elif name == b"content-disposition":
            if _STRANGE_NAME.search(value):
                self._refusal = refusals.BODY_MALFORMED
            for quoted, plain in _NAME.findall(value):
                self._read_name((quoted or plain).decode("utf-8", "replace"))
                # Unquoted, a name ends at a blank, or doesn't.
                self._read_name(plain.partition(b" ")[0].decode("utf-8", "replace"))
        elif name == b"content-transfer-encoding":
            self._encoded |= value.strip().lower() not in _PLAIN_ENCODINGS
        elif name == b"content-type":
            media = parse_media_type(value)
            self._encoded |= media is None or (media.charset is not None and media.charset not in UTF_8)

    def _read_name(self, name: str) -> None:
        if kind_of(name) is not None:
            self._names.append(name)
        self._charset |= name.strip().lower() == _CHARSET_FIELD

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if (self._names or self._charset) and len(self._value) < _LONGEST_VALUE:
            self._value += data[start : min(end, start + _LONGEST_VALUE)]
        seen = self._seen + data[start:end]
        if self._marker in seen:
            self._refusal = refusals.BODY_MALFORMED
        self._seen = seen[-len(self._marker) :]

    def _end_part(self) -> None:
        value = self._value.decode("utf-8", "replace")
        if (self._names and self._encoded) or (self._charset and _has_other_charset(_CHARSET_FIELD, self._value)):
            self._refusal = refusals.BODY_ENCODED
        self._fields += [(name, value) for name in self._names]
        if len(self._fields) > MOST_NAMED:
            self._refusal = refusals.BODY_MALFORMED

    def _end(self) -> None:
        self._ended = True


def _rest(raw: bytes, marker: bytes) -> bytes:
    """Return the end of the searched bytes, in which a marker may have begun."""
    found = raw.rfind(marker)
    return raw[max(found + len(marker) if found >= 0 else 0, len(raw) - len(marker) + 1) :]
