"""Several threads share one database: transactions never mix, whatever callers do."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from empty_databases import built

from loaders import (
    campaigns,
    image_library,
    metrics,
    open_database,
    presentation_jobs,
    trends,
    yt_builder,
)
from loaders.campaigns import versions
from loaders.connections import BUSY_TIMEOUT_MS, acting_as, set_pragmas, transaction
from loaders.import_export import export_files, import_files, verify_files
from loaders.import_options import ImportOptions

THREADS = 4
ROUNDS = 12
REFUSED = [*({"id": f"refused-{n}", "job_name": "no"} for n in range(4)), {"id": "nameless"}]


def shared_raw(path: Path, **options: Any) -> sqlite_utils.Database:
    """A database that a caller opened on one connection for all threads."""
    open_database("campaigns", path).close()
    connection = sqlite3.connect(path, check_same_thread=False, **options)
    connection.isolation_level, before = None, connection.isolation_level
    set_pragmas(connection)
    connection.isolation_level = before
    return sqlite_utils.Database(connection)


KINDS: dict[str, Callable[[Path], Any]] = {
    "open_database": lambda path: open_database("campaigns", path),
    "one connection, no isolation level": lambda path: shared_raw(path, isolation_level=None),
    "one connection, Python's transactions": shared_raw,
    "one connection, immediate": lambda path: shared_raw(path, isolation_level="IMMEDIATE"),
    "a connection itself": lambda path: shared_raw(path).conn,
}


@pytest.fixture(params=KINDS)
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with closing(KINDS[request.param](tmp_path / "campaigns.db")) as opened:
        yield opened


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    with open_database("campaigns", tmp_path / "campaigns.db") as opened:
        yield opened


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """The results of functions that run in threads of their own, started together."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        start.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(run, work) for work in works]]


def in_thread(work: Callable[[], Any]) -> Any:
    return at_once(work)[0]


def test_transactions_and_actors_never_mix(shared: Any) -> None:
    seen = set()

    def add(name: str) -> list[tuple[str, str]]:
        added = []
        for number in range(ROUNDS):
            job = campaigns.add_job(shared, {"id": f"{name}-{number}", "job_name": "x"}, name)
            campaigns.update_job(shared, job["id"], {"product": name}, name)
            added.append((job["id"], name))
        return added

    def refuse() -> list[tuple[str, str]]:
        for _ in range(ROUNDS):
            with pytest.raises(ValueError, match=r"5 of 5: jobs\.job_name: a job needs a name"):
                campaigns.bulk_add_jobs(shared, REFUSED, "refused")
        return []

    def read() -> list[tuple[str, str]]:
        for _ in range(ROUNDS):
            seen.update(job.id for job in campaigns.list_jobs(shared))
            seen.update(job["id"] for job in campaigns.iterate_documents(shared))
        return []

    names = [f"thread {number}" for number in range(3)]
    works = [lambda name=name: add(name) for name in names]
    added = list(chain(*at_once(*works, refuse, refuse, read)))
    connection = shared.conn if isinstance(shared, sqlite_utils.Database) else shared
    assert sorted(connection.execute("select id, product from jobs")) == sorted(added)
    history = "select job_id, actor, operation from job_history order by operation"
    assert sorted(connection.execute(history)) == sorted(
        (key, name, operation) for key, name in added for operation in ("insert", "update")
    )
    assert seen <= dict(added).keys()
    assert connection.execute("select actor from write_context").fetchone() == (None,)
    assert not connection.in_transaction


def in_transaction(db: Any, begin: Callable[[], Any], job: dict[str, str]) -> None:
    with begin():
        job = {**job, "product": str(db["jobs"].count)}
        db["jobs"].insert(job)


@contextmanager
def begun(db: Any) -> Iterator[None]:
    db.begin()
    yield
    db.commit()


RETURNING = "insert into jobs (id, job_name) values (:id, :job_name) returning id"
WRITES: dict[str, Callable[[Any, dict[str, str]], Any]] = {
    "add_job": campaigns.add_job,
    "insert": lambda db, job: db["jobs"].insert(job),
    "insert_all": lambda db, job: db["jobs"].insert_all([job]),
    "upsert": lambda db, job: db["jobs"].upsert(job, pk="id"),
    "query": lambda db, job: list(db.query(RETURNING, job)),
    "atomic": lambda db, job: in_transaction(db, db.atomic, job),
    "begin": lambda db, job: in_transaction(db, lambda: begun(db), job),
    "with conn": lambda db, job: in_transaction(db, lambda: db.conn, job),
}


def test_writes_of_sqlite_utils_beside_ours(db: sqlite_utils.Database) -> None:
    def work(name: str, thread: int) -> set[str]:
        keys = {f"{name} {thread} {number}" for number in range(ROUNDS)}
        for key in keys:
            WRITES[name](db, {"id": key, "job_name": "x"})
        return keys

    works = [lambda n=n, t=t: work(n, t) for n in WRITES for t in range(2)]
    acknowledged = set().union(*at_once(*works))
    assert {key for (key,) in db.execute("select id from jobs")} == acknowledged
    assert len(acknowledged) == ROUNDS * 2 * len(WRITES)


def test_an_open_transaction_belongs_to_its_thread(
    db: sqlite_utils.Database, tmp_path: Path
) -> None:
    db.begin()
    campaigns.add_job(db, {"id": "mine", "job_name": "x"})
    assert in_thread(lambda: campaigns.job_exists(db, "mine")) is False
    assert in_thread(lambda: list(db["jobs"].rows)) == []
    assert in_thread(lambda: export_files("campaigns", db, tmp_path / "out.json").rows) == 0
    db.rollback()
    in_thread(lambda: campaigns.add_job(db, {"id": "yours", "job_name": "x"}))
    assert [job.id for job in campaigns.list_jobs(db)] == ["yours"]


@pytest.mark.parametrize("isolation_level", [None, "", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"])
def test_with_connection_is_a_transaction(
    db: sqlite_utils.Database, isolation_level: str | None
) -> None:
    db.conn.isolation_level = isolation_level
    with db.conn:
        campaigns.add_job(db, {"id": "kept", "job_name": "x"})
    with suppress(ZeroDivisionError), db.conn:
        campaigns.add_job(db, {"id": "undone", "job_name": "x"})
        db.conn.execute("update jobs set product = 'y'")
        raise ZeroDivisionError
    campaigns.add_job(db, {"id": "also kept", "job_name": "x"})
    found = in_thread(lambda: list(db.query("select id, product from jobs order by id")))
    assert found == [{"id": "also kept", "product": None}, {"id": "kept", "product": None}]


@pytest.mark.parametrize("isolation_level", [None, ""])
def test_a_failure_within_an_open_transaction_undoes_itself_alone(
    tmp_path: Path, isolation_level: str | None
) -> None:
    with closing(shared_raw(tmp_path / "c.db", isolation_level=isolation_level)) as db:
        db.begin()
        campaigns.add_job(db, {"id": "before", "job_name": "x"}, "anna")
        with acting_as(db, "outer"), pytest.raises(ValueError, match="a job needs a name"):
            campaigns.bulk_add_jobs(db, REFUSED, "refused")
        db.execute("insert into jobs (id, job_name) values ('after', 'x')")
        db.commit()
        history = db.execute("select job_id, actor from job_history order by id").fetchall()
        assert history == [("before", "anna"), ("after", None)]
        with pytest.raises(sqlite3.IntegrityError), transaction(db):
            db.execute("insert into jobs (id) values (null)")
        assert not db.conn.in_transaction


def test_an_import_within_an_open_transaction(db: sqlite_utils.Database, tmp_path: Path) -> None:
    path = tmp_path / "jobs.json"
    path.write_text('[{"id": "a", "job_name": "new"}]')
    campaigns.add_job(db, {"id": "a", "job_name": "old"})
    db.begin()
    campaigns.update_job(db, "a", {"product": "p"})
    dry = ImportOptions(on_conflict="update", dry_run=True)
    assert import_files("campaigns", db, [path], dry).updated == 1
    assert campaigns.get_job(db, "a")["job_name"] == "old"
    report = import_files("campaigns", db, [path], ImportOptions(on_conflict="update"))
    assert report.updated == 1
    with open_database("campaigns", Path(str(report.backup))) as backup:
        assert campaigns.get_job(backup, "a").product is None
    db.rollback()
    assert campaigns.get_job(db, "a").job_name == "old"


def test_functions_are_there_in_every_thread_and_connections_are_closed(
    db: sqlite_utils.Database,
) -> None:
    @db.register_function
    def shout(text: str) -> str:
        return text.upper()

    assert db.execute("select shout('a')").fetchone() == ("A",)
    assert in_thread(lambda: db.execute("select shout('b')").fetchone()) == ("B",)
    campaigns.add_job(db, {"id": "a", "job_name": "x"})
    in_thread(lambda: db["jobs"].convert("job_name", lambda value: value * 2))
    assert campaigns.get_job(db, "a").job_name == "xx"
    other = in_thread(lambda: db.conn)
    db.close()
    for use in (db.conn.execute, other.execute, lambda sql: in_thread(lambda: db.execute(sql))):
        with pytest.raises(sqlite3.ProgrammingError, match="Cannot operate on a closed database"):
            use("select 1")


def test_a_connection_held_by_another_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loaders.connections.BUSY_TIMEOUT_MS", BUSY_TIMEOUT_MS / 1000)
    held = pytest.raises(ValueError, match="another thread is in a transaction")
    with closing(shared_raw(tmp_path / "c.db")) as db, transaction(db), held:
        in_thread(lambda: campaigns.list_jobs(db))


def use_campaigns(db: Any, name: str, folder: Path) -> None:
    key, path = f"job {name}", folder / f"{name}.json"
    campaigns.add_job(db, {"id": key, "job_name": name, "language": name}, name)
    campaigns.bulk_add_jobs(db, [{"id": f"{key}-2", "job_name": name}], name)
    assert campaigns.update_job(db, key, {"hook": name}, name).hook == name
    assert campaigns.get_job(db, key).job_name == name
    assert campaigns.search_jobs(db, name)
    assert campaigns.list_jobs(db, campaigns.JobFilter(language=name))
    assert campaigns.get_job_statistics(db)["jobs_by_language"][name] == 1
    with transaction(db):  # another thread may import the job meanwhile
        campaigns.delete_job(db, f"{key}-2", name)
        versions.restore_job(db, f"{key}-2", actor=name)
    assert export_files("campaigns", db, path).rows >= 2
    assert import_files("campaigns", db, [path], ImportOptions(actor=name)).failed == 0
    assert verify_files("campaigns", db, path).missing == []
    assert campaigns.migrate_from_yaml(db, path, create_backup=False)["success"]
    assert campaigns.get_database_info(db)["job_count"] >= 2
    found = (*versions.list_versions(db, key), *versions.list_versions(db, f"{key}-2"))
    actors = {json.loads(version.text)["actor"] for version in found}
    assert actors == {name}


def use_yt_builder(db: Any, name: str, folder: Path) -> None:
    job_id = yt_builder.create_job(db, actor=name)["job_id"]
    assert yt_builder.get_next_job_id(db) != job_id
    yt_builder.update_job_config(db, job_id, {"by": name}, name)
    yt_builder.update_job_status(db, job_id, "queued", actor=name)
    yt_builder.add_file(db, job_id, "videos", name, name, name)
    yt_builder.add_file(db, job_id, "music", name, name, name)
    yt_builder.delete_file(db, job_id, "music", name, name)
    yt_builder.add_youtube_upload(db, job_id, name, name, name, actor=name)
    claimed = yt_builder.claim(db, name, name)
    assert claimed["worker"] == name
    yt_builder.heartbeat(db, claimed["job_id"], claimed["lease"], 50, actor=name)
    yt_builder.update_job_status(db, claimed["job_id"], "completed", actor=name)
    assert yt_builder.recover(db, actor=name).queued == []
    assert yt_builder.cleanup_old_jobs(db, actor=name) == 0
    assert yt_builder.get_file_counts(db, job_id)["videos"] == 1
    assert [row["video_id"] for row in yt_builder.get_youtube_uploads(db, job_id)] == [name]
    assert [row["filename"] for row in yt_builder.get_job_files(db, job_id)] == [name]
    first = yt_builder.BUILDS.events(db, job_id, None, 100)[-1]
    assert f'"actor": "{name}"' in first.text


def use_presentations(db: Any, name: str, folder: Path) -> None:
    presentation_jobs.create(db, {"job_id": name}, name)
    claimed = presentation_jobs.claim(db, name, name)
    presentation_jobs.heartbeat(db, claimed["job_id"], claimed["lease"], 10, actor=name)
    presentation_jobs.update(db, claimed["job_id"], status="completed", actor=name)
    assert presentation_jobs.get(db, claimed["job_id"])["worker"] == name
    assert len(presentation_jobs.get_all(db)) >= 1
    assert presentation_jobs.delete_old_jobs(db, actor=name) == 0
    presentation_jobs.create(db, {"job_id": f"{name} 2", "status": "failed"}, name)
    assert presentation_jobs.delete(db, f"{name} 2", name)


def use_trends(db: Any, name: str, folder: Path) -> None:
    row = trends.add_topic(db, name, "test", 0.5)
    assert row["topic"] == name
    assert len(trends.unused_topics(db, source="test")) >= 1
    assert trends.mark_used(db, row["id"])
    with pytest.raises(ValueError, match="relevance_score"):
        trends.add_topic(db, name, "test", 5)


def use_metrics(db: Any, name: str, folder: Path) -> None:
    metrics.add_metadata(db, {"video_id": name, "title": name})
    metrics.add_metrics(db, {"video_id": name, "platform": "youtube", "views": 10, "likes": 1})
    assert metrics.latest_metrics(db, name)[0]["engagement_rate"] == 0.1
    with pytest.raises(ValueError, match="views"):
        metrics.add_metrics(
            db, [{"video_id": name, "platform": f"x{views}", "views": views} for views in (1, -1)]
        )


def use_image_library(db: Any, name: str, folder: Path) -> None:
    image = image_library.add_image(db, "nutsy", f"{name}.png")
    assert image_library.use_image(db, image["id"], name)["usage_count"] == 1
    assert image_library.pick_image(db, "nutsy")
    image_library.add_to_collection(db, "all", image["id"])
    path = folder / f"{name}.json"
    export_files("image_library", db, path)
    assert import_files("image_library", db, [path]).failed == 0


USES = {
    "campaigns": use_campaigns,
    "yt-builder": use_yt_builder,
    "presentation_jobs": use_presentations,
    "trends": use_trends,
    "metrics": use_metrics,
    "image_library": use_image_library,
}


@pytest.mark.parametrize("is_shared", [True, False], ids=["open_database", "one connection"])
@pytest.mark.parametrize("name", USES)
def test_every_function_works_in_every_thread(name: str, is_shared: bool, tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    path.write_bytes((built() / f"{name}.db").read_bytes())
    db: Any = open_database(name, path)
    if not is_shared:
        db.close()
        db = sqlite_utils.Database(sqlite3.connect(path, check_same_thread=False))
    with closing(db):
        works = [
            lambda n=n: USES[name](db, f"thread{n}", tmp_path)  # type: ignore[misc]
            for n in range(THREADS)
        ]
        at_once(*works)
        assert not db.conn.in_transaction
        assert db.execute("select actor from write_context").fetchone() == (None,)
