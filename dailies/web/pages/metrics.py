"""The page of a video: its trend, build, images and performance."""

from __future__ import annotations

from typing import Any

from dailies.web.pages.viewer import PageQuery, Viewer

VIDEO = PageQuery(
    "metrics",
    ("video_metadata",),
    """
    select *
    from video_metadata
    where id = :id
    """,
)

VIDEO_ROW = PageQuery(
    "metrics",
    ("video_metadata",),
    """
    select id
    from video_metadata
    where video_id = :video_id
    """,
)

TOPICS = PageQuery(
    "trends",
    ("trending_topics",),
    """
    select id, topic, source, relevance_score, timestamp
    from trending_topics
    where topic = :topic
    order by id
    limit 100
    """,
)

UPLOADS = PageQuery(
    "yt-builder",
    ("youtube_uploads", "jobs"),
    """
    select
      youtube_uploads.job_id,
      youtube_uploads.video_url,
      youtube_uploads.title,
      youtube_uploads.privacy,
      youtube_uploads.uploaded_at,
      jobs.run_id,
      jobs.status
    from youtube_uploads
    left join jobs on jobs.job_id = youtube_uploads.job_id
    where youtube_uploads.video_id = :video_id
    order by youtube_uploads.id
    limit 100
    """,
)

IMAGES = PageQuery(
    "image_library",
    ("image_usage", "image_library"),
    """
    select
      image_usage.scene_number,
      image_library.id,
      image_library.file_path,
      image_library.character,
      image_library.emotion
    from image_usage
    join image_library on image_library.id = image_usage.image_id
    where image_usage.video_id = :video_id
    order by image_usage.scene_number, image_usage.id
    limit 100
    """,
)

PERFORMANCE = PageQuery(
    "metrics",
    ("latest_video_metrics",),
    """
    select platform, views, likes, comments, shares, saves, engagement_rate, timestamp
    from latest_video_metrics
    where video_id = :video_id
    order by platform
    limit 100
    """,
)


async def read(viewer: Viewer, key: str) -> dict[str, Any] | None:
    video = await viewer.row(VIDEO, id=key)
    if video is None:
        return None
    name = video["video_id"]
    return {
        "video": video,
        "topics": await viewer.rows(TOPICS, topic=video["topic"]),
        "uploads": await viewer.rows(UPLOADS, video_id=name),
        "images": await viewer.rows(IMAGES, video_id=name),
        "performance": await viewer.rows(PERFORMANCE, video_id=name),
        "growth": await viewer.can_run("metrics", "video_growth"),
        "lineage": await viewer.can_run("_memory", "video_lineage"),
    }


async def row_id(viewer: Viewer, video_id: str) -> int | None:
    """The row id of a video's metadata; None if there is none, or the actor may not see it."""
    found = await viewer.row(VIDEO_ROW, video_id=video_id)
    return found["id"] if found else None
