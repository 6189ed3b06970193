"""Reading YAML: every job that is good, every error with its place."""

import codecs
import tracemalloc
from datetime import timedelta, timezone
from pathlib import Path

import pytest
import yaml
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from loaders.formats import yaml_reader
from loaders.formats.files import read, write
from loaders.formats.json_form import decode, encode
from loaders.formats.record import FileRecord

TEXT_FIELDS = frozenset({"id", "job_name", "language", "hook"})


def records(folder: Path, text: str | bytes, **options: object) -> list[FileRecord]:
    path = folder / "jobs.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read(path, "yaml", **options))  # type: ignore[arg-type]


def values(folder: Path, text: str | bytes, **options: object) -> list[object]:
    found = records(folder, text, **options)
    assert [record.error for record in found] == [None] * len(found)
    return [record.value for record in found]


def outcome(found: list[FileRecord]) -> list[tuple[str, object]]:
    return [(record.position, record.error or record.value) for record in found]


@pytest.mark.parametrize(
    "text",
    [
        "jobs:\n- id: a\n- id: b\n",
        "jobs:\n  - id: a\n  - id: b",
        "- id: a\n-\n  id: b\n",
        "version: 2\nmeta: {x: [1]}\njobs:\n- id: a\n- id: b\nlast:\n- id: no job\n",
        "jobs: [{id: a}, {id: b}]\n",
        '{"jobs": [{"id": "a"}, {"id": "b"}]}',
        "# made by hand\r\njobs:\r\n- id: a\r\n- id: b\r\n",
        "--- \n- id: a\n---\njobs:\n- id: b\n...\n",
        "id: a\n---\nid: b\n",
        "list: &l\n- id: a\n- id: b\njobs: *l\n",
        "&root\njobs: !!seq\n- id: a\n- id: b\n",
    ],
)
def test_shapes_of_a_file(tmp_path: Path, text: str) -> None:
    assert values(tmp_path, text) == [{"id": "a"}, {"id": "b"}]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be"])
def test_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    text = "jobs:\n- id: é🔥\n- id: 'a\n- id: c\n"
    found = records(tmp_path, mark + text.encode(encoding))
    assert [record.value for record in found] == [{"id": "é🔥"}, None, {"id": "c"}]
    found = records(tmp_path, mark + text.encode(encoding)[:-3])
    if mark:  # cut inside of a character
        assert [record.error is None for record in found] == [True, False, False]
    found = records(tmp_path, mark + text.replace("'", "").encode(encoding))
    assert [record.value for record in found] == [{"id": "é🔥"}, {"id": "a"}, {"id": "c"}]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~\n", "\ufeff"])
def test_an_empty_file(tmp_path: Path, text: str) -> None:
    assert outcome(records(tmp_path, text)) == [("line 1", "is empty")]


@pytest.mark.parametrize("text", ["jobs:\n", "jobs: []\n", "[]\n", "jobs: null\nother: 1\n"])
def test_an_empty_list(tmp_path: Path, text: str) -> None:
    assert records(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("just words\n", "contains a single value, not a job"),
        ("jobs: {a: {id: a}}\n", '"jobs" is a mapping, not a list'),
        ("version: 3\n", 'has no "jobs" and is not a job'),
        ("a: {file_path: jobs/a.yaml}\n", "is a manifest of job files: import their folder"),
        ("- - - x: [\n", "the file ends in the middle of this job"),
    ],
)
def test_a_file_without_jobs(tmp_path: Path, text: str, reason: str) -> None:
    found = records(tmp_path, text)
    assert len(found) == 1
    assert found[0].value is None
    assert str(found[0].error).startswith(reason)


def test_another_list_key(tmp_path: Path) -> None:
    assert values(tmp_path, "jobs: 1\n'my list':\n- a: 1\n", list_key="my list") == [{"a": 1}]


def test_values_as_safe_load_gives_them(tmp_path: Path) -> None:
    text = r"""
    - {a: 007, b: 0x1F, c: 12:30:45, d: 1e3, e: 1.5e+3, f: no, g: On, h: ~, i: , j: 'no', k: "é\n"}
    - {a: 190:20:30.15, b: 0b11, c: 1_000, d: -.inf, e: +12, f: '', g: 1.0e+400, h: -0.0}
    - {a: 2025-10-17, b: 2025-10-17 14:03:22 +02:00, c: 2025-10-17T14:03:22.5Z}
    - {!!str a: !!str 12, b: !!int "7", c: !!float 5, d: !!binary R0lGOA==, e: !!null x, f: ! 12}
    - {a: !!set {x, 1, ~}, b: !!omap [x: 1, y: 2], c: !!pairs [x: 1, x: 2], d: !!set {}}
    - {on: a, 1: b, 2.5: c, ~: d, 2025-10-17: e, !!binary YQ==: f, '!!x': g, .inf: h}
    - text: |
        a
         b
      folded: >-
        c
        d
    """
    expected = yaml.safe_load(text)
    found = values(tmp_path, text)
    assert [decode(value) for value in found[:5]] == expected[:5]
    assert found[6] == expected[6]
    assert found[5] == {
        "!!bool true": "a",
        "!!int 1": "b",
        "!!float 2.5": "c",
        "!!null null": "d",
        "!!timestamp 2025-10-17": "e",
        "!!binary YQ==": "f",
        "!!str !!x": "g",
        "!!float .inf": "h",
    }
    assert found[2] == {
        "a": {"!!timestamp": "2025-10-17"},
        "b": {"!!timestamp": "2025-10-17 14:03:22 +02:00"},
        "c": {"!!timestamp": "2025-10-17T14:03:22.5Z"},
    }


def test_text_without_a_meaning_in_yaml_1_1_is_text(tmp_path: Path) -> None:
    assert values(tmp_path, "- {a: =, =: b, c: <<}\n") == [{"a": "=", "=": "b", "c": "<<"}]


def test_merge_keys(tmp_path: Path) -> None:
    text = """
    base: &base {x: 1, y: 2}
    more: &more {y: 3, z: 4}
    jobs:
    - {id: a, <<: *base, y: 5}
    - {id: b, <<: [*base, *more]}
    - {id: c, <<: {q: {<<: *more}}}
    - {<<: *base, <<: *more}\n"""
    expected = yaml.safe_load(text)["jobs"]
    found = values(tmp_path, text)
    assert found == expected
    assert [list(value) for value in found] == [list(value) for value in expected]


def test_text_fields_come_as_written(tmp_path: Path) -> None:
    written = ["no", "007", "1e3", "12:30:45", "2025-10-17 14:03:22", "0x1F", "1_0", ".nan", "<<"]
    text = "".join(f"- language: {item}\n  nested: {{language: 007}}\n" for item in written)
    found = values(tmp_path, text, text_fields=TEXT_FIELDS)
    assert found == [{"language": item, "nested": {"language": 7}} for item in written]
    text = "- {id: ~, hook: null, language: , job_name: 'null'}\n- {id: !!int 5, hook: [007]}\n"
    assert values(tmp_path, text, text_fields=TEXT_FIELDS) == [
        {"id": None, "hook": None, "language": None, "job_name": "null"},
        {"id": 5, "hook": [7]},  # as its tag says
    ]


def test_text_fields_behind_aliases_and_merges(tmp_path: Path) -> None:
    text = """
    defaults: &d {language: no, level: 007}
    code: &c 007
    jobs:
    - {<<: *d, id: *c, other: *c}
    - {id: &x 1e3, hook: *x, list: *d}\n"""
    assert values(tmp_path, text, text_fields=TEXT_FIELDS) == [
        {"language": "no", "level": 7, "id": "007", "other": 7},
        {"id": "1e3", "hook": "1e3", "list": {"language": False, "level": 7}},
    ]


def test_aliases_are_copies(tmp_path: Path) -> None:
    text = "- {id: a, list: &one [1, &two {x: 2}]}\n- {id: b, list: *one, y: *two, z: *two}\n"
    first, second = values(tmp_path, text)
    assert second == {"id": "b", "list": [1, {"x": 2}], "y": {"x": 2}, "z": {"x": 2}}
    second["y"]["x"] = second["list"][1]["x"] = 9
    assert first["list"] == [1, {"x": 2}]
    assert second["z"] == {"x": 2}


def test_a_job_shared_by_alias(tmp_path: Path) -> None:
    found = values(tmp_path, "jobs:\n- &id001\n  id: a\n- *id001\n")
    assert found == [{"id": "a"}, {"id": "a"}]
    assert found[0] is not found[1]


BAD_JOBS = {
    "- id: a\n  x: 1\n  x: 2\n": 'line 5: duplicate key "x"',
    "- {id: a, m: {q: 1, 'q': 2}}\n": 'line 3: duplicate key "q"',
    "- {0x10: a, 16: b}\n": 'line 3: duplicate key "!!int 16"',
    "- {x: !!set {a, a}}\n": 'line 3: duplicate key "a"',
    "- just text\n": "line 3: not a mapping but a single value",
    "-\n": "line 3: not a mapping but a single value",
    "- [1, [2]]\n": "line 3: not a mapping but a list",
    "- !!set {a}\n": "line 3: not a mapping but a mapping",
    "- {x: !!python/object:os.system ls}\n": "line 3: unknown tag python/object:os.system",
    "- {x: !foo [1, {a: 2}]}\n": "line 3: unknown tag !foo on a list",
    "- {x: !foo 1}\n": "line 3: unknown tag !foo",
    "- {x: !!str {}}\n": "line 3: unknown tag",
    "- {? [a, {b: c}] : x}\n": "line 3: a list as a key",
    "- {x: *nowhere}\n": "line 3: alias *nowhere without an anchor",
    "- {x: &x [1, *x]}\n": "line 3: alias *x inside its own anchor",
    "- &x {x: *x}\n": "line 3: alias *x inside its own anchor",
    "- {<<: [{a: 1}, 5]}\n": "line 3: a single value cannot be merged, only a mapping",
    "- {x: 2025-02-30}\n": 'line 3: "2025-02-30" is not a valid timestamp',
    "- {x: !!int abc}\n": 'line 3: "abc" is not a valid int',
    "- {x: !!omap [a]}\n": "line 3: an item of !!omap that is not a single pair",
    "- {x: " + "9" * 4301 + "}\n": "line 3: an integer with more than 4,300 digits",
    "- {x: 0x" + "f" * 4301 + "}\n": "line 3: an integer with more than 4,300 digits",
    "- {x: 1" + ":59" * 40_000 + "}\n": "line 3: an integer with more than 4,300 digits",
    "- {x: " + "[" * 201 + "]" * 201 + "}\n": "line 3: nested deeper than 200 levels",
    "- {x: " + "[" * 5001 + "]" * 5001 + "}\n": "line 3: nested deeper than 200 levels",
    '- x: "\\uD83D"\n': "line 3: lone surrogate \\uD83D, half of a character",
    "- x: a\x07b\n": "line 3: character U+0007: control characters are not allowed",
    "- x: a\x7fb\n": "line 3: character U+007F: control characters are not allowed",
    b"- x: a\n  y: caf\xe9 !\n": "line 4: not valid UTF-8 (invalid trailing UTF-8 octet)",
    b"- x: \xed\xa0\xbd\n": "line 3: lone surrogate \\uD83D, half of a character",
    "- x: a: b\n": "line 3: mapping values are not allowed in this context",
    "- x: 'open\n": "while scanning a quoted scalar: found unexpected end of stream",
    "- x: [1, 2\n  y: 3\n": "did not find expected ',' or ']'",
    "- x: 1\n y: 2\n": "did not find expected",
    "- x:\n\t- tab\n": "line 4: while scanning for the next token: found character that",
    "- x: 1\ny: 2\n  z: 3\n": "mapping values are not allowed in this context",
    "- x: 1\ny: 2\n": "contains a line outside the list",
    '- x: "bad \\q escape"\n': "line 3: while parsing a quoted scalar: found unknown escape",
    "- x: %percent\n": "line 3: while scanning for the next token: found character that",
}


@pytest.mark.parametrize("bad", BAD_JOBS, ids=[str(number) for number in range(len(BAD_JOBS))])
def test_one_bad_job_among_good_ones(tmp_path: Path, bad: str | bytes) -> None:
    raw = bad.encode() if isinstance(bad, str) else bad
    found = records(tmp_path, b"jobs:\n- id: first\n" + raw + b"- id: third\n- id: fourth\n")
    assert [record.value for record in found] == [
        {"id": "first"},
        None,
        {"id": "third"},
        {"id": "fourth"},
    ]
    after = 3 + raw.count(b"\n")
    assert [record.position for record in found] == [
        "job 1 (line 2)",
        "job 2 (line 3)",
        f"job 3 (line {after})",
        f"job 4 (line {after + 1})",
    ]
    assert BAD_JOBS[bad] in str(found[1].error)
    assert "\n" not in str(found[1].error)


@pytest.mark.parametrize("count", [1, 3])
def test_bad_jobs_in_a_bare_list_and_in_indented_lists(tmp_path: Path, count: int) -> None:
    items = '- id: a\n  tags:\n  - x\n- id: "\\uD83D"\n' * count + "- id: last\n"
    for head, pad in [("", ""), ("", "   "), ("jobs:\n", "  ")]:
        text = head + "".join(f"{pad}{line}\n" for line in items.splitlines())
        found = records(tmp_path, text)
        good = {"id": "a", "tags": ["x"]}
        assert [record.value for record in found] == [good, None] * count + [{"id": "last"}]


def test_good_jobs_before_a_bad_byte_come_once(tmp_path: Path) -> None:
    jobs = [f"- id: {number}\n  text: {'x' * 100}\n" for number in range(1, 1001)]
    for at in (0, 1, 500, 998, 999):
        text = "".join(jobs[:at]) + f"- id: {at + 1}\n  text: \x01\n" + "".join(jobs[at + 1 :])
        found = records(tmp_path, "jobs:\n" + text)
        assert [record.position for record in found] == [
            f"job {number} (line {number * 2})" for number in range(1, 1001)
        ]
        assert [number for number, record in enumerate(found) if record.error] == [at]
        assert all(record.value["id"] == n for n, record in enumerate(found, 1) if record.value)


def test_anchors_from_before_an_error_stay(tmp_path: Path) -> None:
    text = "base: &b {x: 1}\njobs:\n- &j {id: a}\n- id: 'open\n- {id: c, <<: *b}\n- *j\n"
    found = records(tmp_path, text)
    assert [record.value for record in found] == [
        {"id": "a"},
        None,
        {"id": "c", "x": 1},
        {"id": "a"},
    ]
    found = records(tmp_path, text.replace("'open", "\x01"))
    assert [record.value for record in found] == [
        {"id": "a"},
        None,
        {"id": "c", "x": 1},
        {"id": "a"},
    ]


def test_errors_in_several_documents(tmp_path: Path) -> None:
    text = "id: a\n---\nid: 'open\n---\njobs:\n- id: c\n- id: *x\n- id: ]\n- id: d\n"
    text += "...\n---\n- id: e\n"
    found = records(tmp_path, text)
    assert [record.value for record in found] == [
        {"id": "a"}, None, {"id": "c"}, None, None, {"id": "d"}, {"id": "e"},
    ]  # fmt: skip


def test_an_error_outside_of_the_list(tmp_path: Path) -> None:
    found = records(tmp_path, "meta: 'bad \x01'\njobs:\n- id: a\n")
    assert [record.value for record in found] == [None, {"id": "a"}]
    assert found[0].position == "line 1"
    found = records(tmp_path, "jobs:\n- id: a\n- id: b\nlast:\n- [\n- id: x\n")
    assert [record.value for record in found] == [{"id": "a"}, {"id": "b"}]


def test_the_first_item_is_broken(tmp_path: Path) -> None:
    for broken in ("-id: a\n", "id: a\n", "-\tid: [\n", "\n  words\n"):
        found = records(tmp_path, f"v: 1\njobs:\n{broken}- id: b\n- id: c\n")
        assert found[0].value is None
        assert [record.value for record in found[-2:]] == [{"id": "b"}, {"id": "c"}]


def test_a_line_that_lost_its_indentation(tmp_path: Path) -> None:
    lost = "- id: b\n  x: 1\ntags:\n- t1\n- t2\n  foo: bar\n"
    head, tail = "---\njobs:\n- id: a\n  x: 1\n", "- id: c\n  x: 1\n- id: d\nlast:\n- y: 1\n"
    assert outcome(records(tmp_path, head + lost + tail)) == [
        ("job 1 (line 3)", {"id": "a", "x": 1}),
        ("job 2 (line 5)", "contains a line outside the list"),
        ("job 3 (line 11)", {"id": "c", "x": 1}),
        ("job 4 (line 13)", {"id": "d"}),
    ]


def test_keys_behind_a_list_with_an_error(tmp_path: Path) -> None:
    text = "---\nmeta:\n- id: x\njobs:\n- id: *a\n- id: [\n- id: c\nversion: 2\nlast:\n- y: 1\n"
    found = records(tmp_path, text)
    assert [record.value for record in found] == [None, None, {"id": "c"}]
    assert [record.position for record in found][2] == "job 3 (line 7)"


def test_a_broken_list_in_flow_style_ends_there(tmp_path: Path) -> None:
    found = records(tmp_path, 'jobs: [{id: a},\n {id: "\\uD83D"},\n {id: c}]\n')
    assert [record.value for record in found] == [{"id": "a"}, None]
    assert "the rest of the file is not read" in str(found[1].error)


def bomb(levels: int, leaf: str) -> str:
    lines = [f"- id: bomb\n  a0: &a0 {leaf}\n"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, levels)]
    return "jobs:\n" + "".join(lines) + "- id: next\n"


@pytest.mark.parametrize(("levels", "leaf"), [(12, "[x]"), (5, "x" * 100_000), (300, "x")])
def test_an_alias_bomb(tmp_path: Path, levels: int, leaf: str) -> None:
    found = records(tmp_path, bomb(levels, leaf))
    assert found[0].value is None
    assert "aliases expand to over 1,000,000 nodes" in str(found[0].error)
    assert found[1].value == {"id": "next"}


def test_line_numbers_as_an_editor_counts_them(tmp_path: Path) -> None:
    text = "jobs:\n- id: 'a\u2028  b'\n- id: 'c\u0085'\n- id: d\r  x: 1\n- {id: e, id: f}\n"
    found = records(tmp_path, text)
    assert found[3].position == "job 4 (line 5)"
    assert found[3].error == 'line 5: duplicate key "id"'


def job(number: int, keys: int, tail: str = "") -> str:
    return f"- id: j{number}\n" + "".join(f"  k{key}: v{key}\n" for key in range(keys)) + tail


@pytest.mark.parametrize("keys", [5, 30])
def test_a_file_cut_anywhere(tmp_path: Path, keys: int) -> None:
    whole = "jobs:\n" + "".join(job(number, keys) for number in range(1, 6))
    good = values(tmp_path, whole)
    starts = [at for at in range(len(whole)) if whole.startswith("- id", at)]
    for at in range(starts[2] + 3, len(whole)):
        found = records(tmp_path, whole[:at])
        complete = [record.value for record in found if record.error is None]
        if at in starts:
            assert complete == good[: starts.index(at)]
        elif keys == 30 or whole[at - 1] != "\n":
            # a shorter last value of a small file is the one thing that cannot be seen
            last_value = keys == 5 and whole[:at].rpartition("\n")[2].startswith("  k4:")
            if not last_value and complete == good[: len(complete)] and len(found) > len(complete):
                assert found[-1].error is not None
                assert "the file ends in the middle of this job" in found[-1].error
            else:
                assert last_value


def test_a_file_by_hand_needs_no_last_line_break(tmp_path: Path) -> None:
    text = job(1, 3) + job(2, 4) + job(3, 3, "  more: 1")
    assert [value["id"] for value in values(tmp_path, text)] == ["j1", "j2", "j3"]
    assert values(tmp_path, job(1, 25) + "- id: x\n")[-1] == {"id": "x"}


def test_a_cut_before_a_common_key(tmp_path: Path) -> None:
    found = records(tmp_path, job(1, 3) + job(2, 4) + "- id: j3\n  k0: v0")
    assert outcome(found)[-1] == ("job 3 (line 10)", "the file ends in the middle of this job")
    found = records(tmp_path, job(1, 30) + job(2, 31) + "- id: j3\n  k0: v0\n")
    assert outcome(found)[-1] == ("job 3 (line 64)", "the file ends in the middle of this job")


def test_the_parser_in_python_does_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml_reader, "LOADER", yaml.SafeLoader)
    found = records(tmp_path, 'jobs:\n- id: "\\uD83D"\n- id: é\n- id: [\n- id: "a\\0"\n')
    assert [record.value for record in found] == [None, {"id": "é"}, None, {"id": "a\0"}]
    assert found[0].error == "line 2: lone surrogate \\uD83D in a text"


@pytest.mark.parametrize("bad", ["", "- id: 'open\n"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, bad: str) -> None:
    def peak(jobs: int) -> int:
        path = tmp_path / f"{jobs}.yaml"
        text = "  x: &x text\n  y: *x\n"
        with path.open("w", encoding="utf-8") as file:
            file.write(bad)
            file.writelines(
                f"- id: {number}\n  a: unique {number}\n{text}" for number in range(jobs)
            )
        tracemalloc.start()
        assert sum(1 for _ in read(path)) == jobs + bool(bad)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(10)
    assert peak(4000) < peak(1000) + 750_000


texts = st.text(max_size=20) | st.sampled_from(
    ["no", "y", "1e3", "0o17", "12:30", "2025-01-01", " a ", "a\n b\n", "\x85", "\u2028x", "a: b",
     "#", "- a", "!!set", "!!int 1", "null", "~", "", "=", "<<", "1,000", "\t", "a\r\nb", "\0",
     "🔥", "x" * 1500, "\ufeff", "'", '"', "\\", "---", "...", ".inf", "0x1f", "1_0", "%a", "@"]
)  # fmt: skip
zones = st.integers(-14 * 60, 14 * 60).map(lambda n: timezone(timedelta(minutes=n)))
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
    | st.dates() | st.datetimes(timezones=st.none() | zones) | st.binary(max_size=20)
)  # fmt: skip
keys = texts | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False) | st.dates()
nested = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(keys, inner, max_size=4)
        | st.sets(texts | st.integers(), max_size=3)
    ),
    max_leaves=20,
)
jobs = st.dictionaries(keys, nested, max_size=5)


@given(documents=st.lists(jobs, min_size=1, max_size=4), style=st.sampled_from([None, False, True]))
@examples(150)
def test_any_document_comes_back_equal(
    tmp_path_factory: pytest.TempPathFactory, documents: list[object], style: bool | None
) -> None:
    folder = tmp_path_factory.mktemp("round", numbered=True)
    source, target = folder / "in.yaml", folder / "out.yaml"
    text = yaml.safe_dump({"jobs": documents}, default_flow_style=style, sort_keys=False)
    source.write_text(text, encoding="utf-8", newline="")
    expected = yaml.safe_load(text)["jobs"]
    found = list(read(source))
    assert [record.error for record in found] == [None] * len(documents)
    read_values = [record.value for record in found if record.value is not None]
    assert [decode(value) for value in read_values] == expected
    write(target, read_values, "yaml")
    again = target.read_text(encoding="utf-8")
    assert yaml.safe_load(again)["jobs"] == expected
    assert yaml.load(again, yaml.CSafeLoader)["jobs"] == expected
    assert [record.value for record in read(target)] == read_values


@given(value=nested)
@examples(200)
def test_decode_reverses_encode(value: object) -> None:
    assert decode(encode(value)) == value


@given(texts=st.lists(texts, max_size=5))
@examples(100)
def test_any_text_of_a_text_field_survives(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("texts", numbered=True) / "t.yaml"
    write(path, [{"id": text} for text in texts], "yaml")
    assert [record.value for record in read(path, None, TEXT_FIELDS)] == [
        {"id": text} for text in texts
    ]
