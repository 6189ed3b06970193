"""What a client sends, read strictly: JSON bodies, keys in paths, preconditions.

Errors are `RequestError`: a status of HTTP and one message for each fault.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from datasette import Request

from dailies.api.responses import entity_tag
from dailies.errors import RequestError
from loaders.errors import Invalid, for_each
from loaders.formats.json_form import MAX_DEPTH, check_forms
from loaders.formats.json_row import SURROGATE
from loaders.formats.yaml_scalars import MAX_DIGITS
from loaders.messages import kind_of, quoted
from loaders.rows import Check, Record

JSON = ("application/json",)
MAX_BYTES = 10_000_000
MAX_OBJECTS = 1000

CHARSETS = ("utf-8", "utf8", "us-ascii")
ENTITY_TAG = re.compile(r'(?P<weak>W/)?(?P<tag>"[^"]*")')


async def read_body(request: Request, types: tuple[str, ...], *, optional: bool = False) -> bytes:
    """The body, which must be of one of these types and is never held beyond the limit."""
    too_large = RequestError(413, f"The body is larger than {MAX_BYTES:,} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > MAX_BYTES:
        raise too_large
    if not optional or request.headers.get("content-type"):
        check_content_type(request.headers.get("content-type", ""), types)
    body = bytearray()
    more = True
    while more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise RequestError(400, "The body ended before it was complete")
        body += message.get("body", b"")
        if len(body) > MAX_BYTES:
            raise too_large
        more = message.get("more_body", False)
    return bytes(body)


def check_content_type(header: str, types: tuple[str, ...]) -> None:
    kind, *parameters = (part.strip() for part in header.split(";"))
    pairs = [parameter.partition("=") for parameter in parameters if parameter]
    if kind.lower() not in types or any(name.strip().lower() != "charset" for name, _, _ in pairs):
        raise RequestError(
            415, f"The Content-Type must be {' or '.join(types)}, not {quoted(header)}"
        )
    for _, _, value in pairs:
        charset = value.strip().removeprefix('"').removesuffix('"')
        if charset.lower() not in CHARSETS:
            raise RequestError(415, f"The body must be UTF-8, not {quoted(charset)}")


def parse_optional(body: bytes) -> Any:
    """The value in `body`; an empty object if there is no body."""
    return parse_json(body) if body.strip() else {}


def parse_json(body: bytes) -> Any:
    """The value in `body`. RequestError if it is not JSON or cannot be stored as it is."""
    text = decoded(body)
    try:
        value = json.loads(
            text,
            object_pairs_hook=unique_keys,
            parse_constant=refuse_constant,
            parse_float=finite,
            parse_int=integer,
        )
    except json.JSONDecodeError as error:
        raise RequestError(400, f"The body is not JSON: {error}") from error
    except RecursionError:
        raise RequestError(400, f"The body is nested deeper than {MAX_DEPTH} levels") from None
    if SURROGATE.search(text):
        refuse_lone_surrogates(value)
    return value


def decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise RequestError(400, f"The body is not UTF-8: byte {error.start} is wrong") from error


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RequestError(400, f"The key {quoted(key)} comes twice in one object")
            seen.add(key)
    return value


def refuse_constant(name: str) -> Any:
    raise RequestError(400, f"The body is not JSON: {name} is not a JSON number")


def finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise RequestError(400, f"The number {text[:80]} is too large")
    return number


def integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise RequestError(400, f"An integer has more than {MAX_DIGITS:,} digits")
    return int(text)


def refuse_lone_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RequestError(400, "A text holds half of a character (a lone surrogate)") from error


def parse_object(body: bytes) -> dict[str, Any]:
    """The one object in `body`."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise RequestError(400, f"The body must be a JSON object, not {kind_of(value)}")
    check_object(value)
    return value


def parse_objects(body: bytes) -> tuple[list[dict[str, Any]], bool]:
    """The objects in `body`, and whether they came as a list."""
    value = parse_json(body)
    if isinstance(value, dict):
        check_object(value)
        return [value], False
    if not isinstance(value, list):
        message = f"The body must be a JSON object or a list of them, not {kind_of(value)}"
        raise RequestError(400, message)
    if len(value) > MAX_OBJECTS:
        message = f"A list holds at most {MAX_OBJECTS:,} objects, not {len(value):,}"
        raise RequestError(400, message)
    for_each(value, check_object)
    return value, True


def check_object(value: Any) -> None:
    """Invalid for what is no object, is nested too deep or misuses the form of other values."""
    if not isinstance(value, dict):
        raise Invalid(f"must be a JSON object, not {kind_of(value)}")
    try:
        check_forms(value)
    except ValueError as error:
        raise Invalid(str(error)) from error


def refuse_unknown(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Invalid, naming each of `given` that is not among `known`."""
    accepted = set(known)
    unknown = [f"unknown {what} {quoted(name)}" for name in given if name not in accepted]
    if unknown:
        raise Invalid(*unknown)


def key_from_path(encoded: str) -> str:
    """The key in a segment of a path; 404 if it is not UTF-8."""
    try:
        return unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        raise RequestError(404, "A path must be UTF-8, percent-encoded") from None


def merge_patch(target: Any, patch: Any) -> Any:
    """`target` changed as JSON Merge Patch (RFC 7396) says; neither is altered."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def matches(header: str, etag: str, *, weakly: bool) -> bool:
    """True if a list of entity tags names `etag`. `*` names any; a weak tag counts if `weakly`."""
    if header.strip() == "*":
        return True
    return any(
        found["tag"] == etag and (weakly or not found["weak"])
        for found in ENTITY_TAG.finditer(header)
    )


def precondition(if_match: str | None, if_none_match: str | None) -> Check:
    """A check of the record as it is before a change: 412 if it is not the expected one."""

    def check(record: Record) -> None:
        etag = entity_tag(record)
        if if_match is not None and not matches(if_match, etag, weakly=False):
            raise RequestError(412, "The job has changed since you read it", {"ETag": etag})
        if if_none_match is not None and matches(if_none_match, etag, weakly=True):
            raise RequestError(412, "The job still has the ETag in If-None-Match", {"ETag": etag})

    return check
