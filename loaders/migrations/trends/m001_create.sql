-- The database `trends`: topics that trend, and the searches that found them.

create table trending_topics (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  topic TEXT NOT NULL,
  source TEXT NOT NULL,
  timestamp DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  relevance_score REAL DEFAULT 0.0, -- 0 to 1
  used_flag INTEGER DEFAULT 0, -- 0 or 1
  category TEXT,
  metadata TEXT, -- JSON
  created_at DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

create table search_history (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  query TEXT NOT NULL,
  source TEXT NOT NULL,
  result_count INTEGER DEFAULT 0,
  timestamp DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

create table write_context (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  actor TEXT,
  paused INTEGER NOT NULL DEFAULT 0,
  vacuum_pending INTEGER NOT NULL DEFAULT 0
);

insert into write_context (id) values (1);

create table set_aside (
  id INTEGER PRIMARY KEY,
  table_name TEXT NOT NULL,
  row_key TEXT,
  reason TEXT NOT NULL,
  content TEXT,
  at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

create index idx_trending_topics_timestamp on trending_topics (timestamp desc);
create index idx_trending_topics_used_flag on trending_topics (used_flag);
create index idx_trending_topics_source on trending_topics (source);
create index idx_trending_topics_relevance on trending_topics (relevance_score desc);
create index idx_trending_topics_topic on trending_topics (topic, source, relevance_score);
create index idx_trending_topics_unused_recent on trending_topics (used_flag, timestamp desc);
create index idx_trending_topics_unused_best
  on trending_topics (used_flag, relevance_score desc, id desc);
create index idx_trending_topics_source_usage
  on trending_topics (source, used_flag, relevance_score);
create index idx_trending_topics_category_usage
  on trending_topics (category, used_flag, relevance_score);
create index idx_search_history_timestamp on search_history (timestamp desc);
create index idx_search_history_source on search_history (source, result_count, timestamp);

create virtual table trending_topics_fts using fts5 (topic);

create trigger write_context_bd before delete on write_context
begin
  -- acting_as() in loaders/connections.py updates this row
  select raise(abort, 'write_context: its row must stay');
end;

create trigger trending_topics_ai after insert on trending_topics
begin
  -- Refuse values out of range; index the topic, also in place of one that was replaced
  select raise(abort, 'trending_topics.relevance_score: must be a number from 0 to 1')
  where new.relevance_score not between 0 and 1;
  select raise(abort, 'trending_topics.used_flag: must be 0 or 1')
  where new.used_flag not in (0, 1);
  select raise(abort, 'trending_topics.metadata: must be valid JSON')
  where new.metadata is not null
    and not (typeof(new.metadata) = 'text' and json_valid(new.metadata));
  delete from trending_topics_fts
  where rowid = new.id;
  insert into trending_topics_fts (rowid, topic)
  values (new.id, new.topic);
end;

create trigger trending_topics_au after update on trending_topics
begin
  -- Refuse new values out of range; those of an old row may stay
  select raise(abort, 'trending_topics.relevance_score: must be a number from 0 to 1')
  where new.relevance_score is not old.relevance_score
    and new.relevance_score not between 0 and 1;
  select raise(abort, 'trending_topics.used_flag: must be 0 or 1')
  where new.used_flag is not old.used_flag
    and new.used_flag not in (0, 1);
  select raise(abort, 'trending_topics.metadata: must be valid JSON')
  where new.metadata is not old.metadata
    and new.metadata is not null
    and not (typeof(new.metadata) = 'text' and json_valid(new.metadata));
end;

create trigger trending_topics_au_search after update on trending_topics
when new.topic is not old.topic or new.id is not old.id
begin
  -- Index the new topic in place of the old one, and of one that was replaced
  delete from trending_topics_fts
  where rowid in (old.id, new.id);
  insert into trending_topics_fts (rowid, topic)
  values (new.id, new.topic);
end;

create trigger trending_topics_ad after delete on trending_topics
begin
  -- Remove the topic from the search index
  delete from trending_topics_fts
  where rowid = old.id;
end;

create trigger update_trending_topics_timestamp after update on trending_topics
when new.updated_at is old.updated_at
  and new.updated_at is not strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
begin
  -- Set updated_at, unless the update does so itself
  update trending_topics
  set updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  where id = new.id;
end;

create trigger search_history_ai after insert on search_history
begin
  -- Refuse a count out of range
  select raise(abort, 'search_history.result_count: must be a whole number, 0 or more')
  where new.result_count < 0 or typeof(new.result_count) not in ('integer', 'null');
end;

create trigger search_history_au after update on search_history
begin
  -- Refuse a new count out of range; that of an old row may stay
  select raise(abort, 'search_history.result_count: must be a whole number, 0 or more')
  where new.result_count is not old.result_count
    and (new.result_count < 0 or typeof(new.result_count) not in ('integer', 'null'));
end;
