"""How the columns of a campaign job follow from its `data`: SQL, defined once for all who need it.

The triggers, the view `jobs_projection` (which `dailies check` compares with the columns), bulk
imports and the upgrade of old files all take it from here.
"""

from __future__ import annotations

from typing import NamedTuple

from loaders.times import NOW_SQL


class Field(NamedTuple):
    """A column, the keys of `data` that it is taken from (first wins), its kind and its default."""

    column: str
    keys: tuple[str, ...]
    kind: str  # text, boolean or time
    default: str | None = None  # SQL


FIELDS = (
    Field("job_name", ("job_name",), "text"),
    Field("product", ("product",), "text"),
    Field("persona", ("persona",), "text"),
    Field("setting", ("setting",), "text"),
    Field("emotion", ("emotion",), "text"),
    Field("hook", ("hook",), "text"),
    Field("elevenlabs_voice_id", ("elevenlabs_voice_id",), "text"),
    Field("language", ("language",), "text", "'English'"),
    Field("brand_name", ("brand_name",), "text"),
    Field("enabled", ("enabled",), "boolean", "1"),
    Field("created_at", ("created_at",), "time", NOW_SQL),
    Field("updated_at", ("updated_at",), "time", NOW_SQL),
    Field("campaign_type", ("campaign_type", "campaignType"), "text"),
    Field("avatar_id", ("avatar_id", "avatarId"), "text"),
    Field("script_id", ("script_id", "scriptId"), "text"),
    Field("avatar_video_path", ("avatar_video_path", "avatarVideo"), "text"),
    Field("script_file", ("script_file", "scriptFile", "example_script_file"), "text"),
    Field("use_overlay", ("use_overlay", "useOverlay"), "boolean", "0"),
    Field("automated_video_editing_enabled", ("automated_video_editing_enabled",), "boolean", "1"),
    Field("useExactScript", ("useExactScript",), "boolean", "0"),
)


COLUMNS = tuple(field.column for field in FIELDS)


TIMES = tuple(field.column for field in FIELDS if field.kind == "time")


SEARCHED = ("job_name", "product", "persona", "setting", "emotion", "hook", "brand_name")


BROKEN_RULES = {
    "job_name": ("job_name is null", "a job needs a name"),
    **{
        field.column: (f"{field.column} not in (0, 1)", "must be true or false (1 or 0)")
        for field in FIELDS
        if field.kind == "boolean"
    },
}


WITHOUT_NUL = "document"  # what bulk imports call a document in which no text holds a NUL

# What the upgrade calls the array of all the values it needs of such a document, which is long: one
# look finds them. Silent and null are the same in it.
EXTRACT = "extract"
KEYS = ("id", *(key for field in FIELDS for key in field.keys))


def extract_of(document: str) -> str:
    paths = ", ".join(f"'$.{key}'" for key in KEYS)
    return f"json_extract({document}, {paths})"


def path_in(document: str, key: str) -> str:
    return f"'$[{KEYS.index(key)}]'" if document == EXTRACT else f"'$.{key}'"


def kind_of(document: str, key: str) -> str:
    return f"json_type({document}, {path_in(document, key)})"


def said(document: str, field: Field) -> str:
    """SQL: does `document` say anything about the field, be it null?"""
    return "(" + " or ".join(f"{kind_of(document, key)} is not null" for key in field.keys) + ")"


def spoken(document: str, key: str) -> str:
    """SQL: the kind, or an empty text where `document` is silent: most are, on most keys."""
    return f"coalesce({kind_of(document, key)}, '')"


def text_of(document: str, key: str, default: str = "null") -> str:
    """SQL: text as it is, null as null, anything else as its JSON text; `default` where silent.

    SQLite's JSON functions end a text at its first NUL: a stand-in takes its place meanwhile.
    """
    path = path_in(document, key)
    text = f"{document} ->> {path}"
    if document not in (WITHOUT_NUL, EXTRACT):
        stand_in = f"replace(replace({document}, '\\\\', '\\u005c'), '\\u0000', '\\ue0f0')"
        text = f"""case instr({document} -> {path}, '\\u0000')
          when 0 then {text}
          else replace({stand_in} ->> {path}, char(57584), char(0)) end"""
    return f"""case {spoken(document, key)}
        when 'text' then {text}
        when '' then {default}
        when 'null' then null
        else {document} -> {path} end"""


def boolean_of(document: str, key: str, default: str = "null") -> str:
    """SQL: 1 or 0, also for the words that forms send; what is neither stays as it is."""
    value = f"{document} ->> {path_in(document, key)}"
    return f"""case {spoken(document, key)}
        when 'true' then 1
        when 'false' then 0
        when '' then {default}
        when 'null' then null
        when 'text' then case lower(trim({value}))
          when 'true' then 1 when 'yes' then 1 when 'on' then 1 when '1' then 1
          when 'false' then 0 when 'no' then 0 when 'off' then 0 when '0' then 0
          when '' then null
          else {value} end
        else {value} end"""


def instant_of(text: str) -> str:
    """SQL: the instant that a text names, in our form; without a zone it is UTC; else the text.

    Ten digits are seconds of the epoch and thirteen its milliseconds.
    """
    digits = "[0-9]" * 10
    return f"""case
          when {text} glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
            then coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', upper({text})), {text})
          when {text} glob '{digits}' or {text} glob '{digits}.*'
            then strftime('%Y-%m-%dT%H:%M:%fZ', {text}, 'unixepoch')
          when {text} glob '{digits}[0-9][0-9][0-9]'
            then strftime('%Y-%m-%dT%H:%M:%fZ', {text} / 1000.0, 'unixepoch')
          else {text} end"""


def time_of(document: str, key: str, default: str = "null") -> str:
    """SQL: the instant, or the text where it names none; `default` where silent or null."""
    value = f"({document} ->> {path_in(document, key)})"
    return f"""case {value} is null
        when true then {default}
        else {instant_of(value)} end"""


VALUE_OF = {"text": text_of, "boolean": boolean_of, "time": time_of}


def projected(document: str, field: Field) -> str:
    """SQL: the column's value as `document` has it; the default where it is silent."""
    default = field.default or "null"
    if len(field.keys) == 1:
        return VALUE_OF[field.kind](document, field.keys[0], default)
    values = ",\n      ".join(VALUE_OF[field.kind](document, key) for key in field.keys)
    if field.default is None:
        return f"coalesce({values})"
    return f"case when {said(document, field)} then coalesce({values}) else {default} end"


def projection_of(document: str) -> str:
    """SQL: every projected column of a JSON document, as a list for `select`."""
    return ",\n  ".join(f"{projected(document, field)} as {field.column}" for field in FIELDS)


def json_value(field: Field, value: str) -> str:
    """SQL: the JSON text of a column's value."""
    if field.kind == "boolean":
        return f"case {value} when 1 then 'true' when 0 then 'false' else json_quote({value}) end"
    return f"json_quote({value})"


CREATE_PROJECTION = f"""
create view jobs_projection as
select
  jobs.rowid as job_rowid,
  {projection_of("jobs.data")}
from jobs
"""
