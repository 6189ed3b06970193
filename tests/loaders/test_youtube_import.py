"""Public trending lists in each form that they come in."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from loaders import metrics, open_database
from loaders.import_options import ImportOptions
from loaders.import_report import ImportReport
from loaders.metrics import youtube_csv, youtube_import

ROW = {
    "video_id": "-kTWIm7m4Uw",
    "trending_date": "18.01.02",
    "title": "435",
    "channel_title": "Señor Ñandú 🔥",
    "category_id": "24",
    "publish_time": "2018-01-30T17:13:01.000Z",
    "tags": 'one|"two words"|"three"',
    "views": "1000",
    "likes": "60",
    "dislikes": "7",
    "comment_count": "40",
    "thumbnail_link": "https://i.ytimg.com/vi/-kTWIm7m4Uw/default.jpg",
    "comments_disabled": "False",
    "ratings_disabled": "False",
    "video_error_or_removed": "False",
    "description": 'First "line"\\nsecond, line',
}
COLUMNS = list(ROW)


def row(**changes: str) -> dict[str, str]:
    return {**ROW, **changes}


def text_of(*rows: dict[str, str], columns: list[str] = COLUMNS, end: str = "\n") -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite_utils.Database]:
    database = open_database("metrics", tmp_path / "metrics.db")
    yield database
    assert list(metrics.check(database.conn)) == []
    database.execute(
        "insert into video_metadata_fts (video_metadata_fts, rank) values ('integrity-check', 1)"
    )
    database.close()


def load(
    db: sqlite_utils.Database, content: str | bytes, name: str = "USvideos.csv", **options: Any
) -> ImportReport:
    """Load a file of that content."""
    path = Path(db.execute("pragma database_list").fetchone()[2]).with_name(name)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    report = youtube_import.load(db, [path], ImportOptions(**options))
    counted = report.imported + report.updated + report.skipped + report.failed
    assert report.found == counted
    return report


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    return report.imported, report.updated, report.skipped, report.failed


def reasons(report: ImportReport) -> list[str]:
    return [error["reason"] for error in report.errors]


def snapshots(db: sqlite_utils.Database) -> list[dict[str, Any]]:
    return list(db.query("select * from video_metrics order by video_id, timestamp"))


def video(db: sqlite_utils.Database) -> dict[str, Any]:
    [found] = db.query("select * from video_metadata")
    return {**found, "metadata": json.loads(found["metadata"])}


def test_row_becomes_a_snapshot_and_the_description_of_its_video(db: sqlite_utils.Database) -> None:
    assert counts(load(db, text_of(row()))) == (1, 0, 0, 0)
    [snapshot] = snapshots(db)
    created_at = snapshot.pop("created_at")
    assert len(created_at) == 24
    assert json.loads(snapshot.pop("metadata")) == {
        "dislikes": 7,
        "comments_disabled": False,
        "ratings_disabled": False,
        "video_error_or_removed": False,
    }
    assert snapshot == {
        "id": 1,
        "video_id": "-kTWIm7m4Uw",
        "platform": "youtube",
        "views": 1000,
        "likes": 60,
        "comments": 40,
        "shares": None,
        "saves": None,
        "watch_time_seconds": None,
        "engagement_rate": 0.1,
        "timestamp": "2018-02-01T00:00:00.000Z",
        "measured_at": "2018-02-01T00:00:00.000Z",
    }
    found = video(db)
    del found["created_at"]
    assert found == {
        "id": 1,
        "video_id": "-kTWIm7m4Uw",
        "title": "435",
        "description": 'First "line"\nsecond, line',
        "topic": "Entertainment",
        "script_path": None,
        "audio_path": None,
        "video_path": None,
        "duration_seconds": None,
        "posted_at": "2018-01-30T17:13:01.000Z",
        "status": "posted",
        "metadata": {
            "trending_date": "2018-02-01",
            "category_id": "24",
            "channel_title": "Señor Ñandú 🔥",
            "tags": ["one", "two words", "three"],
            "thumbnail_link": "https://i.ytimg.com/vi/-kTWIm7m4Uw/default.jpg",
        },
    }
    assert [one["views"] for one in metrics.latest_metrics(db)] == [1000]


@pytest.mark.parametrize("name", ["USvideos.csv.gz", "packed-without-saying-so.csv"])
def test_packed_list(db: sqlite_utils.Database, name: str) -> None:
    assert counts(load(db, gzip.compress(text_of(row()).encode()), name)) == (1, 0, 0, 0)


def test_cut_packed_list(db: sqlite_utils.Database) -> None:
    packed = gzip.compress(text_of(row()).encode())
    report = load(db, packed[:-20])
    assert counts(report) == (0, 0, 0, 1)
    assert report.errors[0]["reason"].startswith("cannot be unpacked: ")


def test_line_ends_and_bare_carriage_returns(db: sqlite_utils.Database) -> None:
    text = text_of(row(description="one\r\\n\rtwo"), end="\r\n").replace("435", "4\r35")
    assert counts(load(db, text)) == (1, 0, 0, 0)
    assert (video(db)["title"], video(db)["description"]) == ("435", "one\ntwo")


def test_windows_1252_with_next_line_character(db: sqlite_utils.Database) -> None:
    columns = ["video_id", "trending_date", "title", "category_id"]
    columns += ["views", "likes", "dislikes", "comment_count"]
    text = text_of(row(title="Wait… what’s ???"), row(video_id="#NAME?"), columns=columns)
    report = load(db, text.encode("cp1252"))
    assert counts(report) == (1, 0, 0, 1)
    assert reasons(report) == ['video_id: "#NAME?" is no id of a YouTube video']
    assert video(db)["title"] == "Wait… what’s ???"
    assert [json.loads(one["metadata"]) for one in snapshots(db)] == [{"dislikes": 7}]


def test_byte_order_mark(db: sqlite_utils.Database) -> None:
    assert counts(load(db, b"\xef\xbb\xbf" + text_of(row()).encode())) == (1, 0, 0, 0)


def test_lost_id_is_reported_with_that_of_the_thumbnail(db: sqlite_utils.Database) -> None:
    report = load(db, text_of(row(), row(video_id="#NAME?", views="5")))
    assert report.errors[0]["id"] == "#NAME?"
    assert report.errors[0]["position"] == "row 2"
    assert reasons(report) == [
        'video_id: "#NAME?" is no id of a YouTube video; the thumbnail is that of -kTWIm7m4Uw'
    ]
    assert [one["video_id"] for one in snapshots(db)] == ["-kTWIm7m4Uw"]


@pytest.mark.parametrize(
    ("date", "reason"),
    [
        ("18.13.14", 'the date "18.13.14": month must be in 1..12'),
        ("18.31.02", 'the date "18.31.02": day is out of range for month'),
        ("100", 'the date "100" is neither year.day.month nor day.month'),
        ("", 'the date "" is neither year.day.month nor day.month'),
        ("26.0903jeumSTSzc", 'the date "26.0903jeumSTSzc" is neither year.day.month nor day.month'),
        ("13.09", 'the date "13.09": has no year, and neither has the file\'s name'),
    ],
)
def test_what_is_no_day_fails(db: sqlite_utils.Database, date: str, reason: str) -> None:
    report = load(db, text_of(row(trending_date=date), row()))
    assert counts(report) == (1, 0, 0, 1)
    assert reasons(report)[0].startswith(reason)


def older(*dates: str) -> str:
    """The older list: `date` is day.month, and a spreadsheet wrote 13.10 as 13.1."""
    columns = ["video_id", "title", "views", "likes", "dislikes", "comment_total", "date"]
    return text_of(
        *(row(date=date, comment_total="40", views=str(n)) for n, date in enumerate(dates, 100)),
        columns=columns,
    )


def test_day_and_month_take_the_year_of_the_file(db: sqlite_utils.Database) -> None:
    report = load(db, older("13.09", "30.09", "1.1", "13.1"), "USvideos_sep_oct_2017.csv")
    assert counts(report) == (4, 0, 0, 0)
    days = [(one["timestamp"][:10], one["views"], one["comments"]) for one in snapshots(db)]
    assert days == [
        ("2017-09-13", 100, 40),
        ("2017-09-30", 101, 40),
        ("2017-10-01", 102, 40),
        ("2017-10-13", 103, 40),
    ]


def test_month_that_may_be_january_or_october_fails(db: sqlite_utils.Database) -> None:
    report = load(db, older("13.1"), "USvideos_2017.csv")
    assert reasons(report) == ['the date "13.1": may be in January or in October']


def test_month_before_the_last_one_fails(db: sqlite_utils.Database) -> None:
    report = load(db, older("31.12", "01.01"), "USvideos_2017.csv")
    assert counts(report) == (1, 0, 0, 1)
    assert reasons(report) == [
        'the date "01.01": comes after a later month, so that its year is unclear'
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"views": "1,234"}, 'views: "1,234" is no whole number'),
        ({"likes": "-1"}, 'likes: "-1" is no whole number'),
        ({"comment_count": "9" * 19}, f'comment_count: "{"9" * 19}" is no whole number'),
        ({"dislikes": "٣"}, 'dislikes: "٣" is no whole number'),
        ({"ratings_disabled": "maybe"}, 'ratings_disabled: "maybe" is neither True nor False'),
    ],
)
def test_bad_value_fails(db: sqlite_utils.Database, changes: dict[str, str], reason: str) -> None:
    report = load(db, text_of(row(**changes), row()))
    assert counts(report) == (1, 0, 0, 1)
    assert reasons(report) == [reason]


def test_blank_numbers_are_unknown(db: sqlite_utils.Database) -> None:
    load(db, text_of(row(views="", likes="", dislikes="")))
    [found] = snapshots(db)
    assert (found["views"], found["likes"], found["engagement_rate"]) == (None, None, None)


def test_counts_that_are_switched_off_are_unknown(db: sqlite_utils.Database) -> None:
    off = {"comments_disabled": "TRUE", "ratings_disabled": "True"}
    load(
        db,
        text_of(
            row(**off, likes="0", comment_count="0", dislikes="0"),
            row(trending_date="18.02.02", **off),
        ),
    )
    without, with_counts = snapshots(db)
    assert (without["likes"], without["comments"], without["engagement_rate"]) == (None, None, 0)
    assert json.loads(without["metadata"])["ratings_disabled"] is True
    assert (with_counts["likes"], with_counts["comments"]) == (60, 40)


def test_unknown_columns_are_kept_with_the_snapshot(db: sqlite_utils.Database) -> None:
    text = text_of(row(**{'100% "odd"': "ä"}), columns=[*COLUMNS, '100% "odd"'])
    load(db, text)
    assert json.loads(snapshots(db)[0]["metadata"])['100% "odd"'] == "ä"


def test_rows_run_together_fail(db: sqlite_utils.Database) -> None:
    lines = text_of(row(), row(trending_date="18.02.02"), row(trending_date="18.03.02")).split("\n")
    text = "\n".join([lines[0], lines[1] + "," + lines[2], lines[3], ""])
    report = load(db, text)
    assert counts(report) == (1, 0, 0, 1)
    assert reasons(report) == ["has 32 cells where the header has 16"]


@pytest.mark.parametrize(
    ("cut", "reason"),
    [(8, "the file ends in the middle of this row"), (48, "has 13 cells where the header has 16")],
)
def test_cut_list(db: sqlite_utils.Database, cut: int, reason: str) -> None:
    report = load(db, text_of(row(), row(trending_date="18.02.02"))[:-cut])
    assert counts(report) == (1, 0, 0, 1)
    assert reasons(report) == [reason]


def test_other_file_is_no_list(db: sqlite_utils.Database, tmp_path: Path) -> None:
    report = load(db, "location,year,query\nx,2001,y\n")
    assert reasons(report) == ["is no youtube-trending list: it has no column video_id"]
    report = youtube_import.load(db, [tmp_path / "missing.csv"])
    assert counts(report) == (0, 0, 0, 1)
    assert "No such file" in reasons(report)[0]


def test_same_row_twice_is_skipped_and_another_fails(db: sqlite_utils.Database) -> None:
    report = load(db, text_of(row(), row(), row(likes="61")))
    assert counts(report) == (1, 0, 1, 1)
    assert report.errors == [
        {
            "source": report.errors[0]["source"],
            "position": "row 3",
            "id": "-kTWIm7m4Uw",
            "reason": "given twice with different content",
        }
    ]
    assert [one["likes"] for one in snapshots(db)] == [60]


@pytest.mark.parametrize(
    ("on_conflict", "expected", "likes"),
    [("skip", (1, 0, 2, 0), 60), ("update", (1, 1, 1, 0), 61), ("fail", (1, 0, 1, 1), 60)],
)
def test_stored_row_with_other_content(
    db: sqlite_utils.Database, on_conflict: str, expected: tuple[int, ...], likes: int
) -> None:
    load(db, text_of(row(), row(trending_date="18.02.02")))
    again = text_of(
        row(likes="61"), row(trending_date="18.02.02"), row(trending_date="18.03.02", likes="99")
    )
    report = load(db, again, on_conflict=on_conflict)
    assert counts(report) == expected
    assert [one["likes"] for one in snapshots(db)] == [likes, 60, 99]
    assert [one["likes"] for one in metrics.latest_metrics(db)] == [99]
    assert snapshots(db)[0]["engagement_rate"] == (likes + 40) / 1000
    assert (report.backup is not None) == (on_conflict == "update")


def test_stored_snapshot_is_known_again_however_its_time_is_spelt(
    db: sqlite_utils.Database,
) -> None:
    stored = {"video_id": ROW["video_id"], "platform": "youtube", "views": 1000, "likes": 60}
    stored |= {"comments": 40, "timestamp": "18.01.02"}
    stored["metadata"] = json.dumps(
        {"dislikes": 7, "mine": 1} | dict.fromkeys(youtube_csv.SWITCHES, False)
    )
    metrics.add_metrics(db, stored)
    assert counts(load(db, text_of(row()))) == (0, 0, 1, 0)
    assert video(db)["title"] == "435"


def test_latest_day_describes_the_video_whatever_the_order(db: sqlite_utils.Database) -> None:
    days = [("18.20.01", "middle"), ("18.01.02", "last"), ("17.31.12", "first")]
    load(db, text_of(*(row(trending_date=day, title=title) for day, title in days)))
    assert (video(db)["title"], video(db)["metadata"]["trending_date"]) == ("last", "2018-02-01")
    load(db, text_of(row(trending_date="18.19.01", title="earlier")))
    assert video(db)["title"] == "last"
    load(db, text_of(row(trending_date="18.03.02", title="later", tags="[none]")))
    assert (video(db)["title"], video(db)["metadata"]["tags"]) == ("later", [])
    found = db.execute(
        "select rowid from video_metadata_fts where video_metadata_fts match 'later'"
    )
    assert found.fetchall() == [(1,)]


def test_what_others_say_of_a_video_stays_unless_updated(db: sqlite_utils.Database) -> None:
    mine = {
        "video_id": ROW["video_id"],
        "title": "Mine",
        "topic": "nuts",
        "metadata": '{"mine": 1}',
    }
    metrics.add_metadata(db, mine)
    load(db, text_of(row()))
    assert (video(db)["title"], video(db)["metadata"]) == ("Mine", {"mine": 1})
    load(db, text_of(row(likes="61")), on_conflict="update")
    assert (video(db)["title"], video(db)["topic"]) == ("435", "nuts")
    assert video(db)["metadata"]["mine"] == 1
    assert video(db)["metadata"]["channel_title"] == "Señor Ñandú 🔥"


def test_categories_beside_the_list_come_first(db: sqlite_utils.Database, tmp_path: Path) -> None:
    items = [{"id": "24", "snippet": {"title": "Fun"}}]
    (tmp_path / "XXvideos.csv").with_name("XX_category_id.json").write_text(
        json.dumps({"items": items})
    )
    load(db, text_of(row()), "XXvideos.csv")
    assert video(db)["topic"] == "Fun"


def test_dry_run_reports_and_changes_nothing(db: sqlite_utils.Database) -> None:
    before = list(db.query("select type, name, sql from sqlite_master order by name"))
    assert counts(load(db, text_of(row(), row(views="x")), dry_run=True)) == (1, 0, 0, 1)
    assert snapshots(db) == []
    assert list(db.query("select type, name, sql from sqlite_master order by name")) == before


def test_first_import_leaves_the_schema_as_it_was(db: sqlite_utils.Database) -> None:
    before = list(db.query("select type, name, sql from sqlite_master order by name"))
    load(db, text_of(row()))
    assert list(db.query("select type, name, sql from sqlite_master order by name")) == before


def test_unknown_conflict_rule(db: sqlite_utils.Database) -> None:
    with pytest.raises(ValueError, match='must be one of skip, update, fail, not "merge"'):
        load(db, text_of(row()), on_conflict="merge")


def test_progress_is_told_of_every_row(db: sqlite_utils.Database) -> None:
    told: list[int] = []
    load(db, text_of(row(), row(), row(views="x")), progress=told.append)
    assert sum(told) == 3


LISTS = st.lists(
    st.builds(
        lambda video, day, likes: row(
            video_id=f"{video:011}", trending_date=f"18.{day:02}.01", likes=str(likes)
        ),
        st.integers(0, 3),
        st.integers(1, 5),
        st.integers(0, 2),
    ),
    max_size=15,
)


@examples(40)
@given(lists=st.lists(LISTS, min_size=1, max_size=3))
def test_any_lists_one_after_the_other(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[dict[str, str]]]
) -> None:
    """Each video and day once, as it came first; newest snapshots right; nothing added again."""
    folder = tmp_path_factory.mktemp("lists")
    first: dict[tuple[str, str], int] = {}
    with open_database("metrics", folder / "metrics.db") as db:
        for rows in lists:
            load(db, text_of(*rows))
            for one in rows:
                key = one["video_id"], f"2018-01-{one['trending_date'][3:5]}"
                first.setdefault(key, int(one["likes"]))
        stored = [(one["video_id"], one["timestamp"][:10], one["likes"]) for one in snapshots(db)]
        assert stored == [(*key, likes) for key, likes in sorted(first.items())]
        assert list(metrics.check(db.conn)) == []
        before = list(db.query("select * from video_metrics"))
        for rows in lists:
            assert load(db, text_of(*rows)).imported == 0
        assert list(db.query("select * from video_metrics")) == before
