"""The page of an image: its data, the videos that use it, and its collections."""

from __future__ import annotations

import json
from typing import Any

from dailies.web.pages.formatting import parse_json
from dailies.web.pages.viewer import PageQuery, Viewer

IMAGE = PageQuery(
    "image_library",
    ("image_library",),
    """
    select *
    from image_library
    where id = :id
    """,
)

USES = PageQuery(
    "image_library",
    ("image_usage",),
    """
    select video_id, scene_number, timestamp
    from image_usage
    where image_id = :id
    order by id desc
    limit 100
    """,
)

COLLECTIONS = PageQuery(
    "image_library",
    ("collection_images", "image_collections"),
    """
    select image_collections.id, image_collections.name
    from collection_images
    join image_collections on image_collections.id = collection_images.collection_id
    where collection_images.image_id = :id
    order by image_collections.name
    limit 100
    """,
)

TITLES = PageQuery(
    "metrics",
    ("video_metadata",),
    """
    select video_id, title
    from video_metadata
    where video_id in (select value from json_each(:video_ids))
    """,
)


async def read(viewer: Viewer, key: str) -> dict[str, Any] | None:
    image = await viewer.row(IMAGE, id=key)
    if image is None:
        return None
    uses = await viewer.rows(USES, id=key)
    names = json.dumps([use["video_id"] for use in uses or []])
    titles = await viewer.rows(TITLES, video_ids=names)
    return {
        "image": image,
        "tags": parse_json(image["tags"]),
        "uses": uses,
        "titles": None if titles is None else {row["video_id"]: row["title"] for row in titles},
        "collections": await viewer.rows(COLLECTIONS, id=key),
    }
