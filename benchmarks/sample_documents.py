"""Campaign files to measure with: jobs as the earlier system writes them, and small ones."""

from __future__ import annotations

import json
import lzma
import random
from pathlib import Path

TEMPLATE = Path(__file__).parent.parent / "tests/data/legacy/campaigns_main_sorted.yaml.xz"


def write_yaml(path: Path, jobs: int) -> None:
    """`jobs` jobs of about 10 kB: a real file's over and over, each under an id of its own."""
    text = lzma.decompress(TEMPLATE.read_bytes()).decode()
    blocks = text.removeprefix("jobs:\n- ").split("\n- ")
    with path.open("w", encoding="utf-8") as file:
        file.write("jobs:\n")
        for number in range(jobs):
            block = blocks[number % len(blocks)].rstrip("\n")
            lines = [line for line in block.split("\n") if not line.startswith("  id: ")]
            file.write("- " + "\n".join(lines) + f"\n  id: {identifier(number)}\n")


def write_ndjson(path: Path, jobs: int) -> None:
    """`jobs` jobs of about 0.3 kB."""
    choose = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        for number in range(jobs):
            job = {
                "id": identifier(number),
                "job_name": f"Job {number} for the spring launch",
                "product": choose.choice(("Face mask", "Vitamin serum", "Desk lamp")),
                "persona": choose.choice(("Friendly", "Elegant", "Sporty")),
                "setting": "Kitchen",
                "emotion": "happy",
                "hook": "Stop scrolling, this changes everything",
                "language": "English",
                "enabled": number % 5 > 0,
                "created_at": f"2025-{number % 12 + 1:02}-02T01:40:00.123456",
            }
            file.write(json.dumps(job) + "\n")


def identifier(number: int) -> str:
    """32 hexadecimal digits in no order, as the earlier system's uuid4."""
    return f"{random.Random(number).getrandbits(128):032x}"
