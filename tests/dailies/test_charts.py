"""The charts of canned_queries/charts.yml: loading, pages and permissions."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from datasette.app import Datasette
from datasette.utils import StartupError
from in_process import READER, READING, ROOT, metadata, own_queries, serving

from dailies.home import HOME
from dailies.web.charts import Chart, check_columns, measures, read_chart, read_charts
from loaders import campaigns, open_database

CHARTS = read_charts(HOME / "canned_queries")
DATA = re.compile(r'<script type="application/json" id="chart-data">(.*?)</script>', re.DOTALL)
ENDLESS = """
    drop view latest_video_metrics;
    create view latest_video_metrics as
    with recursive numbers as (
      select 1 as number
      union all
      select number + 1
      from numbers
    )
    select video_metrics.*, null as title, null as topic, null as duration_seconds
    from video_metrics
    cross join numbers;
    """
CHART = """
    lost:
      title: T
      description: D
      database: campaigns
      query: jobs_by_product
      spec:
        mark: bar
        encoding: {x: {field: jobs, type: quantitative}, y: {field: product}}
    """


@pytest.fixture(scope="module")
def datasette(shared_datasette: Datasette) -> Datasette:
    """For tests that only read."""
    return shared_datasette


@pytest.fixture
def own_datasette(samples: Path) -> Iterator[Datasette]:
    with serving() as served:
        yield served


@pytest.fixture
def campaigns_alone(data_dir: Path) -> Iterator[Datasette]:
    open_database("campaigns").close()
    with serving() as served:
        yield served


async def get(datasette: Datasette, path: str, **options: Any) -> httpx2.Response:
    response: httpx2.Response = await datasette.client.get(path, **options)
    return response


async def drawn(datasette: Datasette, name: str, **values: str) -> dict[str, Any]:
    """The data in the page of a chart, for its script."""
    response = await get(datasette, f"/-/charts/{name}", params=values)
    assert response.status_code == 200
    match = DATA.search(response.text)
    assert match, response.text
    found: dict[str, Any] = json.loads(match[1])
    return found


def link(page: str, text: str) -> str:
    match = re.search(rf'<a href="([^"]+)"[^>]*>{re.escape(text)}', page)
    assert match, f"no link {text}"
    return html.unescape(match[1])


def without(allowed: str, database: str, table: str | None = None) -> dict[str, Any]:
    """The configuration with a database or one of its tables open to `allowed` alone."""
    config = metadata()
    settings = config["databases"][database]
    (settings["tables"][table] if table else settings)["allow"] = {"id": allowed}
    return config


# Pages


async def test_each_draws_the_rows_of_its_query(datasette: Datasette) -> None:
    for name, chart in CHARTS.items():
        page = (await get(datasette, f"/-/charts/{name}")).text
        assert f"<h1>{chart.title}</h1>" in page
        found = await drawn(datasette, name)
        assert found["rows"], name
        assert (await get(datasette, link(page, "JSON"))).json() == found["rows"], name
        assert found["spec"].keys() <= {"transform", "mark", "encoding", "layer"}, name


async def test_each_links_to_its_data(datasette: Datasette) -> None:
    for name, chart in CHARTS.items():
        page = (await get(datasette, f"/-/charts/{name}")).text
        rows = (await drawn(datasette, name))["rows"]
        text = (await get(datasette, link(page, "CSV"))).text
        assert text.splitlines()[0] == ",".join(rows[0]), name
        assert len(text.splitlines()) == len(rows) + 1, name
        table = await get(datasette, link(page, "table"))
        assert table.status_code == 200, name
        assert link(table.text, f"Chart: {chart.title}").startswith(f"/-/charts/{name}")


async def test_each_reads_without_scripts(datasette: Datasette) -> None:
    for name in CHARTS:
        page = (await get(datasette, f"/-/charts/{name}")).text
        rows = (await drawn(datasette, name))["rows"]
        assert '<details id="chart-table" open>' in page, name
        table = page[page.index("<table>") : page.index("</table>")]
        assert re.findall(r'<th scope="col">(.*?)</th>', table) == list(rows[0]), name
        assert table.count("<td") == len(rows) * len(rows[0]), name


async def test_values_of_the_form_are_parameters_of_the_query(datasette: Datasette) -> None:
    rows = (await drawn(datasette, "engagement_by_topic", platform="tiktok"))["rows"]
    expected = await get(
        datasette, "/metrics/engagement_by_topic.json?_shape=array&platform=tiktok"
    )
    assert rows == expected.json()
    everywhere = (await drawn(datasette, "engagement_by_topic"))["rows"]
    assert len(rows) < len(everywhere)
    page = (await get(datasette, "/-/charts/engagement_by_topic?platform=tiktok")).text
    assert '<option value="tiktok" selected>' in page
    assert '<option value="">All platforms</option>' in page
    assert link(page, "CSV") == "/metrics/engagement_by_topic.csv?platform=tiktok"


async def test_growth_begins_with_the_most_viewed_video(datasette: Datasette) -> None:
    page = (await get(datasette, "/-/charts/video_growth")).text
    top = (await get(datasette, "/metrics/top_videos.json?_shape=array")).json()
    platforms = (await get(datasette, "/metrics/engagement_by_platform.json?_shape=array")).json()
    first = platforms[0]["platform"]
    video = next(row for row in top if row["platform"] == first)
    assert f'<option value="{first}" selected>' in page
    assert f'name="video_id" value="{video["video_id"]}"' in page
    assert f'<option value="{video["video_id"]}">{html.escape(video["title"])}</option>' in page


async def test_a_default_widens_until_there_is_something_to_draw(data_dir: Path) -> None:
    days_old = ("2", "200", "2000")
    for age, expected in zip(reversed(days_old), ("36500", "365", "30"), strict=True):
        with closing(open_database("campaigns")) as db:
            created = db.execute("select datetime('now', :age)", {"age": f"-{age} days"})
            job = {"id": age, "job_name": age, "created_at": created.fetchone()[0]}
            campaigns.add_job(db, job)
        with serving() as datasette:
            page = (await get(datasette, "/-/charts/jobs_created_by_day")).text
            assert f'name="days" value="{expected}"' in page
            assert link(page, "CSV") == f"/campaigns/jobs_created_by_day.csv?days={expected}"
            one = (await get(datasette, "/-/charts/jobs_created_by_day?days=1")).text
            assert 'name="days" value="1"' in one
            assert "No data for these values" in one


async def test_a_value_that_no_list_offers_is_kept(datasette: Datasette) -> None:
    page = (await get(datasette, "/-/charts/engagement_by_day?platform=%3Cb%3E&days=7")).text
    assert '<option value="&lt;b&gt;" selected>&lt;b&gt;</option>' in page
    assert 'name="days" value="7" min="1" max="36500"' in page


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("engagement_by_topic", "?platform=nowhere"),
        ("engagement_by_day", "?platform=nowhere"),
        ("video_growth", "?video_id=nowhere"),
    ],
)
async def test_a_query_without_rows(datasette: Datasette, name: str, query: str) -> None:
    response = await get(datasette, f"/-/charts/{name}{query}")
    assert response.status_code == 200
    assert "No data for these values" in response.text
    assert DATA.search(response.text) is None
    assert "vega" not in response.text


async def test_empty_databases(data_dir: Path) -> None:
    """Also with queries that return a row of nulls, such as those of durations."""
    for database in {chart.database for chart in CHARTS.values()}:
        open_database(database).close()
    with serving() as datasette:
        for name in CHARTS:
            response = await get(datasette, f"/-/charts/{name}")
            assert response.status_code == 200, name
            assert "No data" in response.text, name


async def test_a_failing_query(own_datasette: Datasette) -> None:
    assert (await get(own_datasette, "/-/charts/topics_by_source")).status_code == 200
    with closing(open_database("trends")) as db:
        db.execute("drop table trending_topics")
    response = await get(own_datasette, "/-/charts/topics_by_source")
    assert response.status_code == 400
    assert "The query of this chart failed: no such table: trending_topics" in response.text
    assert DATA.search(response.text) is None


async def test_a_query_that_takes_too_long(samples: Path) -> None:
    config = metadata()
    config["settings"]["sql_time_limit_ms"] = 100
    with serving(config=config) as datasette:
        await datasette.invoke_startup()
        with closing(open_database("metrics")) as db:
            db.conn.executescript(ENDLESS)
        response = await get(datasette, "/-/charts/engagement_by_platform")
        assert response.status_code == 400
        assert "The query of this chart failed: it took too long" in response.text


async def test_truncated_rows(own_datasette: Datasette) -> None:
    own_datasette.max_returned_rows = 2
    response = await get(own_datasette, "/-/charts/engagement_by_platform")
    assert "Only the first 2 rows are shown." in response.text


async def test_hostile_values_stay_text(own_datasette: Datasette) -> None:
    payload = "</script><script>window.marked = 1</script>"
    with closing(open_database("metrics")) as db:
        db.execute("update video_metadata set topic = :topic", {"topic": payload})
    response = await get(own_datasette, "/-/charts/engagement_by_topic")
    assert payload not in response.text
    assert (await drawn(own_datasette, "engagement_by_topic"))["rows"][0]["topic"] == payload


async def test_addresses_follow_base_url(samples: Path) -> None:
    with serving(settings={"base_url": "/videos/"}) as datasette:
        page = (await get(datasette, "/-/charts/video_growth")).text
        for path in re.findall(r'(?:href|src)="(/[^"]*)"', page):
            assert path.startswith("/videos/"), path
        assert '{"imports": {"vega-util": "/videos/static/vega-util.js"}}' in page


@pytest.mark.parametrize("path", ["/-/charts", "/-/charts/video_growth"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_other_methods_are_refused(
    campaigns_alone: Datasette, path: str, method: str
) -> None:
    response = await campaigns_alone.client.request(method, path)
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"
    assert response.json()["error"] == f"{method} is not allowed here"


@pytest.mark.parametrize("name", ["nothing", "video_growth~0A", "video_growth.json"])
async def test_no_such_chart(datasette: Datasette, name: str) -> None:
    response = await get(datasette, f"/-/charts/{name}")
    assert response.status_code == 404
    assert DATA.search(response.text) is None


# Permissions


async def test_the_list_shows_every_chart(datasette: Datasette) -> None:
    page = (await get(datasette, "/-/charts")).text
    for name, chart in CHARTS.items():
        assert link(page, chart.title) == f"/-/charts/{name}"
        assert f'id="{chart.database}"' in page


async def test_other_pages_lead_to_charts(datasette: Datasette) -> None:
    assert link((await get(datasette, "/")).text, "Charts") == "/-/charts"
    page = (await get(datasette, "/metrics")).text
    assert "/-/charts#metrics" in page
    query = (await get(datasette, "/metrics/engagement_by_day?platform=tiktok")).text
    assert link(query, "Chart: Engagement over time") == (
        "/-/charts/engagement_by_day?platform=tiktok"
    )
    assert "Chart: " not in (await get(datasette, "/metrics/videos_by_status")).text


@pytest.mark.parametrize("table", [None, "video_metrics", "video_metadata"])
async def test_without_permission_for_the_data(samples: Path, table: str | None) -> None:
    with serving(config=without("root", "metrics", table), **READING) as datasette:
        for actor in (None, READER):
            listed = (await get(datasette, "/-/charts", actor=actor)).text
            assert "Growth of a video" not in listed
            assert "Topics by source" in listed
            response = await get(datasette, "/-/charts/video_growth", actor=actor)
            assert response.status_code == 403
            assert "dly_vid" not in response.text
            assert "Growth of a video" not in response.text
        assert "Growth of a video" in (await get(datasette, "/-/charts", actor=ROOT)).text
        response = await get(datasette, "/-/charts/video_growth", actor=ROOT)
        assert response.status_code == 200
        assert "dly_vid" in response.text


async def test_choices_come_only_from_permitted_queries(samples: Path) -> None:
    """Days are counted in one table, platforms in a view that reads another too."""
    with serving(config=without("root", "metrics", "video_metadata"), **READING) as datasette:
        for actor, status, offered in ((None, 403, 0), (ROOT, 200, 3)):
            query = await get(datasette, "/metrics/engagement_by_platform.json", actor=actor)
            assert query.status_code == status
            response = await get(datasette, "/-/charts/engagement_by_day", actor=actor)
            assert response.status_code == 200
            assert response.text.count("<option ") == offered + 1


async def test_a_private_instance_has_no_charts_for_others(samples: Path) -> None:
    with serving(config=metadata() | {"allow": {"id": "root"}}, **READING) as private:
        for path in ("/-/charts", *(f"/-/charts/{name}" for name in CHARTS)):
            response = await get(private, path)
            assert response.status_code == 403
            assert not any(chart.title in response.text for chart in CHARTS.values())
            assert (await get(private, path, actor=ROOT)).status_code == 200


async def test_charts_of_a_database_that_is_not_there_are_left_out(
    campaigns_alone: Datasette,
) -> None:
    page = (await get(campaigns_alone, "/-/charts")).text
    assert "Campaign jobs created" in page
    assert "Growth of a video" not in page
    assert (await get(campaigns_alone, "/-/charts/video_growth")).status_code == 404


async def test_without_charts(data_dir: Path) -> None:
    with serving() as datasette:
        response = await get(datasette, "/-/charts")
        assert response.status_code == 200
        assert "There are no charts that you may see." in response.text


# Loading


def write_chart(folder: Path, text: str) -> Path:
    (folder / "charts.yml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "charts.yml: is no YAML: "),
        ("- a", "charts.yml: must map names to charts"),
        ("lost: bar", 'charts.yml: chart "lost": has no title, description, database, query and'),
        (CHART.replace("title: T", ""), 'charts.yml: chart "lost": title: Field required'),
        (CHART.replace("mark: bar", ""), 'charts.yml: chart "lost": spec: Value error, must have'),
        (
            CHART.replace("mark: bar", "mark: bar\n        data: {url: 'https://example.com'}"),
            'charts.yml: chart "lost": spec.data: Extra inputs are not permitted',
        ),
        (
            CHART + "  form: {days: {label: Days, number: {min: one, max: 9}}}",
            'charts.yml: chart "lost": form.days.number.min: Input should be a valid integer',
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^charts\.yml: ") as refusal:
        read_charts(write_chart(tmp_path, text))
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("jobs_by_product", "nothing", "there is no query campaigns/nothing"),
        ("database: campaigns", "database: nowhere", "there is no query nowhere/jobs_by_product"),
        ("field: jobs", "field: views", 'the query jobs_by_product returns no column "views"'),
        (
            "spec:",
            "form: {days: {label: Days}}\n      spec:",
            'the query jobs_by_product has no parameter "days"',
        ),
        (
            "mark: bar",
            "mark: bar\n        transform: [{calculate: datum.made + datum.lost, as: made}]",
            'the query jobs_by_product returns no column "lost"',
        ),
        (
            "field: product",
            "field: product, sort: {field: lost}",
            'the query jobs_by_product returns no column "lost"',
        ),
    ],
)
async def test_a_chart_that_does_not_fit_its_query_stops_the_server_from_starting(
    campaigns_alone: Datasette,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    old: str,
    new: str,
    message: str,
) -> None:
    write_chart(own_queries(tmp_path, monkeypatch), CHART.replace(old, new))
    with pytest.raises(StartupError) as refusal:
        await campaigns_alone.invoke_startup()
    assert str(refusal.value) == f'charts.yml: chart "lost": {message}'


@pytest.mark.parametrize("named", ["column: name", "column: persona, label: name"])
def test_a_list_names_columns_of_its_query(named: str) -> None:
    form = f"{{product: {{label: Product, choices: {{query: jobs_by_persona, {named}}}}}}}"
    chart = read_chart("lost", yaml.safe_load(CHART)["lost"] | {"form": yaml.safe_load(form)})
    columns = {"jobs_by_product": ["product", "jobs"], "jobs_by_persona": ["persona", "jobs"]}
    with pytest.raises(ValueError, match=r"^charts\.yml: ") as refusal:
        check_columns(chart, columns)
    assert str(refusal.value) == (
        'charts.yml: chart "lost": the query jobs_by_persona returns no column "name"'
    )


def test_measures_are_the_columns_that_are_drawn() -> None:
    columns = ["source", "topics", "unused_topics", "mean_relevance"]
    assert measures(CHARTS["topics_by_source"], columns) == ["topics", "unused_topics"]
    columns = ["jobs", "mean_seconds", "median_seconds", "p95_seconds"]
    assert measures(CHARTS["build_durations"], columns) == columns[1:]
    columns = ["day", "created", "completed", "failed"]
    assert measures(CHARTS["builds_by_day"], columns) == columns[1:]
    counted = {"mark": "bar", "encoding": {"x": {"aggregate": "count", "type": "quantitative"}}}
    chart = read_chart("lost", yaml.safe_load(CHART)["lost"] | {"spec": counted})
    assert measures(chart, ["product", "jobs"]) == ["product", "jobs"]


@pytest.mark.parametrize("chart", CHARTS.values(), ids=list(CHARTS))
def test_each_is_described(chart: Chart) -> None:
    assert chart.title[0].isupper()
    assert chart.description.endswith(".")
    assert all(field.label for field in chart.form.values())
