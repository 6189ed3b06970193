"""The schema of `campaigns`: `jobs`, its search index, its history, and what keeps them in step.

`jobs.data` holds the complete job as JSON and is the truth; the other columns are its projection.
Triggers hold the two together whoever writes. The projection is defined once, by `FIELDS`, and
serves the triggers, the view `jobs_projection` (which `dailies check` compares with the columns),
bulk imports and the upgrade of old files.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from sqlite_utils import Database, Migrations

from loaders.migrations.bookkeeping import create_bookkeeping
from loaders.times import NOW_SQL

migrations = Migrations("campaigns")


# The instant at which the job called {row} was created; a text that is no time stays what it is.
CREATED_INSTANT = """case
    when {row}.created_at glob '[0-9]*-*'
      then coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', {row}.created_at), {row}.created_at)
    else {row}.created_at end"""


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
SEARCHED = ("job_name", "product", "persona", "setting", "emotion", "hook", "brand_name")
INDEXED = (
    "enabled",
    "product",
    "persona",
    "language",
    "created_at",
    "job_name",
    "campaign_type",
    "avatar_id",
    "script_id",
    "use_overlay",
)
# `VACUUM` keeps row numbers, which the search index refers to, only while a table has an index.


WITHOUT_NUL = "document"  # what bulk imports call a document in which no text holds a NUL


def kind_of(document: str, key: str) -> str:
    return f"json_type({document}, '$.{key}')"


def said(document: str, field: Field) -> str:
    """SQL: does `document` say anything about the field, be it null?"""
    return "(" + " or ".join(f"{kind_of(document, key)} is not null" for key in field.keys) + ")"


def text_of(document: str, key: str, default: str = "null") -> str:
    """SQL: text as it is, null as null, anything else as its JSON text; `default` where silent.

    SQLite's JSON functions end a text at its first NUL: a stand-in takes its place meanwhile.
    """
    path = f"'$.{key}'"
    if document == WITHOUT_NUL:
        return f"""case {kind_of(document, key)}
        when 'text' then {document} ->> {path}
        when 'null' then null
        else coalesce({document} -> {path}, {default}) end"""
    stand_in = f"replace(replace({document}, '\\\\', '\\u005c'), '\\u0000', '\\ue0f0')"
    return f"""case {kind_of(document, key)}
        when 'text' then case instr({document} -> {path}, '\\u0000')
          when 0 then {document} ->> {path}
          else replace({stand_in} ->> {path}, char(57584), char(0)) end
        when 'null' then null
        else coalesce({document} -> {path}, {default}) end"""


def boolean_of(document: str, key: str, default: str = "null") -> str:
    """SQL: 1 or 0, also for the words that forms send; what is neither stays as it is."""
    value = f"{document} ->> '$.{key}'"
    return f"""case {kind_of(document, key)}
        when 'true' then 1
        when 'false' then 0
        when 'null' then null
        when 'text' then case lower(trim({value}))
          when 'true' then 1 when 'yes' then 1 when 'on' then 1 when '1' then 1
          when 'false' then 0 when 'no' then 0 when 'off' then 0 when '0' then 0
          when '' then null
          else {value} end
        else coalesce({value}, {default}) end"""


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
    value = f"({document} ->> '$.{key}')"
    return f"coalesce({instant_of(value)}, {default})"


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


def json_value(field: Field, value: str) -> str:
    """SQL: the JSON text of a column's value."""
    if field.kind == "boolean":
        return f"case {value} when 1 then 'true' when 0 then 'false' else json_quote({value}) end"
    return f"json_quote({value})"


def effective_path(field: Field) -> str:
    """SQL: the path in `new.data` under which a column's value stands or belongs."""
    if len(field.keys) == 1:
        return f"'$.{field.keys[0]}'"
    spoken = [
        f"when coalesce({kind_of('new.data', key)}, 'null') <> 'null' then '$.{key}'"
        for key in field.keys
    ]
    mentioned = [
        f"when {kind_of('new.data', key)} is not null then '$.{key}'" for key in field.keys
    ]
    return "case " + " ".join(spoken + mentioned) + f" else '$.{field.keys[0]}' end"


class Gain(NamedTuple):
    """What `data` takes over from a column: when, where, and the JSON text."""

    condition: str
    path: str
    value: str


ID_DIFFERS = f"({text_of('new.data', 'id')}) is not new.id"


def gains_of_insert() -> list[Gain]:
    return [gain_of_insert("new", field) for field in FIELDS]


def gain_of_insert(row: str, field: Field) -> Gain:
    """A value counts as said by its column when it is not null and, beside a `data`, no default."""
    column = f"{row}.{field.column}"
    return Gain(
        f"({column} is not null and not {said(f'{row}.data', field)}"
        f" and ({row}.data is null or {column} is not {field.default or 'null'}))",
        f"'$.{field.keys[0]}'",
        json_value(field, column),
    )


def set_again(field: Field) -> str:
    """SQL: did this statement set the column to the value that it had? See `jobs_bu_*`."""
    return f"instr((select set_again from jobs_set_again), '{field.column};') > 0"


def gains_of_update() -> list[Gain]:
    gains = []
    for field in FIELDS:
        column = f"new.{field.column}"
        changed = f"{column} is not old.{field.column}"
        silent = f"not {said('new.data', field)}"
        condition = (
            f"(({changed} and (new.data is old.data or ({column} is not null and {silent})))"
            f" or ({column} is not null and (new.data is null or {set_again(field)})))"
        )
        gains.append(Gain(condition, effective_path(field), json_value(field, column)))
        if len(field.keys) > 1:
            gains += [
                Gain(
                    f"({changed} and new.data is old.data and {column} is null"
                    f" and {kind_of('new.data', key)} is not null)",
                    f"'$.{key}'",
                    "'null'",
                )
                for key in field.keys
            ]
    columns_changed = " or ".join(
        f"new.{column} is not old.{column}" for column in COLUMNS if column != "updated_at"
    )
    stamp = (
        "(new.data is old.data and new.updated_at is old.updated_at"
        f" and {kind_of('new.data', 'updated_at')} is not null and ({columns_changed}))"
    )
    gains.append(Gain(stamp, "'$.updated_at'", f"json_quote({NOW_SQL})"))
    return gains


def gain_statement(gains: list[Gain]) -> str:
    """SQL: `data` gains what only the columns say; untouched, to the letter, where that is nothing.

    A gain that does not apply sets the id again, which is harmless.
    """
    pairs = ",\n        ".join(
        f"case when {gain.condition} then {gain.path} else '$.id' end,\n"
        f"        json(case when {gain.condition} then {gain.value} else json_quote(new.id) end)"
        for gain in gains
    )
    conditions = "\n        or ".join(gain.condition for gain in gains)
    return f"""
    update jobs
    set data = json_set(
        coalesce(new.data, '{{}}'),
        '$.id', new.id,
        {pairs}
      )
    where rowid = new.rowid
      and (new.data is null or {ID_DIFFERS}
        or {conditions});"""


def project_statement(times_changed: dict[str, str]) -> str:
    """SQL: the columns follow `data`. A time stays as it was written to its column

    unless the condition in `times_changed` says that `data` brought another.
    """
    times = [field for field in FIELDS if field.kind == "time"]
    others = [field.column for field in FIELDS if field.kind != "time"]
    assignments = "".join(
        f""",
      {field.column} = case
        when {times_changed[field.column]} then {projected("new.data", field)}
        else coalesce(new.{field.column}, {field.default}) end"""
        for field in times
    )
    return f"""
    update jobs
    set ({", ".join(others)}) = (
        select {", ".join(others)}
        from jobs_projection
        where jobs_projection.job_rowid = new.rowid
      ){assignments}
    where rowid = new.rowid;"""


TIMES = tuple(field.column for field in FIELDS if field.kind == "time")
PROJECT_INSERTED = project_statement(
    {column: f"(new.data ->> '$.{column}') is not null" for column in TIMES}
)
PROJECT_UPDATED = project_statement(
    {
        column: f"(new.data ->> '$.{column}') is not null"
        f" and (new.data ->> '$.{column}') is not (old.data ->> '$.{column}')"
        for column in TIMES
    }
)

BROKEN_RULES = {
    "job_name": ("job_name is null", "a job needs a name"),
    **{
        field.column: (f"{field.column} not in (0, 1)", "must be true or false (1 or 0)")
        for field in FIELDS
        if field.kind == "boolean"
    },
}


def refuse_statements(unless: str = "") -> str:
    """SQL: refuse a value that breaks a rule; `unless` may excuse one that an old row brought."""
    return "".join(
        f"""
    select raise(abort, 'jobs.{column}: {message}')
    from jobs
    where rowid = new.rowid
      and {broken}{unless.format(column=column)};"""
        for column, (broken, message) in BROKEN_RULES.items()
    )


# 1 while a trigger of ours puts a row right, 2 while a loader does by the batch what triggers do.
NOT_PAUSED = "coalesce((select paused from write_context), 0) = 0"
PAUSE = "update write_context set paused = 1;"
RESUME = "update write_context set paused = 0;"

INDEX_STATEMENT = f"""
    insert into jobs_fts (rowid, {", ".join(SEARCHED)})
    select rowid, {", ".join(SEARCHED)}
    from jobs
    where rowid = new.rowid;"""


def unindex_statement(source: str, prefix: str = "") -> str:
    """SQL: take a row out of the search index, which needs the very values that went in."""
    values = ", ".join(f"{prefix}{column}" for column in SEARCHED)
    return f"""
    insert into jobs_fts (jobs_fts, rowid, {", ".join(SEARCHED)})
    select 'delete', {prefix}rowid, {values}
    {source};"""


def history_statement(job: str, operation: str, data: str, source: str) -> str:
    """SQL: one row of history for `job`, numbered after its last; `operation` is SQL."""
    return f"""
    insert into job_history (job_id, version, operation, actor, changed_at, data)
    select
      {job},
      coalesce((select max(version) from job_history where job_id = {job}), 0) + 1,
      {operation},
      (select actor from write_context),
      {NOW_SQL},
      {data}
    {source};"""


REFUSE_DATA = """
    select raise(abort, 'jobs.id: a job needs an id')
    where new.id is null or new.id = '';
    select raise(abort, 'jobs.data: must be a JSON object')
    where new.data is not null
      and (not json_valid(new.data) or json_type(new.data) <> 'object');"""

KEPT = (*SEARCHED, "language", "enabled", "created_at")
KEEP_REPLACED = f"""
    delete from jobs_replaced where true;
    insert into jobs_replaced (job_rowid, id, data, {", ".join(KEPT)})
    select rowid, id, data, {", ".join(KEPT)}
    from jobs
    where id = new.id;"""

# What statistics count by. `day` is the one on which a job was created.
COUNTED = {
    "product": "{row}.product",
    "persona": "{row}.persona",
    "language": "{row}.language",
    "day": "case when {instant} glob '[0-9][0-9][0-9][0-9]-*' then substr({instant}, 1, 10) end",
    "all": "''",
}


def counted(row: str, field: str) -> str:
    """SQL: the value of `row` that a job is counted under."""
    return COUNTED[field].format(row=row, instant=CREATED_INSTANT.format(row=row))


def count_statements(row: str, sign: str) -> str:
    """SQL: count the job of `row` in, or out, under each of its values.

    A count may be below zero for a moment: SQLite does not say which trigger comes first.
    """
    values = " union all ".join(
        f"select '{field}' as field, {counted(row, field)} as value" for field in COUNTED
    )
    add = f"""
  insert into job_counts (field, value, jobs, enabled_jobs)
  select field, value, 0, 0
  from ({values}) as counted
  where not exists (
      select 1
      from job_counts
      where job_counts.field = counted.field
        and job_counts.value is counted.value
    );"""
    change = "".join(
        f"""
  update job_counts
  set
    jobs = jobs {sign} 1,
    enabled_jobs = enabled_jobs {sign} ({row}.enabled is 1)
  where field = '{field}'
    and value is {counted(row, field)};"""
        for field in COUNTED
    )
    return add + change


def count_out_replaced(condition: str) -> str:
    """SQL: count out a job that `or replace` removed without telling a delete trigger."""
    gone = f"from jobs_replaced as gone where gone.id = new.id and gone.removed = 0 and {condition}"
    return "".join(
        f"""
    update job_counts
    set
      jobs = jobs - 1,
      enabled_jobs = enabled_jobs - (select gone.enabled is 1 {gone})
    where field = '{field}'
      and value is (select {counted("gone", field)} {gone})
      and exists (select 1 {gone});"""
        for field in COUNTED
    )


def unindex_replaced(condition: str = "true") -> str:
    """SQL: forget what `or replace` removed in counts and search, unless a delete trigger has.

    Such a trigger logged a delete as well, which is no change of its own: the replacement is one.
    """
    return f"""
    {count_out_replaced(condition)}
    insert into jobs_fts (jobs_fts, rowid, {", ".join(SEARCHED)})
    select 'delete', job_rowid, {", ".join(SEARCHED)}
    from jobs_replaced
    where id = new.id
      and removed = 0
      and {condition};
    delete from job_history
    where id = (select max(id) from job_history where job_id = new.id)
      and operation = 'delete'
      and exists (select 1 from jobs_replaced where id = new.id and removed = 1)
      and {condition};"""


REPLACED = "exists (select 1 from jobs_replaced where id = new.id)"

# `insert or replace` removes a row without telling delete triggers unless recursive_triggers is on.
# What is about to be replaced is therefore kept aside until the insert has happened.
JOBS_BI = f"""
create trigger jobs_bi before insert on jobs
when {NOT_PAUSED}
begin
  {REFUSE_DATA}
end
"""
JOBS_BI_REPLACED = f"""
create trigger jobs_bi_replaced before insert on jobs
when {NOT_PAUSED}
  and (exists (select 1 from jobs where id = new.id) or exists (select 1 from jobs_replaced))
begin
  {KEEP_REPLACED}
end
"""
JOBS_BU = f"""
create trigger jobs_bu before update of id, data on jobs
when {NOT_PAUSED}
begin
  {REFUSE_DATA}
end
"""
JOBS_BU_REPLACED = f"""
create trigger jobs_bu_replaced before update of id on jobs
when {NOT_PAUSED} and new.id is not old.id
begin
  {KEEP_REPLACED}
end
"""

# A statement that sets `data` and gives a column the value it has already says that value all the
# same, although old and new do not tell. `update of` does.
JOBS_BU_SET_AGAIN = tuple(
    f"""
create trigger jobs_bu_{field.column} before update of {field.column} on jobs
when {NOT_PAUSED}
  and new.data is not old.data
  and new.{field.column} is old.{field.column}
  and new.{field.column} is not null
  and not {said("new.data", field)}
begin
  update jobs_set_again set set_again = set_again || '{field.column};';
end
"""
    for field in FIELDS
    if field.kind != "time"
)

# The names of the earlier system's own triggers, which it creates `if not exists` at every start
# and which would damage the search index.
JOBS_FTS_INSERT = f"""
create trigger jobs_fts_insert after insert on jobs
when {NOT_PAUSED}
begin
  {PAUSE}
  {gain_statement(gains_of_insert())}
  {PROJECT_INSERTED}
  {refuse_statements()}
  {unindex_replaced()}
  {INDEX_STATEMENT}
  {
    history_statement(
        "new.id",
        f"case when {REPLACED} then 'update' else 'insert' end",
        "jobs.data",
        '''from jobs
    where rowid = new.rowid
      and data is not (select data from jobs_replaced where id = new.id)''',
    )
}
  delete from jobs_replaced where id = new.id;
  {RESUME}
end
"""

FTS_CHANGED = (
    "(new.rowid is not old.rowid or "
    + " or ".join(f"jobs.{column} is not old.{column}" for column in SEARCHED)
    + ")"
)
JOBS_FTS_UPDATE = f"""
create trigger jobs_fts_update after update on jobs
when {NOT_PAUSED}
begin
  {PAUSE}
  {gain_statement(gains_of_update())}
  {PROJECT_UPDATED}
  update jobs
  set updated_at = {NOW_SQL}
  where rowid = new.rowid
    and data is not old.data
    and updated_at is old.updated_at
    and {kind_of("data", "updated_at")} is null;
  {refuse_statements(" and jobs.{column} is not old.{column}")}
  {unindex_replaced("new.id is not old.id")}
  {unindex_statement(f"from jobs where rowid = new.rowid and {FTS_CHANGED}", "old.")}
  insert into jobs_fts (rowid, {", ".join(SEARCHED)})
  select rowid, {", ".join(SEARCHED)}
  from jobs
  where rowid = new.rowid
    and {FTS_CHANGED};
  {history_statement("old.id", "'delete'", "old.data", "where new.id is not old.id")}
  {
    history_statement(
        "new.id",
        f"case when new.id is old.id or {REPLACED} then 'update' else 'insert' end",
        "jobs.data",
        '''from jobs
    where rowid = new.rowid
      and (data is not old.data or new.id is not old.id)''',
    )
}
  delete from jobs_replaced where id = new.id and new.id is not old.id;
  update jobs_set_again set set_again = '' where set_again <> '';
  {RESUME}
end
"""
JOBS_FTS_DELETE = f"""
create trigger jobs_fts_delete after delete on jobs
when {NOT_PAUSED}
begin
  {unindex_statement("", "old.")}
  {history_statement("old.id", "'delete'", "old.data", "")}
  update jobs_replaced set removed = 1 where job_rowid = old.rowid;
end
"""

COUNTING = "coalesce((select paused from write_context), 0) <> 2"
COUNT_TRIGGERS = (
    f"""
create trigger job_counts_insert after insert on jobs
when {COUNTING}
begin
  {count_statements("new", "+")}
end
""",
    f"""
create trigger job_counts_update
after update of product, persona, language, enabled, created_at on jobs
when {COUNTING}
  and (new.product is not old.product
    or new.persona is not old.persona
    or new.language is not old.language
    or new.enabled is not old.enabled
    or new.created_at is not old.created_at)
begin
  {count_statements("old", "-")}
  {count_statements("new", "+")}
end
""",
    f"""
create trigger job_counts_delete after delete on jobs
when {COUNTING}
begin
  {count_statements("old", "-")}
end
""",
)

CREATE_COUNTS = """
create table job_counts (
  field TEXT NOT NULL,
  value TEXT,
  jobs INTEGER NOT NULL,
  enabled_jobs INTEGER NOT NULL
)
"""
CREATE_COUNTS_INDEX = "create unique index idx_job_counts_value on job_counts (field, value)"

TRIGGERS = (
    *COUNT_TRIGGERS,
    JOBS_BI,
    JOBS_BI_REPLACED,
    JOBS_BU,
    JOBS_BU_REPLACED,
    *JOBS_BU_SET_AGAIN,
    JOBS_FTS_INSERT,
    JOBS_FTS_UPDATE,
    JOBS_FTS_DELETE,
)

CREATE_JOBS = f"""
create table {{name}} (
  id TEXT PRIMARY KEY,
  job_name TEXT,
  product TEXT,
  persona TEXT,
  setting TEXT,
  emotion TEXT,
  hook TEXT,
  elevenlabs_voice_id TEXT,
  language TEXT DEFAULT 'English',
  brand_name TEXT,
  enabled BOOLEAN DEFAULT 1,
  created_at TIMESTAMP DEFAULT ({NOW_SQL}),
  updated_at TIMESTAMP DEFAULT ({NOW_SQL}),
  data TEXT,
  campaign_type TEXT,
  avatar_id TEXT,
  script_id TEXT,
  avatar_video_path TEXT,
  script_file TEXT,
  use_overlay BOOLEAN DEFAULT 0,
  automated_video_editing_enabled BOOLEAN DEFAULT 1,
  useExactScript BOOLEAN DEFAULT 0
)
"""

CREATE_HISTORY = """
create table job_history (
  id INTEGER PRIMARY KEY,
  job_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  operation TEXT NOT NULL CHECK (operation in ('insert', 'update', 'delete')),
  actor TEXT,
  changed_at TEXT NOT NULL,
  data TEXT
)
"""

CREATE_HISTORY_INDEX = """
create unique index idx_job_history_job_id_version on job_history (job_id, version)
"""

CREATE_DELETED_JOBS = """
create view deleted_jobs as
select
  job_history.job_id as id,
  job_history.data ->> '$.job_name' as job_name,
  job_history.version,
  job_history.actor,
  job_history.changed_at as deleted_at,
  job_history.data
from job_history
where job_history.operation = 'delete'
  and not exists (select 1 from jobs where jobs.id = job_history.job_id)
  and not exists (
    select 1
    from job_history as later
    where later.job_id = job_history.job_id
      and later.version > job_history.version
  )
"""

CREATE_REPLACED = f"""
create table jobs_replaced (
  job_rowid INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  data TEXT,
  removed INTEGER NOT NULL DEFAULT 0,
  {", ".join(f"{column} BLOB" for column in KEPT)}
)
"""

CREATE_SET_AGAIN = """
create table jobs_set_again (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  set_again TEXT NOT NULL DEFAULT ''
)
"""

CREATE_FTS = f"""
create virtual table jobs_fts using fts5 (
  {", ".join(SEARCHED)},
  content="jobs"
)
"""


def projection_of(document: str) -> str:
    """SQL: every projected column of a JSON document, as a list for `select`."""
    return ",\n  ".join(f"{projected(document, field)} as {field.column}" for field in FIELDS)


CREATE_PROJECTION = f"""
create view jobs_projection as
select
  jobs.rowid as job_rowid,
  {projection_of("jobs.data")}
from jobs
"""


REBUILD_SEARCH = "insert into jobs_fts (jobs_fts) values ('rebuild')"


@migrations()
def m001_create_jobs(db: Database) -> None:
    """All of the schema; an earlier system's `jobs` is taken over whole."""
    from loaders.upgrades import campaigns as earlier  # here, since it builds on this module

    connection = db.conn
    create_bookkeeping(connection)
    connection.execute(CREATE_HISTORY)
    if db["jobs"].exists():
        earlier.upgrade(connection)
    else:
        connection.execute(CREATE_JOBS.format(name="jobs"))
    create_job_indexes(connection)
    connection.execute(CREATE_HISTORY_INDEX)
    connection.execute(CREATE_COUNTS)
    connection.execute(CREATE_COUNTS_INDEX)
    count_jobs(connection)
    connection.execute(CREATE_FTS)
    connection.execute(REBUILD_SEARCH)
    connection.execute(CREATE_REPLACED)
    connection.execute(CREATE_SET_AGAIN)
    connection.execute("insert into jobs_set_again (id) values (1)")
    connection.execute(CREATE_PROJECTION)
    connection.execute(CREATE_DELETED_JOBS)
    create_job_triggers(connection)


def count_jobs(connection: sqlite3.Connection, last: int | None = None) -> None:
    """Count in the jobs whose row number is above `last`; None means count all jobs anew."""
    if last is None:
        connection.execute("delete from job_counts")
    for field in COUNTED:
        counts = f"""
          select
            {counted("jobs", field)} as value,
            count(*) as jobs,
            count(*) filter (where enabled is 1) as enabled_jobs
          from jobs
          where rowid > :last
          group by 1
        """
        values = {"last": -1 if last is None else last}
        if last is not None:
            connection.execute(add_counts(field, counts), values)
        connection.execute(new_counts(field, counts), values)
    connection.execute(
        """
        insert into job_counts
        select 'all', '', 0, 0
        where not exists (select 1 from job_counts where field = 'all')
        """
    )


def add_counts(field: str, counts: str) -> str:
    return f"""
        update job_counts
        set
          jobs = job_counts.jobs + counted.jobs,
          enabled_jobs = job_counts.enabled_jobs + counted.enabled_jobs
        from ({counts}) as counted
        where field = '{field}'
          and job_counts.value is counted.value
        """


def new_counts(field: str, counts: str) -> str:
    return f"""
        insert into job_counts (field, value, jobs, enabled_jobs)
        select '{field}', value, jobs, enabled_jobs
        from ({counts}) as counted
        where not exists (
            select 1
            from job_counts
            where field = '{field}'
              and job_counts.value is counted.value
          )
        """


def create_job_triggers(connection: sqlite3.Connection) -> None:
    for statement in TRIGGERS:
        connection.execute(statement)


def drop_job_triggers(connection: sqlite3.Connection) -> None:
    """For a bulk load: triggers at rest cost time too."""
    for statement in TRIGGERS:
        _, _, name, *_ = statement.split()
        connection.execute(f"drop trigger {name}")


def create_job_indexes(connection: sqlite3.Connection) -> None:
    for column in INDEXED:
        connection.execute(f"create index if not exists idx_jobs_{column} on jobs ({column})")

    instant = CREATED_INSTANT.replace("{row}.", "")
    connection.execute(f"create index if not exists idx_jobs_created_instant on jobs ({instant})")


def drop_job_indexes(connection: sqlite3.Connection) -> None:
    """For a bulk load into an empty table: sorting once is cheaper than inserting in turn."""
    for column in INDEXED:
        connection.execute(f"drop index idx_jobs_{column}")
    connection.execute("drop index idx_jobs_created_instant")
