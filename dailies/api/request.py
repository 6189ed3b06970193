"""What a client sends, read strictly: JSON bodies, keys in addresses, preconditions.

Whatever is wrong with it is a `RefusalError`: a status of HTTP and one message for each fault.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from datasette import Request

from dailies.api.responses import HALF_CHARACTER
from loaders.formats.json_form import MAX_DEPTH, check_forms
from loaders.formats.yaml_scalars import MAX_DIGITS

MOST_BYTES = 10_000_000
MOST_DOCUMENTS = 1000
MOST_MESSAGES = 100

ENTITY_TAG = re.compile(r'(?P<weak>W/)?(?P<tag>"[^"]*")')

CONTENT_TYPE = re.compile(
    r"""\s*(?P<type>[^;\s]+)\s*(?:;\s*charset\s*=\s*"?(?P<charset>[^;"\s]*)"?\s*)?;?\s*""",
    re.IGNORECASE,
)

Check = Callable[[str], None]
Result = TypeVar("Result")


class RefusalError(Exception):
    """An answer other than success; `status` is that of HTTP."""

    def __init__(
        self, status: int, messages: str | Iterable[str], headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.messages = [messages] if isinstance(messages, str) else list(messages)
        self.headers = dict(headers or {})
        super().__init__("; ".join(self.messages))


async def read_body(request: Request, types: tuple[str, ...], *, optional: bool = False) -> bytes:
    """The body, which must be of one of these types and is never held beyond the limit."""
    too_large = RefusalError(413, f"The body is larger than {MOST_BYTES:,} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > MOST_BYTES:
        raise too_large
    if not optional or request.headers.get("content-type"):
        check_content_type(request.headers.get("content-type", ""), types)
    body = bytearray()
    more = True
    while more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise RefusalError(400, "The body ended before it was complete")
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            raise too_large
        more = message.get("more_body", False)
    return bytes(body)


def check_content_type(header: str, types: tuple[str, ...]) -> None:
    found = CONTENT_TYPE.fullmatch(header)
    if not found or found["type"].lower() not in types:
        raise RefusalError(
            415, f"The Content-Type must be {' or '.join(types)}, not {quoted(header)}"
        )
    if (found["charset"] or "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
        raise RefusalError(415, f"The body must be UTF-8, not {quoted(found['charset'])}")


def parse_options(body: bytes) -> Any:
    """What the body of a request says that need not say anything."""
    return parse_json(body) if body.strip() else {}


def parse_json(body: bytes) -> Any:
    """The value in `body`; an error for what is no JSON, or could not be kept as it was sent."""
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
        raise RefusalError(400, f"The body is not JSON: {error}") from error
    except RecursionError:
        raise RefusalError(400, f"The body is nested deeper than {MAX_DEPTH} levels") from None
    if HALF_CHARACTER.search(text):
        refuse_half_characters(value)
    return value


def decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise RefusalError(400, f"The body is not UTF-8: byte {error.start} is wrong") from error


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RefusalError(400, f"The key {quoted(key)} comes twice in one object")
            seen.add(key)
    return document


def refuse_constant(name: str) -> Any:
    raise RefusalError(400, f"The body is not JSON: {name} is no number there")


def finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise RefusalError(400, f"The number {text[:80]} is too large")
    return number


def integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise RefusalError(400, f"An integer has more than {MAX_DIGITS:,} digits")
    return int(text)


def refuse_half_characters(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RefusalError(400, "A text holds half of a character (a lone surrogate)") from error


def quoted(text: str) -> str:
    """`text` as a message shows it, whatever it holds."""
    shown = text if len(text) <= 80 else text[:80] + "…"
    return json.dumps(shown.encode(errors="replace").decode(), ensure_ascii=False)


def parse_document(body: bytes) -> dict[str, Any]:
    """The one object in `body`."""
    value = parse_json(body)
    if not isinstance(value, dict):
        raise RefusalError(400, f"The body must be a JSON object, not {kind_of(value)}")
    check_document(value)
    return value


def parse_documents(body: bytes) -> tuple[list[dict[str, Any]], bool]:
    """The objects in `body`, and whether they came as a list."""
    value = parse_json(body)
    if isinstance(value, dict):
        check_document(value)
        return [value], False
    if not isinstance(value, list):
        message = f"The body must be a JSON object or a list of them, not {kind_of(value)}"
        raise RefusalError(400, message)
    if len(value) > MOST_DOCUMENTS:
        message = f"A list holds at most {MOST_DOCUMENTS:,} objects, not {len(value):,}"
        raise RefusalError(400, message)
    check_each(value)
    return value, True


def check_each(documents: list[Any]) -> None:
    messages = []
    for position, document in enumerate(documents, 1):
        try:
            check_document(document)
        except RefusalError as refusal:
            messages += [at(position, documents, message) for message in refusal.messages]
    if messages:
        raise RefusalError(400, limited(messages))


def at(position: int, documents: list[Any], message: str) -> str:
    """`message` with the position, counted from 1, of the object that it is about."""
    return f"{position} of {len(documents)}: {message}"


def all_or_none(
    documents: list[dict[str, Any]], store: Callable[[dict[str, Any]], Result], *, listed: bool
) -> list[Result]:
    """What `store` made of each document; the error names every fault, of a list with its place."""
    results: list[Result] = []
    faults: list[str] = []
    statuses = set()
    for position, document in enumerate(documents, 1):
        try:
            results.append(store(document))
        except RefusalError as refusal:
            statuses.add(refusal.status)
            messages = refusal.messages
            faults += [at(position, documents, one) for one in messages] if listed else messages
    if faults:
        raise RefusalError(409 if statuses == {409} else 400, limited(faults))
    return results


def limited(messages: list[str]) -> list[str]:
    if len(messages) <= MOST_MESSAGES:
        return messages
    return [*messages[:MOST_MESSAGES], f"and {len(messages) - MOST_MESSAGES:,} more"]


def check_document(document: Any) -> None:
    """Refuse what is no object, is nested too deep or misuses the form of other values."""
    if not isinstance(document, dict):
        raise RefusalError(400, f"must be a JSON object, not {kind_of(document)}")
    try:
        check_forms(document)
    except ValueError as error:
        raise RefusalError(400, str(error)) from error


def kind_of(value: Any) -> str:
    """What JSON calls a value."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
    return "null" if value is None else kinds.get(type(value), "a number")


def refuse_unknown(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """RefusalError that names each of `given` that is not `known`."""
    accepted = set(known)
    unknown = [f"unknown {what} {quoted(name)}" for name in given if name not in accepted]
    if unknown:
        raise RefusalError(400, limited(unknown))


def key_from_path(encoded: str) -> str:
    """The key in a part of an address; what is no UTF-8 is the key of nothing."""
    try:
        return unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        raise RefusalError(404, "An address must be UTF-8, percent-encoded") from None


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
    """Does a list of entity tags name `etag`? `*` names any; a weak tag counts only if `weakly`."""
    if header.strip() == "*":
        return True
    return any(
        found["tag"] == etag and (weakly or not found["weak"])
        for found in ENTITY_TAG.finditer(header)
    )


def precondition(if_match: str | None, if_none_match: str | None) -> Check:
    """A check of the entity tag that a row has now: 412 when it is not the one expected."""

    def check(etag: str) -> None:
        if if_match is not None and not matches(if_match, etag, weakly=False):
            raise RefusalError(412, "It has changed since you read it", {"ETag": etag})
        if if_none_match is not None and matches(if_none_match, etag, weakly=True):
            raise RefusalError(412, "It exists as you named it", {"ETag": etag})

    return check
