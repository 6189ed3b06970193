"""The campaign jobs to measure with: the same ones for every server, in any number."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

LANGUAGES = ("English", "German", "French", "Spanish", "Italian", "Japanese")
PRODUCTS = tuple(f"{word} Starter Kit" for word in ("Matcha", "Oolong", "Sencha", "Chai", "Mate"))
PERSONAS = ("Yoga teacher", "Student", "Barista", "Nurse", "Runner", "Retiree", "Coder")
COMMON_WORD = "coffee"  # every job has it
RARE = 10_000  # one job of so many has the value RARE_VALUE in these columns
RARE_VALUE = "Rare"
NEWEST_FIRST_FROM = 1_700_000_000

# Columns by which lists are filtered, each with a common value.
FILTERS = {
    "product": PRODUCTS[1],
    "persona": PERSONAS[1],
    "language": LANGUAGES[1],
    "campaign_type": "avatar",
    "avatar_id": "avatar-7",
    "script_id": "script-31",
    "enabled": "1",
}


def identifier(number: int) -> str:
    """32 hexadecimal digits in no order, as a uuid4."""
    return blake2b(number.to_bytes(8), digest_size=16).hexdigest()


def created_at(number: int) -> str:
    moment = time.gmtime(NEWEST_FIRST_FROM + number)
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", moment)


def job(number: int) -> dict[str, Any]:
    """A campaign job of about 350 bytes of JSON."""
    document = {
        "id": identifier(number),
        "job_name": f"Spring launch {number}",
        "product": PRODUCTS[number % 5],
        "persona": PERSONAS[number % 7],
        "setting": "Kitchen",
        "emotion": "calm",
        "hook": "Coffee made me shaky",
        "language": LANGUAGES[number % 6],
        "enabled": number % 10 != 0,
        "campaign_type": "avatar" if number % 3 else "video",
        "avatar_id": f"avatar-{number % 20}",
        "script_id": f"script-{number % 50}",
        "created_at": created_at(number),
    }
    if number % RARE == 1:
        document |= dict.fromkeys(("product", "persona", "language", "campaign_type"), RARE_VALUE)
    return document


def jobs(count: int, first: int = 0) -> Iterator[dict[str, Any]]:
    return map(job, range(first, first + count))


def write_ndjson(path: Path, count: int, first: int = 0) -> Path:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(document) + "\n" for document in jobs(count, first))
    return path
