"""The schema of `trends`: topics that trend, and the searches that found them."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

from loaders.migrations.bookkeeping import create_bookkeeping
from loaders.migrations.rules import count, flag, json_document, keep_rules, share
from loaders.migrations.search import create_search
from loaders.times import NOW_SQL

migrations = Migrations("trends")

RULES = {
    "trending_topics": (
        share("relevance_score"),
        flag("used_flag"),
        json_document("metadata"),
    ),
    "search_history": (count("result_count"),),
}

# `if not exists`, since an earlier system's file has its tables.
TABLES = (
    f"""
create table if not exists trending_topics (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  topic TEXT NOT NULL,
  source TEXT NOT NULL,
  timestamp DATETIME DEFAULT ({NOW_SQL}),
  relevance_score REAL DEFAULT 0.0,
  used_flag INTEGER DEFAULT 0,
  category TEXT,
  metadata TEXT,
  created_at DATETIME DEFAULT ({NOW_SQL}),
  updated_at DATETIME DEFAULT ({NOW_SQL})
)
""",
    f"""
create table if not exists search_history (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  query TEXT NOT NULL,
  source TEXT NOT NULL,
  result_count INTEGER DEFAULT 0,
  timestamp DATETIME DEFAULT ({NOW_SQL})
)
""",
)

# A relevance outside of 0..1, or one that is no number, counts as unknown.
RELEVANCE = "case when relevance_score between 0 and 1 then relevance_score end"

INDEXES = (
    "idx_trending_topics_timestamp on trending_topics (timestamp desc)",
    "idx_trending_topics_used_flag on trending_topics (used_flag)",
    "idx_trending_topics_source on trending_topics (source)",
    "idx_trending_topics_relevance on trending_topics (relevance_score desc)",
    "idx_trending_topics_topic on trending_topics (topic, source, relevance_score)",
    """idx_trending_topics_unused_recent on trending_topics (used_flag, timestamp desc)
    where used_flag = 0""",
    f"""idx_trending_topics_unused_best
    on trending_topics (used_flag, {RELEVANCE} desc, id desc)
    where used_flag = 0""",
    """idx_trending_topics_source_usage
    on trending_topics (source, used_flag, relevance_score)""",
    """idx_trending_topics_category_usage
    on trending_topics (category, used_flag, relevance_score)""",
    "idx_search_history_timestamp on search_history (timestamp desc)",
    "idx_search_history_source on search_history (source, result_count, timestamp)",
)

# Its name is the earlier system's, whose programs create theirs `if not exists`. An update that
# sets the column itself is believed; so the trigger ends its own recursion.
STAMP_UPDATES = f"""
create trigger update_trending_topics_timestamp after update on trending_topics
when new.updated_at is old.updated_at and new.updated_at is not {NOW_SQL}
begin
  update trending_topics
  set updated_at = {NOW_SQL}
  where id = new.id;
end
"""


@migrations()
def m001_create_trends(db: Database) -> None:
    """All of the schema; an earlier system's tables are taken over whole."""
    from loaders.legacy import trends as earlier  # here, since it builds on this module

    connection = db.conn
    create_bookkeeping(connection)
    earlier.upgrade(connection)
    for statement in TABLES:
        connection.execute(statement)
    for index in INDEXES:
        connection.execute(f"create index if not exists {index}")
    for statement in create_search("trending_topics", ("topic",)):
        connection.execute(statement)
    for table, rules in RULES.items():
        for statement in keep_rules(table, rules):
            connection.execute(statement)
    connection.execute(STAMP_UPDATES)
