"""The bytes of a YAML file, as the parser and the recovery after an error read them."""

import codecs
import io
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK = 1 << 16
_MAX_LINE = 1 << 24
_OTHER_BREAK = re.compile(rb"\r(?!\n)|\xc2\x85|\xe2\x80[\xa8\xa9]")  # as YAML 1.1 counts lines


class Source:
    """The bytes of a file as UTF-8, in blocks of whole lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ends_in_line_break = True
        self._pending = self.blocks()
        self._newlines = 0
        self._other_breaks: deque[int] = deque()
        self._passed = 0

    def blocks(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            head = file.read(4)
            wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass") if wide else None
            rest = head.removeprefix(codecs.BOM_UTF8) if decoder is None else b""
            data = b"" if decoder is None else head
            while data := data or file.read(_BLOCK):
                rest += data if decoder is None else _as_utf8(decoder, data)
                data = b""
                if (cut := rest.rfind(b"\n") + 1) or len(rest) > _MAX_LINE:
                    yield rest[: cut or len(rest)]
                    rest = rest[cut:] if cut else b""
            if decoder is not None:
                rest += _end_of_utf16(decoder)
            self.ends_in_line_break = not rest or rest.endswith((b"\n", b"\r"))
            if rest:
                yield rest

    def lines(self) -> Iterator[bytes]:
        for block in self.blocks():
            yield from io.BytesIO(block)

    def read(self, _size: int) -> bytes:
        """The next block for libyaml; it may be longer than `_size`."""
        block = next(self._pending, b"")
        if not block.isascii() or b"\r" in block:
            self._note_other_breaks(block)
        self._newlines += block.count(b"\n")
        return block

    def _note_other_breaks(self, block: bytes) -> None:
        count = self._newlines + len(self._other_breaks) + self._passed
        for extra, match in enumerate(_OTHER_BREAK.finditer(block)):
            self._other_breaks.append(count + extra + block.count(b"\n", 0, match.start()))

    def line(self, mark: Any) -> int:
        """The line, from 1, as editors count; YAML also breaks lines at CR, NEL, LS and PS."""
        while self._other_breaks and self._other_breaks[0] < mark.line:
            self._other_breaks.popleft()
            self._passed += 1
        return int(mark.line) + 1 - self._passed


def _as_utf8(decoder: codecs.IncrementalDecoder, data: bytes) -> bytes:
    return decoder.decode(data).removeprefix("\ufeff").encode("utf-8", "surrogatepass")


def _end_of_utf16(decoder: codecs.IncrementalDecoder) -> bytes:
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return b"\xff"  # an invalid byte, so that the parser reports the incomplete character
    return b""
