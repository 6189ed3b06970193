"""YAML that readers of version 1.1 and of version 1.2 take for the same."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from loaders.formats.json_form import check_text, encode, is_form
from loaders.formats.yaml_writer import scalar_text, yaml_document, yaml_list

CORE_SCHEMA_1_2 = re.compile(
    r"~|null|Null|NULL|true|True|TRUE|false|False|FALSE|[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)|"
)


@pytest.mark.parametrize(
    "text",
    [
        "1e3",
        "0o17",
        "y",
        "N",
        "no",
        "Yes",
        "ON",
        "off",
        "~",
        "null",
        "Null",
        "true",
        "12:30:45",
        "1:30",
        "2025-10-17",
        "007",
        "0x1F",
        "1_000",
        "1,000",
        ".5",
        "+1",
        "-1",
        ".inf",
        ".NaN",
        "1.",
        "1.5e3",
        "12e03",
        "0b1",
        "=",
        "<<",
        "-",
        "?",
        ":",
        "#",
        "&",
        "*",
        "!",
        "|",
        ">",
        "%",
        "@",
        "`",
        '"',
        "'",
        "[",
        "{",
        "}",
        "]",
        ",",
        "---",
        "...",
        "2025-10-17T10:00:00Z",
    ],
)
def test_texts_that_look_like_something_else_are_quoted(text: str) -> None:
    assert scalar_text(text)[0] in "'\""
    assert yaml.safe_load(scalar_text(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "two words",
        "7da7665eb95844fd",
        "http://x.y/z?q=1#top",
        "it's",
        "50% off",
        "é日本🔥",
        "a:b",
    ],
)
def test_plain_texts_stay_plain(text: str) -> None:
    assert scalar_text(text) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a\r\nb\n", r'"a\r\nb\n"'),
        ("\u0085\u2028\u2029", r'"\u0085\u2028\u2029"'),
        ("a\tb\0", r'"a\tb\u0000"'),
        ("\ufeff\x7f", r'"\ufeff\u007f"'),
        (" blank ", "' blank '"),
        ("key: value", "'key: value'"),
        ("a #b", "'a #b'"),
        ("end:", "'end:'"),
        ("", '""'),
    ],
)
def test_how_texts_are_quoted(text: str, written: str) -> None:
    assert scalar_text(text) == written


@given(st.text() | st.from_regex(CORE_SCHEMA_1_2, fullmatch=True))
def test_any_text_is_a_text_to_both_versions(text: str) -> None:
    written = scalar_text(text)
    assert "\n" not in written
    assert yaml.safe_load(f"- {written}\n") == [text]
    assert yaml.load(f"- {written}\n", yaml.CSafeLoader) == [text]
    if written == text:
        assert not CORE_SCHEMA_1_2.fullmatch(text)


def test_forms_become_yaml() -> None:
    record = {
        "set": {"!!set": ["a", 1, None, {"!!timestamp": "2025-01-01"}]},
        "omap": {"!!omap": [["a", [1, {"b": 2}]], [{"x": 1}, {}]]},
        "none": [{"!!set": []}, {"!!omap": []}],
        "!!int 1": {"!!float": "-.inf"},
        "!!timestamp 2025-01-01": {"!!binary": "YQ=="},
        "!!bool true": 1e22,
        "t": {"!!timestamp": "2025-1-1"},
        "!!str !!set": [[[], [1]], [{"k": {}}]],
        "!!unknown": {"!!binary": "?"},
        "k" * 2000: {"l" * 2000: [1]},
    }
    expected = """\
set: !!set
  ? a
  ? 1
  ? null
  ? 2025-01-01
omap: !!omap
  - ? a
    : - 1
      - b: 2
  - ? x: 1
    : {}
none:
- !!set {}
- !!omap []
1: -.inf
2025-01-01: !!binary "YQ=="
true: 1.0e+22
t: !!timestamp "2025-1-1"
'!!set':
- - []
  - - 1
- - k: {}
'!!unknown':
  '!!binary': '?'
"""
    text = yaml_document(record)
    assert text.startswith(expected)
    loaded = yaml.safe_load("".join(yaml_list([{"x": 1}], "a b")))
    assert loaded == {"a b": [{"x": 1}]}
    assert yaml.compose(text) is not None
    assert yaml_document({}) == "--- {}\n"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": "\ud800"}, "lone surrogate .uD800 in a text"),
        ({"\udfff": 1}, "lone surrogate .uDFFF in a text"),
        ([10**4300], "an integer with more than 4,300 digits"),
        (object(), "a value of type object cannot be stored"),
        ({(1, 2): 3}, "a list or a mapping as a key"),
    ],
)
def test_values_without_a_form(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode(value)


def test_deep_values_have_no_form() -> None:
    value: object = 1
    for _ in range(201):
        value = [value]
    with pytest.raises(ValueError, match="nested deeper than 200 levels"):
        encode(value)
    assert encode([[1]]) == [[1]]


@pytest.mark.parametrize(
    "value",
    [{"!!set": [[1]]}, {"!!float": "1"}, {"!!binary": "a"}, {"!!timestamp": "now"}, {"!!omap": [1]},
     {"!!set": [], "x": 1}, {"!!set": 5}, {"x": 1}, {}, []],
)  # fmt: skip
def test_what_is_no_form(value: object) -> None:
    assert not is_form(value)


def test_sets_have_one_order() -> None:
    assert encode({"b", "a", "c", 1}) == {"!!set": ["a", "b", "c", 1]}
    assert check_text("é") == "é"
