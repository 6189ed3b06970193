"""The log: one line for each record, and one record for each request.

A line is `TIME LEVEL MESSAGE NAME=VALUE ...`; docs/operations.md describes it. Whatever a message
quotes, it cannot start a line, and it holds no token.
"""

from __future__ import annotations

import json
import logging
import re
import time
from typing import Any
from urllib.parse import unquote_to_bytes

from dailies.http.limits import Scope

MAX_TARGET = 500  # characters of a path and query string
LOGGER = logging.getLogger("dailies.requests")
FIELDS = ("client", "method", "target", "status", "bytes", "ms")

TOKEN = re.compile(r"dly_[\w-]+", re.ASCII)
UNSAFE = re.compile(r"[^\x21\x23-\x5b\x5d-\x7e]")  # needs quotes: a space, quote, control character


class LineFormatter(logging.Formatter):
    """Formats a record as one line of printable ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        parts = [f"{seconds}.{record.msecs:03.0f}Z", record.levelname, escaped(record.getMessage())]
        values = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        parts += [f"{name}={quoted(str(value))}" for name, value in values.items()]
        return TOKEN.sub("dly_***", " ".join(parts))


def escaped(text: str) -> str:
    """The text without line breaks and other control characters, as JSON escapes them."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return json.dumps(text)[1:-1].replace('\\"', '"').replace("\x7f", "\\u007f")


def quoted(text: str) -> str:
    """The text, as a JSON string unless it is one word."""
    return json.dumps(text).replace("\x7f", "\\u007f") if UNSAFE.search(text) or not text else text


# For logging.config.dictConfig, in the place of uvicorn's own.
CONFIGURATION: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": LineFormatter}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "stream": "ext://sys.__stderr__",
        }
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "dailies": {"level": "INFO"},
        "uvicorn": {"level": "INFO"},
    },
}


def log_request(scope: Scope, status: int, size: int, seconds: float) -> None:
    values = {
        "client": (scope.get("client") or ("-",))[0],
        "method": scope["method"],
        "target": target(scope),
        "status": status,
        "bytes": size,
        "ms": round(seconds * 1000),
    }
    # `LOGGER.info` would look for the line of code that called it.
    record = LOGGER.makeRecord(LOGGER.name, logging.INFO, "", 0, "request", (), None, extra=values)
    LOGGER.handle(record)


def target(scope: Scope) -> str:
    """Path and query string, decoded: a token in it must not be hidden by percent-encoding."""
    raw = scope.get("raw_path") or scope["path"].encode()
    query = scope.get("query_string") or b""
    text = unquote_to_bytes(raw + (b"?" + query if query else b"")).decode(errors="replace")
    return text if len(text) <= MAX_TARGET else f"{text[:MAX_TARGET]}..."


class LogStream:
    """A stand-in for `sys.stderr`: each line that is written becomes a record of the log."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("dailies.stderr")

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if line.strip():
                self._logger.warning(line)
        return len(text)

    def flush(self) -> None:
        """Each record is flushed as it is written."""
