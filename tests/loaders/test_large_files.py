"""Files that are or unpack to more than fits in memory."""

from __future__ import annotations

import gzip
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from loaders.metrics import list_file, youtube_csv

HEADER = b"video_id,trending_date,views,likes,dislikes,comment_count,description\n"
ROW = b"dQw4w9WgXcQ,17.14.11,10,5,1,2," + b"x" * 10_000 + b"\n"
READ = """
import sys
from pathlib import Path
from loaders.metrics.youtube_csv import TrendingList
found = TrendingList(Path(sys.argv[1])).rows()
print(sum(1 for _ in found))
"""


def pack(path: Path, *parts: tuple[bytes, int]) -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for part, times in parts:
            for _ in range(times):
                file.write(part)
    return path


@pytest.mark.process
def test_a_packed_list_is_read_with_little_memory(tmp_path: Path) -> None:
    path = pack(tmp_path / "2017.csv.gz", (HEADER, 1), (ROW * 100, 256))
    limit = 200 << 20
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert (done.stdout.strip(), done.stderr) == ("25600", "")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([(HEADER, 1), (b"x" * (1 << 20), 20)], "has a line of more than 16,777,216 characters"),
        ([(HEADER, 1), (b"\n" * (1 << 20), 20)], "is larger than 10,000,000 bytes"),
    ],
)
def test_a_list_that_is_too_large(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parts: list[tuple[bytes, int]],
    message: str,
) -> None:
    if "bytes" in message:
        monkeypatch.setattr(list_file, "MAX_UNPACKED", 10_000_000)
    path = pack(tmp_path / "2017.csv.gz", *parts)
    with pytest.raises(ValueError, match=message):
        youtube_csv.TrendingList(path)
