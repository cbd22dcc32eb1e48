"""Find the body of a request in the bytes behind its head: so many bytes, or chunks (RFC 9112 §6, §7.1)."""

import re
from collections.abc import Callable
from typing import Protocol

from .request_heads import HEADER_LINES

# Of what belongs to chunks and is no data: extensions and trailers, which are dropped.
_MOST_OVERHEAD = 16 * 1024
# Eight digits are four gigabytes; extensions are read by no one and have no control characters.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t -~\x80-\xff]*)?\r\n")
_LONGEST_SIZE_LINE = 1024


class BodyMalformed(Exception):
    """The chunks of a body can't be read."""


class FramedBody(Protocol):
    """A body that is taken out of a buffer as its bytes arrive."""

    complete: bool
    """Is true once the whole body was taken."""

    def take(self, buffer: bytearray) -> bytes:
        """Take as much of the body as there is out of the buffer; raises BodyMalformed."""


class SizedBody:
    """A body of so many bytes."""

    __slots__ = ("_left", "complete")

    def __init__(self, length: int) -> None:
        self._left = length
        self.complete = not length

    def take(self, buffer: bytearray) -> bytes:
        """Take as much of the body as there is."""
        data = _taken(buffer, self._left)
        self._left -= len(data)
        self.complete = not self._left
        return data


class ChunkedBody:
    """A body in chunks; extensions and trailers are checked and dropped."""

    __slots__ = ("_left", "_overhead", "_step", "complete")

    def __init__(self) -> None:
        self._left = 0
        self._overhead = 0
        self._step: Callable[[bytearray, list[bytes]], bool] = self._take_size
        self.complete = False

    def take(self, buffer: bytearray) -> bytes:
        """Take the data of the chunks that there are; raises BodyMalformed."""
        parts: list[bytes] = []
        while not self.complete and self._step(buffer, parts):
            pass
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _take_size(self, buffer: bytearray, _: list[bytes]) -> bool:
        line = self._line(buffer)
        if line is None:
            return False
        size = _SIZE_LINE.fullmatch(line)
        if size is None:
            raise BodyMalformed
        self._count(len(line) - len(size[1]) - 2)
        self._left = int(size[1], 16)
        self._step = self._take_data if self._left else self._take_trailer
        return True

    def _take_data(self, buffer: bytearray, parts: list[bytes]) -> bool:
        data = _taken(buffer, self._left)
        if data:
            parts.append(data)
            self._left -= len(data)
        if not self._left:
            self._step = self._take_end
        return not self._left

    def _take_end(self, buffer: bytearray, _: list[bytes]) -> bool:
        end = bytes(buffer[:2])
        if not b"\r\n".startswith(end):
            raise BodyMalformed
        if len(end) < 2:
            return False
        del buffer[:2]
        self._step = self._take_size
        return True

    def _take_trailer(self, buffer: bytearray, _: list[bytes]) -> bool:
        line = self._line(buffer)
        if line is None:
            return False
        self._count(len(line))
        if line == b"\r\n":
            self.complete = True
        elif not HEADER_LINES.fullmatch(line):
            raise BodyMalformed
        return True

    def _line(self, buffer: bytearray) -> bytes | None:
        """Take a line out of the buffer, None if it has not arrived whole."""
        end = buffer.find(b"\n", 0, _LONGEST_SIZE_LINE)
        if end < 0:
            if len(buffer) >= _LONGEST_SIZE_LINE:
                raise BodyMalformed
            return None
        return _taken(buffer, end + 1)

    def _count(self, overhead: int) -> None:
        self._overhead += overhead
        if self._overhead > _MOST_OVERHEAD:
            raise BodyMalformed


def _taken(buffer: bytearray, most: int) -> bytes:
    data = bytes(buffer[:most])
    del buffer[: len(data)]
    return data
