"""The Python functions of campaigns, called as the earlier systems called theirs."""

from __future__ import annotations

import json
import math
import sqlite3
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from hypothesis import given
from hypothesis import strategies as st

from loaders import campaigns, open_database, schema
from loaders.campaigns.jobs import JobFilter
from loaders.errors import DuplicateKey

JOB = {
    "id": "abc123",
    "job_name": "My Campaign",
    "product": "Product Name",
    "persona": "Friendly",
    "enabled": True,
    "enhanced_settings": {"captions": {"size": 32, "colors": ["#fff", None]}},
}

KEYS = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda key: key[:2] != "!!")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with open_database("campaigns", tmp_path / "campaigns.db") as opened:
        yield opened


def history(db: sqlite_utils.Database, job_id: str) -> list[tuple[Any, ...]]:
    return db.execute(
        "select version, operation, actor from job_history where job_id = ? order by version",
        [job_id],
    ).fetchall()


def test_a_job_comes_back_as_it_was_added(db: sqlite_utils.Database) -> None:
    assert campaigns.add_job(db, JOB) == JOB
    job = campaigns.get_job(db, "abc123")
    assert job == JOB
    assert job is not None
    assert (job.job_name, job.enabled, job.language) == ("My Campaign", 1, "English")
    whole = job.to_dict()
    assert whole == {**JOB, "created_at": job.created_at, "updated_at": job.updated_at}
    assert job.created_at.endswith("Z")
    with pytest.raises(AttributeError, match="nothing"):
        _ = job.nothing


@given(st.dictionaries(KEYS, json_values, max_size=4))
def test_any_json_is_kept(settings: dict[str, Any]) -> None:
    job = {"settings": settings, "id": "a", "job_name": "n", "enabled": True}
    with sqlite_utils.Database(memory=True) as db:
        schema.migrations_of("campaigns").apply(db)
        campaigns.add_job(db, job)
        assert json.dumps(campaigns.get_job(db, "a")) == json.dumps(job)


def test_what_json_cannot_hold_has_its_documented_form(db: sqlite_utils.Database) -> None:
    job = {"id": "a", "job_name": "n", "on": date(2025, 1, 1), "raw": b"\x00", 5: math.inf}
    stored = campaigns.add_job(db, job)
    assert stored == {
        "id": "a", "job_name": "n", "on": {"!!timestamp": "2025-01-01"},
        "raw": {"!!binary": "AA=="}, "!!int 5": {"!!float": ".inf"},
    }  # fmt: skip
    copy = campaigns.add_job(db, {**stored, "id": "b"})
    assert copy == {**stored, "id": "b"}


def test_an_update_merges_the_top_level(db: sqlite_utils.Database) -> None:
    campaigns.add_job(db, JOB)
    updated = campaigns.update_job(db, "abc123", {"job_name": "Updated", "enabled": False})
    assert updated is not None
    assert updated == {
        **JOB,
        "job_name": "Updated",
        "enabled": False,
        "updated_at": updated["updated_at"],
    }
    assert (updated.job_name, updated.enabled) == ("Updated", 0)
    assert campaigns.get_job(db, "abc123") == updated


def test_the_key_wins_over_an_id_in_an_update(db: sqlite_utils.Database) -> None:
    campaigns.add_job(db, JOB)
    updated = campaigns.update_job(db, "abc123", {"id": "renamed"})
    assert updated is not None
    assert updated["id"] == "abc123"
    assert campaigns.get_job(db, "renamed") is None


def test_unknown_jobs(db: sqlite_utils.Database) -> None:
    assert campaigns.get_job(db, "none") is None
    assert campaigns.update_job(db, "none", {"product": "x"}) is None
    assert campaigns.delete_job(db, "none") is False
    assert campaigns.job_exists(db, "none") is False


def test_delete_leaves_the_history(db: sqlite_utils.Database) -> None:
    campaigns.add_job(db, JOB, actor="ann")
    campaigns.update_job(db, "abc123", {"product": "x"}, actor="bob")
    assert campaigns.delete_job(db, "abc123", actor="cy") is True
    assert campaigns.job_exists(db, "abc123") is False
    assert history(db, "abc123") == [
        (1, "insert", "ann"),
        (2, "update", "bob"),
        (3, "delete", "cy"),
    ]
    deleted = list(db["deleted_jobs"].rows)
    assert [(row["id"], row["job_name"], row["actor"]) for row in deleted] == [
        ("abc123", "My Campaign", "cy")
    ]


def test_a_duplicate_id_is_both_errors(db: sqlite_utils.Database) -> None:
    campaigns.add_job(db, JOB)
    with pytest.raises(DuplicateKey, match='job "abc123" already exists') as refused:
        campaigns.add_job(db, JOB)
    assert isinstance(refused.value, sqlite3.IntegrityError)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"id": "a"}, r"jobs\.job_name: a job needs a name"),
        ({"id": "a", "job_name": None}, r"jobs\.job_name: a job needs a name"),
        (
            {"id": "a", "job_name": "n", "enabled": "perhaps"},
            r"jobs\.enabled: must be true or false \(1 or 0\), not \"perhaps\"",
        ),
        ({"id": ["a"], "job_name": "n"}, "jobs.id: must be text, not a list"),
        ({"id": "a", "job_name": "half \ud83d"}, "surrogate"),
        ("no job", "a job is a mapping, not str"),
    ],
)
def test_bad_input_is_a_value_error(db: sqlite_utils.Database, job: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        campaigns.add_job(db, job)
    assert db["jobs"].count == 0
    assert db["job_history"].count == 0


def test_bulk_add_is_all_or_nothing(db: sqlite_utils.Database) -> None:
    jobs = [{"id": str(number), "job_name": "n"} for number in range(3)]
    assert campaigns.bulk_add_jobs(db, jobs) == jobs
    with pytest.raises(ValueError, match="already exists"):
        campaigns.bulk_add_jobs(db, [{"id": "new", "job_name": "n"}, jobs[0]])
    assert [row["id"] for row in db["jobs"].rows] == ["0", "1", "2"]


def test_list_jobs_filters_sorts_and_pages(db: sqlite_utils.Database) -> None:
    for number in range(6):
        job = {"id": str(number), "job_name": f"n{number}", "product": "AB"[number % 2]}
        campaigns.add_job(
            db, {**job, "enabled": number < 4, "created_at": f"2025-01-0{number + 1}"}
        )

    def ids(**conditions: Any) -> list[str]:
        return [job["id"] for job in campaigns.list_jobs(db, JobFilter(**conditions))]

    assert ids() == ["5", "4", "3", "2", "1", "0"]
    assert ids(enabled=True) == ["3", "2", "1", "0"]
    assert ids(enabled=False, product="A") == ["4"]
    assert ids(limit=2, offset=1) == ["4", "3"]
    assert ids(order_by="job_name", order_dir="ASC", limit=2) == ["0", "1"]
    with pytest.raises(ValueError, match='cannot order jobs by "1; drop table jobs"'):
        ids(order_by="1; drop table jobs")
    with pytest.raises(ValueError, match="order_dir is ASC or DESC"):
        ids(order_dir="sideways")


@pytest.mark.parametrize(
    "q", ["", "50% off", "e-commerce", "C++", '10"', "AND", "NEAR(", "*", "🔥"]
)
def test_search_answers_whatever_is_typed(db: sqlite_utils.Database, q: str) -> None:
    times = ("2026-11-20T07:15:00.000Z", "2026-11-20T07:15:00.001Z")
    campaigns.add_job(db, {"id": "a", "job_name": f"about {q} and more", "created_at": times[0]})
    campaigns.add_job(db, {"id": "b", "job_name": "something else", "created_at": times[1]})
    found = [job["id"] for job in campaigns.search_jobs(db, q)]
    assert found == (["a"] if q else ["b", "a"])


PARTS = {
    "matcha": "Matcha kit", "café": "Cafe\u0301 noir", "抹茶": "新鮮な抹茶スイーツ",
    "thai": "ที่นี่ดีมาก",
    "emoji": "hot🔥deal", "russian": "Новая Матча", "german": "KÜHLSCHRANK",
}  # fmt: skip


@pytest.mark.parametrize("indexed", [True, False], ids=["indexed", "in the last batch"])
@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("match", ["matcha"]), ("atch", ["matcha"]), ("TCHA it", ["matcha"]),
        ("ch", ["german", "matcha"]),
        ("cafe", ["café"]), ("CAFÉ", ["café"]), ("afé", ["café"]), ("café oir", ["café"]),
        ("抹茶", ["抹茶"]), ("茶ス", ["抹茶"]), ("茶", ["抹茶"]), ("抹茶スイーツ", ["抹茶"]),
        ("抹イ", []),
        ("ดีม", ["thai"]), ("ที่นี่", ["thai"]), ("ทนี", []), ("🔥", ["emoji"]), ("🔥deal", ["emoji"]),
        ("t🔥d", ["emoji"]), ("🔥kit", []), ("матч", ["russian"]), ("АТЧА", ["russian"]),
        ("kuhl", ["german"]), ("ühlschr", ["german"]), ("matcha noir", []), ("mat cha", ["matcha"]),
        ("achm", []),
    ],
)  # fmt: skip
def test_words_beginnings_and_parts_are_found(
    db: sqlite_utils.Database, q: str, expected: list[str], indexed: bool
) -> None:
    for key, text in PARTS.items():
        campaigns.add_job(db, {"id": key, "job_name": "n", "hook": text})
    if indexed:
        db.execute("update write_context set trigrams_to = (select max(rowid) from jobs)")
        db.execute("insert into jobs_trigrams (jobs_trigrams) values ('rebuild')")
    assert [job["id"] for job in campaigns.search_jobs(db, q)] == expected


def test_a_product_is_found_by_a_part_of_it(db: sqlite_utils.Database) -> None:
    for key, product in {"a": "Matcha 50% kit", "b": "match", "c": None}.items():
        campaigns.add_job(db, {"id": key, "job_name": "n", "product": product})

    def ids(product: str) -> list[str]:
        return sorted(job["id"] for job in campaigns.list_jobs(db, JobFilter(product=product)))

    assert ids("ATCH") == ["a", "b"]
    assert ids("50% k") == ["a"]
    assert ids("a_c") == []


def test_jobs_are_sorted_by_instants(db: sqlite_utils.Database) -> None:
    for job_id, time in (("a", "2026-11-20 08:00:00"), ("b", "2026-11-20T07:15:00.000Z")):
        db.execute("insert into jobs (id, job_name, created_at) values (?, 'x', ?)", (job_id, time))
    db.conn.commit()
    assert [job["id"] for job in campaigns.list_jobs(db)] == ["a", "b"]
    assert [job["id"] for job in campaigns.search_jobs(db, "x")] == ["a", "b"]


def test_statistics(db: sqlite_utils.Database) -> None:
    for number in range(5):
        job = {
            "id": str(number),
            "job_name": "n",
            "product": "AB"[number % 2],
            "enabled": number < 3,
        }
        campaigns.add_job(db, job)
    stats = campaigns.get_job_statistics(db)
    assert stats == {
        "total_jobs": 5, "enabled_jobs": 3, "disabled_jobs": 2, "unique_products": 2,
        "unique_personas": 0, "unique_languages": 1, "jobs_by_product": {"A": 3, "B": 2},
        "jobs_by_persona": {}, "jobs_by_language": {"English": 5},
    }  # fmt: skip
    assert stats.jobs_by_product == {"A": 3, "B": 2}


def test_the_earlier_migration_calls(db: sqlite_utils.Database, tmp_path: Path) -> None:
    source = tmp_path / "campaigns.yaml"
    source.write_text("jobs:\n- id: a\n  job_name: 'no'\n- id: a\n  job_name: other\n")
    results = campaigns.migrate_from_yaml(db, source, create_backup=True)
    assert (results["jobs_migrated"], results["jobs_found"], results["jobs_failed"]) == (1, 2, 1)
    assert results["success"] is False
    assert Path(results["backup_path"]).read_bytes() == source.read_bytes()
    exported = campaigns.export_to_yaml(db, source, create_backup=True)
    assert exported["jobs_exported"] == 1
    assert Path(exported["backup_path"]).read_text().count("- id: a") == 2
    assert campaigns.verify_migration(db, source)["success"] is True
    campaigns.delete_job(db, "a")
    compared = campaigns.verify_migration(db, source)
    assert (compared["success"], compared["missing_in_db"]) == (False, ["a"])


def test_database_facts(db: sqlite_utils.Database) -> None:
    campaigns.add_job(db, JOB)
    facts = campaigns.get_database_info(db)
    assert facts["job_count"] == 1
    assert facts["size_mb"] > 0
    assert facts["schema_version"] == "m003_list_indexes"
    sizes = campaigns.vacuum_database(db)
    assert 0 < sizes["size_after"] <= sizes["size_before"]


def test_threads_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "campaigns.db"
    with open_database("campaigns", path) as db:
        campaigns.add_job(db, {"id": "shared", "job_name": "n"})
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            with open_database("campaigns", path) as db:
                for turn in range(10):
                    campaigns.update_job(db, "shared", {f"key-{number}-{turn}": turn})
                    campaigns.add_job(db, {"id": f"{number}-{turn}", "job_name": "n"})
        except (ValueError, sqlite3.Error) as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with open_database("campaigns", path) as db:
        assert db["jobs"].count == 41
        job = campaigns.get_job(db, "shared")
        assert job is not None
        assert sum(key.startswith("key-") for key in job) == 40
        assert [version for version, _, _ in history(db, "shared")] == list(range(1, 42))
