"""Lists find the same jobs whether many or few rows hold a text, and however it is looked up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlite_utils

from dailies.api import pagination
from dailies.api.pagination import parse_query, read_page
from dailies.api.resources import CAMPAIGNS
from loaders import campaigns, open_database, search

TEXTS = (
    "Matcha kit",
    "match point",
    "Café matcha-kit",
    "抹茶 kit",
    "hot🔥deal",
    "kit matchbox",
    "x",
)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite_utils.Database]:
    with open_database("campaigns", tmp_path_factory.mktemp("plans") / "campaigns.db") as opened:
        jobs = [
            {"id": f"{n:03}", "job_name": TEXTS[n % 7], "created_at": f"2026-01-{n % 9 + 1:02}"}
            for n in range(60)
        ]
        campaigns.bulk_add_jobs(opened, jobs)
        opened.conn.execute("update write_context set trigrams_to = 40")
        opened.conn.execute("insert into jobs_trigrams (jobs_trigrams) values ('rebuild')")
        yield opened


def found(db: sqlite_utils.Database, text: str, sort: str) -> list[str]:
    keys: list[str] = []
    parameters = {"q": text, "_sort": sort, "_size": "7", "enabled": "1"}
    while True:
        page = read_page(db.conn, CAMPAIGNS, parse_query(CAMPAIGNS, parameters))
        keys += [record.key for record in page.records]
        if page.next is None:
            return keys
        parameters["_next"] = page.next


@pytest.mark.parametrize("sort", ["-created_at", "job_name", "-brand_name"])
@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("match", (0, 1, 2, 5)), ("atch", (0, 1, 2, 5)), ("tcha kit", (0, 2)),
        ("matcha-kit", (0, 2)), ("afé", (2,)), ("afe", ()),
        ("cafe", (2,)), ("kit", (0, 2, 3, 5)), ("茶", (3,)), ("抹茶", (3,)), ("🔥d", (4,)),
        ("x", (5, 6)),
        ("t", (0, 1, 2, 3, 4, 5)), ("achm", ()), ("zz", ()),
    ],
)  # fmt: skip
def test_every_way_to_search_finds_the_same(
    db: sqlite_utils.Database,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    numbers: tuple[int, ...],
    sort: str,
) -> None:
    few = found(db, text, sort)
    assert sorted(few) == [f"{n:03}" for n in range(60) if n % 7 in numbers]
    monkeypatch.setattr(search, "MANY", 0)
    assert found(db, text, sort) == few
    monkeypatch.setattr(pagination, "MAX_READ", 10)
    assert found(db, text, sort) == few
