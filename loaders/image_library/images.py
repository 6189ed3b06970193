"""Images of the characters: the Python functions of the database `image_library`.

Every function takes `db` first: a `sqlite_utils.Database` or a `sqlite3.Connection`. Rows are
dictionaries. A value that the database refuses raises ValueError, an existing path `DuplicateKey`,
which is a `sqlite3.IntegrityError` too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from loaders.checks import named_rows
from loaders.connections import Connection, transaction
from loaders.errors import NotFound, translated
from loaders.rows import json_text, required_text, select

CHARACTERS = ("butcher", "nutsy")

# Columns that callers may set; the others are set by triggers.
COLUMNS = (
    *("character", "emotion", "pose", "file_path", "source", "file_size_bytes", "width", "height"),
    *("format", "generation_prompt", "generation_model", "quality_score", "tags", "metadata"),
    "timestamp",
)
JSON_COLUMNS = ("tags", "metadata")

FIND_IMAGE = "select * from image_library where id = :id"

PICK_IMAGE = """
select *
from image_library
where id = (
    select id
    from image_library
    where (:character is null or lower(trim(character)) = lower(trim(:character)))
      and (:emotion is null or lower(trim(emotion)) = lower(trim(:emotion)))
      and (:pose is null or lower(trim(pose)) = lower(trim(:pose)))
    order by
      iif(usage_count between 0 and 9007199254740991, usage_count, 0),
      iif(quality_score between 0 and 1, quality_score, null) desc,
      id
    limit 1
  )
"""

USE_IMAGE = """
insert into image_usage (image_id, video_id, scene_number)
values (:image_id, :video_id, :scene_number)
"""

ADD_COLLECTION = """
insert into image_collections (name)
values (:name)
on conflict (name) do nothing
"""

FIND_COLLECTION = "select id from image_collections where name = :name"

ADD_TO_COLLECTION = """
insert into collection_images (collection_id, image_id, sort_order)
select
  :collection_id,
  :image_id,
  coalesce(:sort_order, max(sort_order) + 1, 1)
from collection_images
where collection_id = :collection_id
  and typeof(sort_order) = 'integer'
on conflict (collection_id, image_id) do update
set sort_order = coalesce(:sort_order, collection_images.sort_order)
"""

CHECKS = {
    "image_library.character must be butcher or nutsy": """
        select id
        from image_library
        where character not in ('butcher', 'nutsy')
        """,
    "image_library.quality_score must be a number from 0 to 1": """
        select id
        from image_library
        where quality_score not between 0 and 1
        """,
    "image_library.file_size_bytes must be a whole number, 0 or more": """
        select id
        from image_library
        where file_size_bytes is not cast(max(file_size_bytes, 0) as integer)
        """,
    "image_library.width must be a whole number, 0 or more": """
        select id
        from image_library
        where width is not cast(max(width, 0) as integer)
        """,
    "image_library.height must be a whole number, 0 or more": """
        select id
        from image_library
        where height is not cast(max(height, 0) as integer)
        """,
    "image_library.usage_count must be a whole number, 0 or more": """
        select id
        from image_library
        where usage_count is not cast(max(usage_count, 0) as integer)
        """,
    "image_library.tags must be a JSON array": """
        select id
        from image_library
        where tags is not null
          and iif(typeof(tags) = 'text' and json_valid(tags), json_type(tags), '') <> 'array'
        """,
    "image_library.metadata must be valid JSON": """
        select id
        from image_library
        where metadata is not null
          and not (typeof(metadata) = 'text' and json_valid(metadata))
        """,
    "image_usage.scene_number must be a whole number, 0 or more": """
        select id
        from image_usage
        where scene_number is not cast(max(scene_number, 0) as integer)
        """,
    # Earlier systems counted uses that they did not log.
    "image_library.usage_count does not agree with image_usage": """
        select id
        from image_library
        where iif(usage_count between 0 and 9007199254740991, usage_count, 0) <> (
            select count(*)
            from image_usage
            where image_usage.image_id = image_library.id
          )
        order by id
        """,
}

# What triggers derive from other rows: `dailies build` derives it again.
DERIVED = {
    "image_library_fts does not agree with image_library": """
        select id
        from (
            select id, generation_prompt, tags, file_path
            from image_library
            except
            select rowid, generation_prompt, tags, file_path
            from image_library_fts
          )
        union all
        select rowid
        from image_library_fts
        where rowid not in (select id from image_library)
        """,
}


def add_image(
    db: Connection, character: str, file_path: str, source: str = "generated", **columns: Any
) -> dict[str, Any]:
    """Store an image and return its row. `columns` are others of COLUMNS; `tags` is a list."""
    for name in columns.keys() - set(COLUMNS):
        raise ValueError(f'an image has no "{name}": choose from {", ".join(COLUMNS)}')
    values = {
        "character": required_text("character", character),
        "file_path": required_text("file_path", file_path),
        "source": required_text("source", source),
        **{name: value for name, value in columns.items() if value is not None},
    }
    for name in JSON_COLUMNS:
        if name in values:
            values[name] = json_text(values[name])
    with transaction(db) as connection, translated(f'image "{file_path}"', values):
        row_id = connection.execute(insert_statement(values), values).lastrowid
        return require_image(connection, int(row_id or 0))


def insert_statement(values: dict[str, Any]) -> str:
    """SQL for the columns named, each of which is one of COLUMNS."""
    marks = ", ".join(f":{name}" for name in values)
    return f"insert into image_library ({', '.join(values)}) values ({marks})"  # noqa: S608


def require_image(connection: sqlite3.Connection, image_id: int) -> dict[str, Any]:
    rows = select(connection, FIND_IMAGE, {"id": image_id})
    if not rows:
        raise NotFound(f"image {image_id} does not exist")
    return rows[0]


def pick_image(
    db: Connection,
    character: str | None = None,
    emotion: str | None = None,
    pose: str | None = None,
) -> dict[str, Any] | None:
    """The least used image that matches, then the best; None if none matches.

    Case and surrounding spaces are ignored.
    """
    values = {"character": character, "emotion": emotion, "pose": pose}
    rows = select(db, PICK_IMAGE, values)
    return rows[0] if rows else None


def use_image(
    db: Connection, image_id: int, video_id: str, scene_number: int | None = None
) -> dict[str, Any]:
    """Record and count that a video uses the image; return the image's row."""
    values = {
        "image_id": image_id,
        "video_id": required_text("video_id", video_id),
        "scene_number": scene_number,
    }
    with transaction(db) as connection, translated(f"image {image_id}", values):
        require_image(connection, image_id)
        connection.execute(USE_IMAGE, values)
        return require_image(connection, image_id)


def add_to_collection(
    db: Connection, name: str, image_id: int, sort_order: int | None = None
) -> int:
    """Add an image to the collection, created if missing; return the collection's id.

    Without `sort_order` a new image comes last, and one that is there keeps its place.
    """
    values: dict[str, Any] = {"image_id": image_id, "sort_order": sort_order}
    with transaction(db) as connection, translated(f'collection "{name}"', values):
        connection.execute(ADD_COLLECTION, {"name": required_text("name", name)})
        [collection_id] = connection.execute(FIND_COLLECTION, {"name": name}).fetchone()
        connection.execute(ADD_TO_COLLECTION, {**values, "collection_id": collection_id})
    return int(collection_id)


def check(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield old rows that break today's rules, and wrong counts and search entries."""
    yield from named_rows(connection, CHECKS)
