-- The database `metrics`: snapshots of the numbers of videos, and what is known of the videos.

create table video_metrics (
  id INTEGER PRIMARY KEY AUTOINCREMENT, video_id TEXT NOT NULL, platform TEXT NOT NULL,
  views INTEGER DEFAULT 0, likes INTEGER DEFAULT 0, comments INTEGER DEFAULT 0,
  shares INTEGER DEFAULT 0, saves INTEGER DEFAULT 0, watch_time_seconds INTEGER DEFAULT 0,
  engagement_rate REAL, -- 0 to 1; calculated unless given
  timestamp DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  created_at DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  metadata TEXT, measured_at TEXT, -- JSON; the instant of timestamp
  UNIQUE (video_id, platform, timestamp)
);

create table video_metadata (
  id INTEGER PRIMARY KEY AUTOINCREMENT, video_id TEXT NOT NULL UNIQUE,
  title TEXT, description TEXT, topic TEXT,
  script_path TEXT, audio_path TEXT, video_path TEXT, duration_seconds INTEGER,
  created_at DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), posted_at DATETIME,
  status TEXT DEFAULT 'draft', metadata TEXT -- draft, rendered, posted or archived; JSON
);

create table video_platforms ( -- of which there are, or were, snapshots
  video_id TEXT, platform TEXT, PRIMARY KEY (video_id, platform)
);

create table write_context (
  id INTEGER PRIMARY KEY CHECK (id = 1), actor TEXT,
  paused INTEGER NOT NULL DEFAULT 0, vacuum_pending INTEGER NOT NULL DEFAULT 0,
  replaced_video INTEGER -- that the write may replace, since `or replace` fires no delete triggers
);

insert into write_context (id) values (1);

create table set_aside (
  id INTEGER PRIMARY KEY, table_name TEXT NOT NULL, row_key TEXT, reason TEXT NOT NULL, content TEXT,
  at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

create index idx_video_metrics_video_id on video_metrics (video_id, platform, measured_at);
create index idx_video_metrics_platform on video_metrics (platform);
create index idx_video_metrics_timestamp on video_metrics (timestamp desc);
create index idx_video_metrics_engagement on video_metrics (engagement_rate desc);
create index idx_video_metrics_measured_at on video_metrics (measured_at);
create index idx_video_metadata_status on video_metadata (status);
create index idx_video_metadata_topic on video_metadata (topic);
create index idx_video_metadata_created on video_metadata (created_at desc);

create virtual table video_metadata_fts using fts5 (title, description);

-- The newest snapshot of each video on each platform; `cross join` keeps the order of the tables.
create view latest_video_metrics as
select newest.id, published.video_id, published.platform,
  views, likes, comments, shares, saves, watch_time_seconds, engagement_rate,
  timestamp, newest.created_at, newest.metadata, measured_at, title, topic, duration_seconds
from video_platforms as published
cross join video_metrics as newest on newest.id = (
  select id from video_metrics as own where own.video_id = published.video_id
  and own.platform = published.platform order by measured_at desc, id desc limit 1)
left join video_metadata on video_metadata.video_id = published.video_id;

-- What triggers set in a snapshot: the instant of its timestamp, and its engagement rate.
create view calculated_metrics as
-- 17.31.12 is the last day of 2017; numbers are seconds or milliseconds since 1970.
select id, strftime('%Y-%m-%dT%H:%M:%fZ', case
    when timestamp glob '[0-9][0-9].[0-9][0-9].[0-9][0-9]' then
      '20' || substr(timestamp, 1, 2) || '-' || substr(timestamp, 7) || '-' || substr(timestamp, 4, 2)
    when timestamp glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' then upper(timestamp)
    when timestamp glob '[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]*' then
      timestamp / iif(timestamp + 0 < 1e11, 86400.0, 86400000.0) + julianday('1970-01-01')
  end) as measured_at,
  case when 'text' in (typeof(views), typeof(likes), typeof(comments), typeof(shares), typeof(saves)) then null
    when views = 0 then 0.0
    else max(0.0, min(1.0, (ifnull(likes, 0) + ifnull(comments, 0) + ifnull(shares, 0)
      + ifnull(saves, 0)) * 1.0 / views)) end as engagement_rate
from video_metrics;

create trigger write_context_bd before delete on write_context
begin
  -- acting_as() in loaders/connections.py and triggers below update this row
  select raise(abort, 'write_context: its row must stay');
end;

create trigger video_metrics_ai after insert on video_metrics
begin
  -- Refuse values out of range; calculate the instant, and the engagement rate if it is missing
  select raise(abort, 'video_metrics.video_id: must not be empty') where trim(new.video_id) = '';
  select raise(abort, 'video_metrics.platform: must not be empty') where trim(new.platform) = '';
  select raise(abort, 'video_metrics.views: must be a whole number, 0 or more')
  where new.views is not cast(max(new.views, 0) as integer);
  select raise(abort, 'video_metrics.likes: must be a whole number, 0 or more')
  where new.likes is not cast(max(new.likes, 0) as integer);
  select raise(abort, 'video_metrics.comments: must be a whole number, 0 or more')
  where new.comments is not cast(max(new.comments, 0) as integer);
  select raise(abort, 'video_metrics.shares: must be a whole number, 0 or more')
  where new.shares is not cast(max(new.shares, 0) as integer);
  select raise(abort, 'video_metrics.saves: must be a whole number, 0 or more')
  where new.saves is not cast(max(new.saves, 0) as integer);
  select raise(abort, 'video_metrics.watch_time_seconds: must be a whole number, 0 or more')
  where new.watch_time_seconds is not cast(max(new.watch_time_seconds, 0) as integer);
  select raise(abort, 'video_metrics.engagement_rate: must be a number from 0 to 1')
  where new.engagement_rate not between 0 and 1;
  select raise(abort, 'video_metrics.metadata: must be valid JSON')
  where not iif(typeof(new.metadata) = 'text', json_valid(new.metadata), new.metadata is null);
  insert into video_platforms (video_id, platform) values (new.video_id, new.platform) on conflict do nothing;
  update video_metrics set measured_at = (select measured_at from calculated_metrics where id = new.id),
    engagement_rate = ifnull(new.engagement_rate,
      (select engagement_rate from calculated_metrics where id = new.id))
  where id = new.id and (new.measured_at is null or new.engagement_rate is null
      or new.measured_at is not strftime('%Y-%m-%dT%H:%M:%fZ', new.timestamp));
end;

create trigger video_metrics_au after update on video_metrics
begin
  -- Refuse new values out of range, not those of an old row
  select raise(abort, 'video_metrics.video_id: must not be empty')
  where new.video_id is not old.video_id and trim(new.video_id) = '';
  select raise(abort, 'video_metrics.platform: must not be empty')
  where new.platform is not old.platform and trim(new.platform) = '';
  select raise(abort, 'video_metrics.views: must be a whole number, 0 or more')
  where new.views is not old.views and new.views is not cast(max(new.views, 0) as integer);
  select raise(abort, 'video_metrics.likes: must be a whole number, 0 or more')
  where new.likes is not old.likes and new.likes is not cast(max(new.likes, 0) as integer);
  select raise(abort, 'video_metrics.comments: must be a whole number, 0 or more')
  where new.comments is not old.comments and new.comments is not cast(max(new.comments, 0) as integer);
  select raise(abort, 'video_metrics.shares: must be a whole number, 0 or more')
  where new.shares is not old.shares and new.shares is not cast(max(new.shares, 0) as integer);
  select raise(abort, 'video_metrics.saves: must be a whole number, 0 or more')
  where new.saves is not old.saves and new.saves is not cast(max(new.saves, 0) as integer);
  select raise(abort, 'video_metrics.watch_time_seconds: must be a whole number, 0 or more')
  where new.watch_time_seconds is not old.watch_time_seconds
    and new.watch_time_seconds is not cast(max(new.watch_time_seconds, 0) as integer);
  select raise(abort, 'video_metrics.engagement_rate: must be a number from 0 to 1')
  where new.engagement_rate is not old.engagement_rate and new.engagement_rate not between 0 and 1;
  select raise(abort, 'video_metrics.metadata: must be valid JSON')
  where new.metadata is not old.metadata
    and not iif(typeof(new.metadata) = 'text', json_valid(new.metadata), new.metadata is null);
  insert into video_platforms (video_id, platform) values (new.video_id, new.platform) on conflict do nothing;
end;

create trigger video_metrics_au_calculated after update on video_metrics
when (new.timestamp, new.views, new.likes, new.comments, new.shares, new.saves)
    is not (old.timestamp, old.views, old.likes, old.comments, old.shares, old.saves)
  or (new.engagement_rate is null and old.engagement_rate is not null)
  or (new.measured_at is not old.measured_at
    and new.measured_at is not strftime('%Y-%m-%dT%H:%M:%fZ', new.timestamp))
begin
  -- Calculate the instant of a new timestamp; a rate that was calculated follows its counts
  update video_metrics
  set measured_at = iif((new.timestamp, new.measured_at) is (old.timestamp, old.measured_at),
      new.measured_at, calculated.measured_at),
    engagement_rate = iif(
      new.engagement_rate is null or new.engagement_rate is old.engagement_rate
        and old.engagement_rate is iif(old.views = 0, 0.0, max(0.0, min(1.0,
          (ifnull(old.likes, 0) + ifnull(old.comments, 0) + ifnull(old.shares, 0)
          + ifnull(old.saves, 0)) * 1.0 / old.views))),
      calculated.engagement_rate, new.engagement_rate)
  from calculated_metrics as calculated where calculated.id = new.id and video_metrics.id = new.id;
end;

create trigger video_metadata_bi before insert on video_metadata
begin
  -- Note the row of this video
  update write_context set replaced_video = (select id from video_metadata where video_id = new.video_id);
end;

create trigger video_metadata_bu before update on video_metadata
begin
  -- Note the row of this video
  update write_context set replaced_video = (select id from video_metadata where video_id = new.video_id);
end;

create trigger video_metadata_ai after insert on video_metadata
begin
  -- Refuse values out of range; index the texts in place of those of rows that were replaced
  select raise(abort, 'video_metadata.video_id: must not be empty') where trim(new.video_id) = '';
  select raise(abort, 'video_metadata.duration_seconds: must be a number, 0 or more')
  where new.duration_seconds not between 0 and 9e15;
  select raise(abort, 'video_metadata.status: must be one of draft, rendered, posted, archived')
  where new.status not in ('draft', 'rendered', 'posted', 'archived');
  select raise(abort, 'video_metadata.metadata: must be valid JSON')
  where not iif(typeof(new.metadata) = 'text', json_valid(new.metadata), new.metadata is null);
  delete from video_metadata_fts where rowid in (new.id, (select replaced_video from write_context));
  insert into video_metadata_fts (rowid, title, description) values (new.id, new.title, new.description);
end;

create trigger video_metadata_au after update on video_metadata
begin
  -- Refuse new values out of range, not those of an old row; then do as after an insert
  select raise(abort, 'video_metadata.video_id: must not be empty')
  where new.video_id <> old.video_id and trim(new.video_id) = '';
  select raise(abort, 'video_metadata.duration_seconds: must be a number, 0 or more')
  where nullif(new.duration_seconds, old.duration_seconds) not between 0 and 9e15;
  select raise(abort, 'video_metadata.status: must be one of draft, rendered, posted, archived')
  where nullif(new.status, old.status) not in ('draft', 'rendered', 'posted', 'archived');
  select raise(abort, 'video_metadata.metadata: must be valid JSON')
  where new.metadata is not old.metadata
    and not iif(typeof(new.metadata) = 'text', json_valid(new.metadata), new.metadata is null);
  delete from video_metadata_fts where rowid in (old.id, new.id, (select replaced_video from write_context));
  insert into video_metadata_fts (rowid, title, description) values (new.id, new.title, new.description);
end;

create trigger video_metadata_ad after delete on video_metadata
begin
  -- Remove the texts from the search index
  delete from video_metadata_fts where rowid = old.id;
end;
