"""Choosing formats, JSON, NDJSON, CSV, folders, and writing them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from loaders.formats import FORMATS, json_reader
from loaders.formats.files import detect_format, read, write
from loaders.formats.folder import write_folder
from loaders.formats.json_form import decode, encode
from loaders.formats.record import NOT_TEXT, FileRecord

TEXT_FIELDS = frozenset({"id", "job_name"})


def records(folder: Path, text: str | bytes, name: str, **options: object) -> list[FileRecord]:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read(path, **options))  # type: ignore[arg-type]


def outcome(found: list[FileRecord]) -> list[tuple[str, object]]:
    return [(record.position, record.error or record.value) for record in found]


# Formats


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.YML", "", "yaml"),
        ("a.jsonl", "", "ndjson"),
        ("a", "jobs:\n- id: a\n", "yaml"),
        ("a", "- id: a\n", "yaml"),
        ("a", "# by hand\n", "yaml"),
        ("a", "id: a, b\n", "yaml"),
        ("a", ' [{"id": 1}]', "json"),
        ("a", '{"id": 1}\n', "json"),
        ("a", '{"id": 1}\n{"id": 2}\n', "ndjson"),
        ("a", "\ufeffid,name\n1,b\n", "csv"),
        ("a.txt", "id,date: x\n", "csv"),
    ],
)
def test_the_format_of_a_file(tmp_path: Path, name: str, text: str, expected: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert detect_format(path) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"SQLite format 3\0 \0", "is a SQLite database, not one of yaml, json, ndjson, csv"),
        (b"\x89PNG\0", "is a binary file, not one of yaml, json, ndjson, csv"),
        (b"words only\n", "cannot detect the format"),
    ],
)
def test_a_format_that_is_none(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        detect_format(path)


def test_what_read_refuses_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "gone.yaml")
    with pytest.raises(ValueError, match='unknown format "xml": name one of yaml'):
        read(tmp_path, "xml")
    with pytest.raises(ValueError, match='unknown format "xml": name one of yaml'):
        write(tmp_path / "x", [], "xml")


# JSON

SHAPES = ["[%s]", '{"jobs": [%s]}', '{"version": {"a": [1]}, "jobs":[%s], "last": 1}', " [ %s ]\n"]


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_json(tmp_path: Path, shape: str) -> None:
    found = records(tmp_path, shape % '{"id": "a"} ,\n{"id": "b", "x": [1.5, null]}', "a.json")
    assert [position.split(" (")[0] for position, _ in outcome(found)] == ["job 1", "job 2"]
    assert [record.value for record in found] == [{"id": "a"}, {"id": "b", "x": [1.5, None]}]
    assert records(tmp_path, shape % "", "a.json") == []


def test_json_objects_without_a_list(tmp_path: Path) -> None:
    found = records(tmp_path, '{"id": 7,\n "x": {"jobs": 1}}\n\n{"id": 8}', "a.json")
    assert outcome(found) == [
        ("job 1 (line 1)", {"id": 7, "x": {"jobs": 1}}),
        ("job 2 (line 4)", {"id": 8}),
    ]
    found = records(tmp_path, '{"a": {"file_path": "jobs/a.yaml"}}', "a.json")
    assert [record.error for record in found] == ["is a manifest of job files: import their folder"]


BAD_OBJECTS = {
    '{"a": 1, "b": {"x": 1, "x": 2}}': 'duplicate key "x"',
    '{"a": "\\ud83d"}': "lone surrogate \\uD83D in a text",
    '{"\\uDE00": 1}': "lone surrogate \\uDE00 in a text",
    b'{"a": "caf\xe9"}': "contains bytes that are not valid UTF-8",
    '"text"': 'not an object but "text"',
    "[1, 2]": "not an object but [1, 2]",
    '{"a": ' + "9" * 5000 + "}": "an integer with more than 4,300 digits",
    '{"a": ' + "[" * 200 + "]" * 200 + "}": "nested deeper than 200 levels",
    '{"!!new": 1}': 'key "!!new" begins with "!!" but is not a documented form',
    '{"a": {"!!binary": "?"}}': 'key "!!binary" begins with "!!" but is not a documented form',
    '{"!!set": [1]}': 'not an object but {"!!set": [1]}',
    '{"!!int 1": 1, "!!int 01": 2}': 'key "!!int 01" begins with "!!" but is not a documented form',
    '{"a": {"!!set": [1, 1]}}': 'key "!!set" begins with "!!" but is not a documented form',
    '{"\\u0021!x y": 1}': 'key "!!x y" begins with "!!" but is not a documented form',
}


@pytest.mark.parametrize("bad", BAD_OBJECTS, ids=[str(n) for n in range(len(BAD_OBJECTS))])
@pytest.mark.parametrize("name", ["a.json", "a.ndjson"])
def test_a_bad_object_among_good_ones(tmp_path: Path, bad: str | bytes, name: str) -> None:
    raw = bad.encode() if isinstance(bad, str) else bad
    good, other = b'{"id": "\\ud83d\\ude00", "x": "\\u00e9"}', b'{"id": "b"}'
    if name == "a.json":
        text = b"[" + b",\n".join([good, raw, other]) + b"]"
        positions = ["job 1 (line 1)", "job 2 (line 2)", "job 3 (line 3)"]
    else:
        text = b"\n\n".join([good, raw, other])
        positions = ["line 1", "line 3", "line 5"]
    found = records(tmp_path, text, name)
    assert [record.value for record in found] == [{"id": "😀", "x": "é"}, None, {"id": "b"}]
    assert [record.position for record in found] == positions
    assert BAD_OBJECTS[bad] in str(found[1].error)


def test_json_numbers(tmp_path: Path) -> None:
    text = '{"a": NaN, "b": -Infinity, "c": 1e999, "d": 123456789012345678901234567890, "e": -0.0}'
    for name in ("a.json", "a.ndjson"):
        [record] = records(tmp_path, text, name)
        assert record.value == {
            "a": {"!!float": ".nan"},
            "b": {"!!float": "-.inf"},
            "c": {"!!float": ".inf"},
            "d": 123456789012345678901234567890,
            "e": -0.0,
        }


def test_json_text_fields_come_as_written(tmp_path: Path) -> None:
    text = '{"id": %s, "job_name": null, "x": 1.0, "y": {"id": 1.0}}'
    for written in ("12", "1.50", "1e3", "-0", "true", "NaN", '"text"'):
        for name in ("a.json", "a.ndjson"):
            [record] = records(tmp_path, text % written, name, text_fields=TEXT_FIELDS)
            expected = {"id": written.strip('"'), "job_name": None, "x": 1.0, "y": {"id": 1.0}}
            assert record.value == expected
    [record] = records(tmp_path, '{"id": [1]}', "a.json", text_fields=TEXT_FIELDS)
    assert record.value == {"id": [1]}


def test_the_documented_form_stays_in_json(tmp_path: Path) -> None:
    value = encode({"a": {1, "x"}, True: b"b", "!!x": float("inf"), 2.5: [("k", 1)]})
    for name in ("a.json", "a.ndjson"):
        [record] = records(tmp_path, json.dumps(value), name)
        assert record.value == value


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ('[{"id": 1}, {"id": 2', "job 2 (line 1)", "the file ends in the middle of this job"),
        ('[{"id": 1}, {"id": "tex', "job 2 (line 1)", "the file ends in the middle of this job"),
        ('[{"id": 1},\n', "job 2 (line 2)", "the file ends in the middle of this job"),
        ('[{"id": 1}\n', "line 2", "the file ends where , should follow"),
        ('{"jobs": [{"id": 1}', "line 1", "the file ends where , should follow"),
        ('{"jobs": [{"id": 1}]', "line 1", "the file ends where , should follow"),
        ('[{"id": 1},\n{"id": tru}, {"id": 3}] ' + " " * 20, "job 2 (line 2)", "line 2: Expecting"),
        ('[{"id": 1}\n{"id": 2}]', "line 2", "line 2: expected ,"),
        ('[{"id": 1}]\nwords', "line 2", "not an object or a list"),
    ],
)
def test_broken_json(tmp_path: Path, text: str, position: str, reason: str) -> None:
    found = records(tmp_path, text, "a.json")
    assert found[0].value == {"id": 1}
    assert [record.position for record in found[1:]] == [position]
    assert found[1].value is None
    assert str(found[1].error).startswith(reason)


def test_json_nested_too_deep_for_the_parser(tmp_path: Path) -> None:
    for name in ("a.json", "a.ndjson"):
        [record] = records(tmp_path, '{"a": ' + "[" * 100_000, name)
        assert record.error is not None
        assert "nested deeper than 200 levels" in record.error


def test_any_json_is_read_in_chunks_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [
        {"id": n, "t": "é\n" * n, "l": [n, n / 7, None, True, {}], "n": n * 10} for n in range(40)
    ]
    text = json.dumps({"a": [1, {"b": "x" * 50}], "jobs": items, "z": 1}, indent=1)
    expected = records(tmp_path, text, "a.json")
    assert [record.value for record in expected] == items
    for size in (1, 7, 64):
        monkeypatch.setattr(json_reader, "_CHUNK", size)
        assert records(tmp_path, text, "a.json") == expected


def test_a_json_buffer_holds_little(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"id": n, "x": "y" * 500} for n in range(5000)]), encoding="utf-8")
    with path.open(encoding="utf-8") as file:
        buffer = json_reader._Buffer(file)
        buffer.take("[")
        for _ in range(4999):
            buffer.value(json_reader._DECODER)
            buffer.take(",")
            assert len(buffer.text) < 1 << 18


# NDJSON


def test_ndjson_lines(tmp_path: Path) -> None:
    text = '\ufeff{"id": 1}\r\n\n  {"id": 2}  \n{"id": 3} x\n{"id": "\u2028\u0085"}\n{"id": 5'
    found = records(tmp_path, text, "a.ndjson")
    assert outcome(found) == [
        ("line 1", {"id": 1}),
        ("line 3", {"id": 2}),
        ("line 4", "Extra data: column 11"),
        ("line 5", {"id": "\u2028\u0085"}),
        ("line 6", "the file ends in the middle of this line (Expecting ',' delimiter: column 9)"),
    ]
    found = records(tmp_path, '{"id": "é"}\n'.encode("utf-16"), "a.ndjson")
    assert outcome(found) == [("line 1", {"id": "é"})]


@pytest.mark.parametrize("name", ["a.json", "a.ndjson", "a.csv", "a.yaml"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    assert outcome(records(tmp_path, "", name)) == [("line 1", "is empty")]


# CSV


def test_csv_cells_are_texts_and_blanks_are_absent(tmp_path: Path) -> None:
    text = '\ufeffid,n,note\r\n007,1e3,"a\r\nb,""c"""\r\n\r\nb,, x \r\n'
    assert outcome(records(tmp_path, text, "a.csv")) == [
        ("row 1 (line 3)", {"id": "007", "n": "1e3", "note": 'a\r\nb,"c"'}),
        ("row 2 (line 5)", {"id": "b", "note": " x "}),
    ]
    assert records(tmp_path, "id,name\n", "a.csv") == []


def test_csv_rows_that_are_wrong(tmp_path: Path) -> None:
    text = b'id,n\na,1\nb\nc,1,2\nd,caf\xe9\ne,"x"y\nf,2\ng,"open\n'
    found = records(tmp_path, text, "a.csv")
    assert [record.value for record in found if record.value] == [
        {"id": "a", "n": "1"},
        {"id": "f", "n": "2"},
    ]
    assert [record.error for record in found if record.error] == [
        "1 cells where the header has 2",
        "3 cells where the header has 2",
        NOT_TEXT,
        "',' expected after '\"'",
        "the file ends in the middle of this row (a quote is not closed)",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,x,id\n1,2,3\n", 'the header has "id" 2 times'),
        (
            b"caf\xe9\n1\n",
            NOT_TEXT,
        ),
    ],
)
def test_csv_headers_that_are_wrong(tmp_path: Path, text: str, reason: str) -> None:
    assert outcome(records(tmp_path, text, "a.csv")) == [("line 1", reason)]


def test_a_long_csv_cell(tmp_path: Path) -> None:
    [record] = records(tmp_path, "id\n" + "x" * 300_000 + "\n", "a.csv")
    assert record.value == {"id": "x" * 300_000}


# Folders


def test_a_folder_of_jobs(tmp_path: Path) -> None:
    files = {
        "b.yaml": "id: b\n",
        "a.yml": "job_name: no id\n",
        "broken.yaml": "id: 'x\n",
        "empty.yaml": "",
        "list.yaml": "- id: c\n",
        "jobs_manifest.yaml": "b: {file_path: jobs/b.yaml, enabled: true}\n",
        "notes.txt": "no job",
        "twice.yaml": "id: a\nid: b\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    found = {Path(record.source).name: record for record in read(tmp_path)}
    assert {name: record.value or record.error for name, record in found.items()} == {
        "a.yml": {"job_name": "no id"},
        "b.yaml": {"id": "b"},
        "broken.yaml": "the file ends in the middle of this job (line 2: while scanning a quoted "
        "scalar: found unexpected end of stream)",
        "empty.yaml": "is empty",
        "gone.yaml": "cannot be read: No such file or directory",
        "list.yaml": "contains a list, not a job",
        "twice.yaml": 'line 2: duplicate key "id"',
    }
    assert found["b.yaml"].position == "job 1 (line 1)"
    assert found["b.yaml"].source == str(tmp_path / "b.yaml")


def test_a_job_file_that_is_cut(tmp_path: Path) -> None:
    for name in ("a", "b", "d"):
        (tmp_path / f"{name}.yaml").write_text("id: a\nx: 1\ny: 2\n", encoding="utf-8")
    (tmp_path / "c.yaml").write_text("id: c\nx: 1", encoding="utf-8")
    (tmp_path / "e.yaml").write_text("id: by hand\n", encoding="utf-8")
    assert [record.error for record in read(tmp_path)] == [
        None, None, "the file ends in the middle of this job", None, None,
    ]  # fmt: skip


AWKWARD_IDS = [
    "a", "A", "../up", "..", ".", ".hidden", "dot.", "blank ", "con", "COM1.x", "a/b", "a\\b", 'q"',
    "100%", "%41", "<|>:*?", "tab\t\0", "", "x" * 300, "x" * 300 + "y", "日本" * 40, "é", "e\u0301",
    "straße", "STRASSE", 5, None, 2.5, "a~ca978112", "nul",
]  # fmt: skip


def test_a_folder_comes_back_whatever_the_ids(tmp_path: Path) -> None:
    jobs: list[Any] = [{"id": key, "n": number} for number, key in enumerate(AWKWARD_IDS)] + [
        {"n": -1}
    ]
    folder = tmp_path / "jobs"
    write_folder(folder, iter(jobs))
    names = [path.name for path in folder.iterdir()]
    assert len(names) == len(jobs)
    assert len({name.casefold() for name in names}) == len(jobs)
    assert all(len(name.encode()) <= 160 for name in names)
    assert not [name for name in names if set(name) & set('/\\:*?"<>|\t\0') or name[0] == "."]
    assert list(tmp_path.iterdir()) == [folder]
    found: list[Any] = [record.value for record in read(folder)]
    assert sorted(found, key=lambda value: value["n"]) == sorted(jobs, key=lambda job: job["n"])
    assert {"a.yaml", "%2E.%2Fup.yaml", "%2E%2E.yaml", "%63on.yaml", "blank%20.yaml"} <= set(names)


def test_a_folder_of_empty_and_tagged_records(tmp_path: Path) -> None:
    write_folder(tmp_path, [{"id": "a", "s": {"!!set": ["x"]}, "e": {}, "!!int 1": []}])
    text = (tmp_path / "a.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == {"id": "a", "s": {"x"}, "e": {}, 1: []}


# Writing

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(values=st.lists(st.dictionaries(st.text(max_size=5), plain, max_size=4), max_size=4))
@examples(60)
def test_lossless_formats_come_back_equal(
    tmp_path_factory: pytest.TempPathFactory, values: list[dict[str, object]]
) -> None:
    folder = tmp_path_factory.mktemp("out", numbered=True)
    stored: list[Any] = [encode(value) for value in values]
    for format_ in ("yaml", "json", "ndjson"):
        path = folder / f"out.{format_}"
        write(path, iter(stored), format_)
        found = list(read(path))
        assert [record.value for record in found] == stored
        assert [list(record.value or {}) for record in found] == [list(v) for v in stored]
        assert [decode(record.value) for record in found] == values


def test_how_files_look(tmp_path: Path) -> None:
    jobs = [{"id": "é", "l": [1, {"a": None}]}, {"x": "1e3"}]
    expected = {
        "yaml": "jobs:\n- id: é\n  l:\n  - 1\n  - a: null\n- x: '1e3'\n",
        "json": json.dumps({"jobs": jobs}, indent=2, ensure_ascii=False) + "\n",
        "ndjson": '{"id": "é", "l": [1, {"a": null}]}\n{"x": "1e3"}\n',
        "tsv": 'id\tl\tx\r\né\t"[1, {""a"": null}]"\t\r\n\t\t1e3\r\n',
        "csv": 'id,l,x\r\né,"[1, {""a"": null}]",\r\n,,1e3\r\n',
    }
    assert set(expected) == set(FORMATS)
    for format_, text in expected.items():
        path = tmp_path / format_
        write(path, iter(jobs), format_)
        assert path.read_bytes().decode() == text
    write(tmp_path / "none", [], "yaml", "items")
    assert (tmp_path / "none").read_text(encoding="utf-8") == "items: []\n"
    write(tmp_path / "none", [], "json", "items")
    assert json.loads((tmp_path / "none").read_text(encoding="utf-8")) == {"items": []}
    write(tmp_path / "none", [], "csv")
    assert (tmp_path / "none").read_bytes() == b"\r\n"


@given(rows=st.lists(st.dictionaries(st.sampled_from("abc"), st.text(), min_size=1), min_size=1))
@examples(60)
def test_csv_keeps_every_text(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("csv", numbered=True) / "a.csv"
    write(path, rows, "csv")
    assert [record.value for record in read(path)] == rows
