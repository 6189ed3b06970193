"""Reads a list as lines of text, packed with gzip or not, with little of it in memory."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

GZIP_MARK = b"\x1f\x8b"
CHUNK = 1 << 20
MAX_UNPACKED = 1 << 32  # bytes: a few kilobytes of gzip can hold gigabytes
MAX_LINE = 1 << 24  # characters


class ListFile:
    """A file that was looked through once; ValueError if it cannot be read.

    It is UTF-8, or else windows-1252, which spreadsheets write. Its lines end with a line feed, or
    with a carriage return where there is no line feed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines = 1
        self.has_open_quote = False  # in the last line
        self._carriage_return = b"\n"
        self._open_line = 0
        decoder = codecs.getincrementaldecoder("utf-8")()
        self._encoding = "utf-8-sig"
        returns = 0
        for chunk in self._chunks():
            returns += chunk.count(b"\r")
            self._count(chunk)
            if self._encoding == "utf-8-sig":
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError:
                    self._encoding = "cp1252"
        if self._encoding == "utf-8-sig" and decoder.getstate()[0]:
            self._encoding = "cp1252"
        if self.lines > 1:
            self._carriage_return = b""
        else:
            self.lines += returns

    def __iter__(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self._encoding)("replace")
        rest = ""
        for chunk in self._chunks():
            *lines, rest = (
                rest + decoder.decode(chunk.replace(b"\r", self._carriage_return))
            ).split("\n")
            for line in lines:
                yield f"{line}\n"
            check_length(len(rest))
        rest += decoder.decode(b"", True)
        if rest:
            yield rest

    def _count(self, chunk: bytes) -> None:
        found = chunk.count(b"\n")
        self.lines += found
        if found:
            self.has_open_quote = False
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        self._open_line = len(chunk) - end - 1 if end >= 0 else self._open_line + len(chunk)
        check_length(self._open_line)
        quotes = chunk.count(b'"', chunk.rfind(b"\n") + 1)
        self.has_open_quote ^= quotes % 2 == 1

    def _chunks(self) -> Iterator[bytes]:
        size = 0
        with closing(self._open()) as file:
            while chunk := self._read(file):
                size += len(chunk)
                if size > MAX_UNPACKED:
                    raise ValueError(f"is larger than {MAX_UNPACKED:,} bytes")
                yield chunk

    def _open(self) -> BinaryIO:
        file = self._path.open("rb")
        if file.read(len(GZIP_MARK)) == GZIP_MARK:
            file.close()
            return gzip.open(self._path)  # type: ignore[return-value]
        file.seek(0)
        return file

    def _read(self, file: BinaryIO) -> bytes:
        try:
            return file.read(CHUNK)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"cannot be unpacked: {error}") from error


def check_length(line: int) -> None:
    if line > MAX_LINE:
        raise ValueError(f"has a line of more than {MAX_LINE:,} characters")
