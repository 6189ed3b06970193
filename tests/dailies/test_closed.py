"""A table or database that metadata.yml closes is closed as one thing, by every route."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasette.app import Datasette
from empty_databases import create_databases
from in_process import READER, READING, ROOT, WORKER, asking, metadata, paths, serving
from jobs_client import bearer

from dailies.auth import tokens
from loaders import campaigns, open_database, presentation_jobs, trends, yt_builder
from loaders.registry import DATABASES

CAMPAIGN, DELETED, BUILD, FILE, UPLOAD = "LeakJob", "LeakGone", "LeakBuild", "LeakFile", "LeakTube"
EVENT, RENDER, TOPIC, TITLE, PLATFORM = (
    *("LeakEvent", "LeakRender", "LeakTopic", "LeakTitle", "leakplatform"),
)
IMAGE, USE = "LeakImage", "LeakUse"

WRITING = re.compile(r"/-/(insert|upsert|update|delete|drop|alter|set-column-type|create|store)")
Closing = tuple[dict[str, tuple[str, ...]], tuple[str, ...]]
EVERYTHING = (
    *(CAMPAIGN, DELETED, BUILD, FILE, UPLOAD, EVENT, RENDER, TOPIC, TITLE, PLATFORM, IMAGE, USE),
)
# Tables that are closed in one instance, and texts that nobody else may find in any response.
CLOSINGS: dict[str, Closing] = {
    "main tables": (
        {
            **{name: (spec.main_table,) for name, spec in DATABASES.items()},
            "metrics": ("video_metrics", "video_metadata"),
        },
        EVERYTHING,
    ),
    "databases": (dict.fromkeys(DATABASES, ()), EVERYTHING),
    "parts": (
        {
            **{name: spec.parts for name, spec in DATABASES.items() if spec.parts},
            "metrics": ("video_metrics",),
        },
        (DELETED, FILE, UPLOAD, EVENT, PLATFORM, USE),
    ),
}
VALUES = {
    "database": [*DATABASES, "_memory"],
    "table": sorted({table for spec in DATABASES.values() for table in spec.tables}),
    "query": ["recent_jobs", "search_jobs"],
    "pks": ["1"],
    "key": ["1"],
    "part": ["history", "events", "changes", "files", "uploads"],
    "chart": ["engagement_by_topic", "video_growth"],
    "video": ["x"],
}


def plant_all() -> None:
    """A row of its own in every table, each with a text to look for."""
    create_databases(DATABASES)
    db = open_database("campaigns")
    for key, name in (("x", CAMPAIGN), ("gone", DELETED)):
        campaigns.add_job(db, {"id": key, "job_name": name, "product": name})
        campaigns.update_job(db, key, {"hook": name})
    campaigns.delete_job(db, "gone")
    db = open_database("yt-builder")
    job = yt_builder.create_job(db, run_id=BUILD, run_dir=BUILD)
    yt_builder.add_file(db, job["job_id"], "videos", FILE, FILE)
    yt_builder.add_youtube_upload(db, job["job_id"], "x", f"https://v.example/{UPLOAD}", UPLOAD)
    yt_builder.update_job_status(db, job["job_id"], "queued")
    yt_builder.BUILDS.claim(db.conn, "w", None)
    db.conn.execute("update job_attempts set log = :log", {"log": EVENT})
    db.conn.commit()
    presentation_jobs.create(open_database("presentation_jobs"), {"job_id": RENDER})
    trends.add_topic(open_database("trends"), TOPIC, "reddit", relevance_score=0.5)
    metrics = open_database("metrics")
    metrics["video_metadata"].insert({"video_id": "x", "title": TITLE, "topic": TOPIC})
    metrics["video_metrics"].insert(
        {"video_id": "x", "platform": PLATFORM, "timestamp": "2026-11-20T07:15:00Z", "views": 7}
    )
    images = open_database("image_library")
    images["image_library"].insert({"character": "nutsy", "source": "photo", "file_path": IMAGE})
    images["image_usage"].insert({"image_id": 1, "video_id": USE, "scene_number": 1})


def closing(closed: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """The configuration with these tables closed to all but worker; a database if none is named."""
    config = metadata()
    for database, tables in closed.items():
        settings = config["databases"][database]
        if not tables:
            settings["allow"] = {"id": "worker"}
        for table in tables:
            settings["tables"][table]["allow"] = {"id": "worker"}
    return config


@pytest.fixture(scope="module", autouse=True)
def _planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("closed")
        patch.setenv("DAILIES_DATA_DIR", str(folder))
        plant_all()
        yield folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "formats"),
    [("main tables", [".json"]), ("databases", [""]), ("parts", [""])],
)
async def test_nothing_of_a_closed_table_is_found(name: str, formats: list[str]) -> None:
    closed, hidden = CLOSINGS[name]
    with serving(config=closing(closed), **READING) as datasette:
        async with asking(datasette, ROOT) as client:
            for path in [*crawled(datasette, formats), *questions(closed)]:
                text = (await client.get(path)).text
                assert [one for one in hidden if one in text and one not in path] == [], path


def crawled(datasette: Datasette, formats: list[str]) -> Iterator[str]:
    for path in paths(datasette, VALUES | {"format": formats}):
        if may_exist(path) and not WRITING.search(path):
            yield path


def may_exist(path: str) -> bool:
    """Not the many paths of tables that are in another database."""
    database, _, rest = path[1:].partition("/")
    table = re.split(r"[/.]", rest)[0]
    return (
        table not in VALUES["table"]
        or database not in DATABASES
        or table in DATABASES[database].tables
    )


def questions(closed: dict[str, tuple[str, ...]]) -> Iterator[str]:
    for word in ("Leak", "leakplatform", "LeakJob", "LeakTopic"):
        yield f"/-/search?q={word}"
        yield f"/-/jump.json?q={word}"
        yield f"/api/campaigns?q={word}"
        yield f"/campaigns/jobs.json?_search={word}"
        yield f"/campaigns/search_jobs.json?q={word}"
    for path in ("jobs/x", "jobs/x.json", "jobs.csv", "job_history.csv", "deleted_jobs.csv"):
        yield f"/campaigns/{path}"
    for part in ("", "/history"):
        yield f"/api/campaigns/x{part}"
    for database in closed:
        for table in DATABASES[database].tables:
            sql = f"select+*+from+[{table}]"
            yield f"/{database}/-/query.json?sql={sql}"
            yield f"/_memory/-/query.json?sql=select+*+from+[{database}].[{table}]"
            yield f"/{database}/{table}.json?_labels=on&_extra=foreign_key_tables"


async def test_whoever_may_see_a_closed_table_sees_what_is_about_it() -> None:
    with serving(config=closing(CLOSINGS["main tables"][0])) as datasette:
        async with asking(datasette, WORKER) as client:
            for path, text in (
                ("/campaigns/job_history.json", CAMPAIGN),
                ("/campaigns/deleted_jobs.json", DELETED),
                ("/campaigns/recent_jobs.json", CAMPAIGN),
                ("/yt-builder/job_attempts.json", EVENT),
                ("/yt-builder/job_files.json", FILE),
                ("/_memory/video_lineage.json?video_id=x", TITLE),
            ):
                answer = await client.get(path)
                assert (answer.status_code, text in answer.text) == (200, True), path


@pytest.mark.parametrize(
    "path",
    [
        *("jobs", "job_history", "job_versions", "deleted_jobs", "job_statistics", "job_changes"),
        *("set_aside", "jobs/x", "job_history/1", "-/query"),
    ],
)
async def test_a_closed_table_is_403_with_all_that_is_about_it(path: str) -> None:
    with serving(config=closing({"campaigns": ("jobs",)})) as datasette:
        for actor in (None, READER, ROOT):
            answer = await datasette.client.get(f"/campaigns/{path}.json", actor=actor)
            assert (answer.status_code, answer.json()["ok"]) == (403, False), actor


async def test_the_api_of_a_closed_table_is_closed() -> None:
    root = bearer(tokens.create("root")[1])
    with serving(config=closing({"campaigns": ("jobs",), "yt-builder": ("jobs",)})) as datasette:
        for headers, status in (({}, 401), (root, 403)):
            for path in (
                *("campaigns", "campaigns/x", "campaigns/x/history", "campaigns/changes"),
                *("builds", "builds/1", "builds/1/events", "builds/1/files", "builds/1/uploads"),
                "builds/changes",
            ):
                answer = await datasette.client.get(f"/api/{path}", headers=headers)
                assert answer.status_code == status, path
                assert CAMPAIGN not in answer.text
        document = (await datasette.client.get("/api/openapi.json")).json()
        assert {path.split("/")[2] for path in document["paths"]} == {"presentations"}


async def test_sql_is_for_those_who_may_see_every_table() -> None:
    """As shipped root sees everything; set_aside, which only root may see, closes SQL to others."""
    config = metadata()
    config["permissions"]["execute-sql"] = True
    with serving(config=config) as datasette:
        for actor, status in ((None, 403), (READER, 403), (ROOT, 200)):
            for database in ("campaigns", "_memory"):
                path = f"/{database}/-/query.json?sql=select+1"
                answer = await datasette.client.get(path, actor=actor)
                assert answer.status_code == status, (actor, database)
            where = await datasette.client.get("/campaigns/jobs.json?_where=1=1", actor=actor)
            assert where.status_code == status
