"""The schema of `image_library`: images of the characters, where they were used, collections."""

from __future__ import annotations

from collections.abc import Iterator

from sqlite_utils import Database, Migrations

from loaders.migrations.bookkeeping import create_bookkeeping
from loaders.migrations.replaced import any_changed, keep_replaced
from loaders.migrations.rules import LARGEST_INTEGER, Rule, count, json_document, keep_rules, share
from loaders.migrations.search import create_search
from loaders.times import NOW_SQL

migrations = Migrations("image_library")

CHARACTERS = ("butcher", "nutsy")
CHARACTER_LIST = ", ".join(f"'{name}'" for name in CHARACTERS)

RULES = {
    "image_library": (
        Rule(
            "character",
            f"{{}} not in ({CHARACTER_LIST})",
            f"must be {' or '.join(CHARACTERS)}",
        ),
        share("quality_score"),
        count("file_size_bytes"),
        count("width"),
        count("height"),
        count("usage_count"),
        json_document("tags", "array"),
        json_document("metadata"),
    ),
    "image_usage": (count("scene_number"),),
}
UNIQUE = {
    "image_library": ("id", "file_path"),
    "image_usage": ("id",),
    "image_collections": ("id", "name"),
}

# `if not exists`, since an earlier system's file has its tables.
TABLES = (
    f"""
create table if not exists image_library (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  character TEXT NOT NULL,
  emotion TEXT,
  pose TEXT,
  file_path TEXT NOT NULL UNIQUE,
  source TEXT NOT NULL,
  file_size_bytes INTEGER,
  width INTEGER,
  height INTEGER,
  format TEXT,
  generation_prompt TEXT,
  generation_model TEXT,
  quality_score REAL,
  usage_count INTEGER DEFAULT 0,
  tags TEXT,
  metadata TEXT,
  timestamp DATETIME DEFAULT ({NOW_SQL}),
  created_at DATETIME DEFAULT ({NOW_SQL}),
  last_used_at DATETIME,
  CHECK (character IN ({CHARACTER_LIST}))
)
""",
    f"""
create table if not exists image_usage (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  image_id INTEGER NOT NULL,
  video_id TEXT NOT NULL,
  scene_number INTEGER,
  timestamp DATETIME DEFAULT ({NOW_SQL}),
  FOREIGN KEY (image_id) REFERENCES image_library(id) ON DELETE CASCADE
)
""",
    f"""
create table if not exists image_collections (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  description TEXT,
  character TEXT,
  created_at DATETIME DEFAULT ({NOW_SQL})
)
""",
    """
create table if not exists collection_images (
  collection_id INTEGER NOT NULL,
  image_id INTEGER NOT NULL,
  sort_order INTEGER DEFAULT 0,
  PRIMARY KEY (collection_id, image_id),
  FOREIGN KEY (collection_id) REFERENCES image_collections(id) ON DELETE CASCADE,
  FOREIGN KEY (image_id) REFERENCES image_library(id) ON DELETE CASCADE
)
""",
)

# What old rows hold beside numbers in range counts as unused, and as of unknown quality.
USES = f"case when usage_count between 0 and {LARGEST_INTEGER} then usage_count else 0 end"
QUALITY = "case when quality_score between 0 and 1 then quality_score end"

INDEXES = (
    "idx_image_library_character on image_library (character)",
    "idx_image_library_emotion on image_library (emotion)",
    "idx_image_library_pose on image_library (pose)",
    "idx_image_library_source on image_library (source)",
    "idx_image_library_quality on image_library (quality_score desc)",
    "idx_image_library_char_emotion on image_library (character, emotion)",
    "idx_image_library_char_emotion_uses on image_library (character, emotion, usage_count)",
    f"idx_image_library_uses on image_library ({USES}, {QUALITY} desc, id)",
    "idx_image_library_format on image_library (format, file_size_bytes)",
    "idx_image_usage_image_id on image_usage (image_id)",
    "idx_image_usage_video_id on image_usage (video_id)",
    "idx_image_collections_folded_name on image_collections (lower(trim(name)))",
    "idx_collection_images_image_id on collection_images (image_id)",
)

CHILDREN = {
    "image_library": (("image_usage", "image_id"), ("collection_images", "image_id")),
    "image_collections": (("collection_images", "collection_id"),),
}
PARENTS = {
    "image_usage": (("image_id", "image_library"),),
    "collection_images": (
        ("collection_id", "image_collections"),
        ("image_id", "image_library"),
    ),
}


def delete_children(parent: str, which: str) -> str:
    """SQL: what `on delete cascade` does, for programs that leave foreign keys off."""
    return "".join(
        f"\n  delete from {table} where {column} {which};" for table, column in CHILDREN[parent]
    )


def delete_children_of_replaced(parent: str) -> str:
    return delete_children(parent, f"in (select id from {parent}_replaced)")


def keep_parents(table: str) -> Iterator[str]:
    """SQL: triggers that refuse a row whose parent does not exist, as foreign keys do."""
    for column, parent in PARENTS[table]:
        refuse = f"""
begin
  select raise(abort, '{table}.{column}: must be the id of a row in {parent}')
  where not exists (select 1 from {parent} where id = new.{column});
end
"""
        yield f"create trigger {table}_bi_{column} before insert on {table}{refuse}"
        yield (
            f"create trigger {table}_bu_{column} before update on {table}\n"
            f"when new.{column} is not old.{column}{refuse}"
        )


def keep_number_of_parent(table: str) -> str:
    """SQL: the trigger that refuses to renumber a row which others refer to, as foreign keys do."""
    translated = "".join(
        f"""
  select raise(abort, '{table}.id: must stay while rows of {child} refer to it')
  where exists (select 1 from {child} where {column} = old.id);"""
        for child, column in CHILDREN[table]
    )
    return f"""
create trigger {table}_bu_id before update on {table}
when new.id is not old.id
begin{translated}
end
"""


NOT_PAUSED = "(select paused from write_context) is not 1"


def uncount(which: str) -> str:
    return f"""
  update image_library
  set usage_count = usage_count - 1
  where typeof(usage_count) = 'integer'
    and usage_count > 0
    and id {which};"""


UNCOUNT_REPLACED = uncount("in (select image_id from image_usage_replaced where removed = 0)")

# A use that is written again, as `insert or replace` does, is the same use.
COUNT_NEW = f"""
  update image_library
  set usage_count = cast({USES} as integer) + 1,
      last_used_at = case
        when exists (select 1 from image_usage_replaced where image_id = new.image_id)
        then last_used_at else {NOW_SQL} end
  where id = new.image_id"""

# The first name is the earlier system's, whose programs create theirs `if not exists`.
COUNT_USES = (
    f"""
create trigger update_image_usage_stats after insert on image_usage
begin{UNCOUNT_REPLACED}{COUNT_NEW};
  delete from image_usage_replaced;
end
""",
    f"""
create trigger image_usage_stats_update after update on image_usage
when {any_changed(("id", "image_id"))}
begin
  delete from image_usage_replaced where new.id is old.id;
  {UNCOUNT_REPLACED}
  delete from image_usage_replaced;
  {uncount("= old.image_id and new.image_id is not old.image_id")}
  {COUNT_NEW}
    and new.image_id is not old.image_id;
end
""",
    f"""
create trigger image_usage_stats_delete after delete on image_usage
when {NOT_PAUSED}
begin{uncount("= old.image_id")}
  update image_usage_replaced set removed = 1 where id = old.id;
end
""",
)

# The count that the new image of that number brings is not to fall with the old one's uses.
FORGET_USES_OF_REPLACED = f"""
  update write_context set paused = 1 where exists (select 1 from image_library_replaced);
  {delete_children_of_replaced("image_library")}
  update write_context set paused = 0 where exists (select 1 from image_library_replaced);"""

IMAGE_SEARCH = create_search(
    "image_library",
    ("generation_prompt", "tags", "file_path"),
    UNIQUE["image_library"],
    after_replacing=FORGET_USES_OF_REPLACED,
    after_deleting=delete_children("image_library", "= old.id"),
)

CASCADE_COLLECTIONS = (
    f"""
create trigger image_collections_ai after insert on image_collections
begin{delete_children_of_replaced("image_collections")}
  delete from image_collections_replaced;
end
""",
    f"""
create trigger image_collections_au after update on image_collections
when {any_changed(UNIQUE["image_collections"])}
begin{delete_children_of_replaced("image_collections")}
  delete from image_collections_replaced;
end
""",
    f"""
create trigger image_collections_ad after delete on image_collections
begin{delete_children("image_collections", "= old.id")}
end
""",
)


def triggers() -> Iterator[str]:
    for table, rules in RULES.items():
        yield from keep_rules(table, rules, UNIQUE[table])
    for table in PARENTS:
        yield from keep_parents(table)
    for table in CHILDREN:
        yield keep_number_of_parent(table)
    yield from keep_replaced("image_usage", ("image_id",), UNIQUE["image_usage"])
    yield from COUNT_USES
    yield from keep_replaced("image_collections", (), UNIQUE["image_collections"])
    yield from CASCADE_COLLECTIONS


@migrations()
def m001_create_image_library(db: Database) -> None:
    """All of the schema; an earlier system's tables are taken over whole."""
    from loaders.legacy import image_library as earlier  # here, since it builds on this module

    connection = db.conn
    create_bookkeeping(connection)
    earlier.upgrade(connection)
    for statement in TABLES:
        connection.execute(statement)
    for index in INDEXES:
        connection.execute(f"create index if not exists {index}")
    for statement in (*IMAGE_SEARCH, *triggers()):
        connection.execute(statement)
