from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from datasette.app import Datasette
from empty_databases import create_databases
from in_process import ROOT, serving

from loaders import open_database
from loaders.campaigns import add_job

DANGEROUS = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "＝1", "＋1", "－1", "＠x")
HARMLESS = ("a=1", "'=1", " =1", "1-2", "x", "", '"=1"')


@pytest.fixture(scope="module")
def datasette(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datasette]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAILIES_DATA_DIR", str(tmp_path_factory.mktemp("csv")))
        create_databases(["campaigns"])
        db = open_database("campaigns")
        for number, text in enumerate((*DANGEROUS, *HARMLESS)):
            add_job(db, {"id": f"{number:02}", "job_name": "x", "hook": text})
        with serving() as served:
            yield served


async def hooks(datasette: Datasette, path: str) -> list[str]:
    answer = await datasette.client.get(path, actor=ROOT)
    assert answer.status_code == 200
    return [row["hook"] for row in csv.DictReader(io.StringIO(answer.text, newline=""))]


@pytest.mark.parametrize(
    "path",
    [
        *("jobs.csv?_sort=id", "jobs.csv?_sort=id&_stream=on", "jobs.csv?_sort=id&_dl=on"),
        *("jobs.csv?_sort=id&_formulas=off", "jobs.csv?_sort=id&_formulas=on&_formulas=on"),
        "-/query.csv?sql=select+hook+from+jobs+order+by+id",
    ],
)
async def test_a_download_holds_no_formula(datasette: Datasette, path: str) -> None:
    expected = [*(f"'{text}" for text in DANGEROUS), *HARMLESS]
    assert await hooks(datasette, f"/campaigns/{path}") == expected


async def test_it_holds_every_text_as_it_is_where_that_is_asked_for(datasette: Datasette) -> None:
    found = await hooks(datasette, "/campaigns/jobs.csv?_sort=id&_formulas=on")
    assert found == [*DANGEROUS, *HARMLESS]


async def test_headings_and_rows_are_guarded_and_numbers_are_not(datasette: Datasette) -> None:
    sql = "select -1 as '=a', -1.5 as b, null as c, 'x' as '@d'"
    answer = await datasette.client.get("/campaigns/-/query.csv", params={"sql": sql}, actor=ROOT)
    assert answer.text == "'=a,b,c,'@d\r\n-1,-1.5,,x\r\n"
    assert "'=1+1" in (await datasette.client.get("/campaigns/jobs/00.csv")).text


def test_an_export_by_command_is_lossless(datasette: Datasette, tmp_path: Path) -> None:
    from cli_runner import run_in_process

    from loaders.registry import data_dir

    done = run_in_process(data_dir(), "export", "campaigns", tmp_path / "jobs.csv")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "jobs.csv").open(newline="", encoding="utf-8") as file:
        texts = [row["hook"] for row in csv.DictReader(file)]
    assert set(DANGEROUS) <= set(texts)
