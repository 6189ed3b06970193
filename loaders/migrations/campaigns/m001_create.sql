-- The database `campaigns`: jobs, their search index, counts and history.
--
-- `jobs.data` holds the complete job as a JSON object and is the truth; the other columns, the key
-- excepted, are its projection. Triggers keep both in step, whichever a statement writes.

create table write_context (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  actor TEXT,
  paused INTEGER NOT NULL DEFAULT 0, -- while a trigger writes jobs: 1 in an update, 2 in an insert
  vacuum_pending INTEGER NOT NULL DEFAULT 0
);

insert into write_context (id) values (1);

create trigger write_context_bd before delete on write_context
begin
  -- The triggers of jobs read this row.
  select raise(abort, 'write_context: its row must stay');
end;

create table set_aside (
  id INTEGER PRIMARY KEY, table_name TEXT NOT NULL, row_key TEXT, reason TEXT NOT NULL, content TEXT,
  at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

create table jobs (
  id TEXT PRIMARY KEY,
  job_name TEXT, product TEXT, persona TEXT, setting TEXT, emotion TEXT, hook TEXT,
  elevenlabs_voice_id TEXT,
  language TEXT DEFAULT 'English',
  brand_name TEXT,
  enabled BOOLEAN DEFAULT 1,
  created_at TIMESTAMP DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  updated_at TIMESTAMP DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  data TEXT,
  campaign_type TEXT, avatar_id TEXT, script_id TEXT, avatar_video_path TEXT, script_file TEXT,
  created_instant INTEGER, -- created_at in milliseconds since 1970; null if it is no time
  use_overlay BOOLEAN DEFAULT 0,
  automated_video_editing_enabled BOOLEAN DEFAULT 1,
  useExactScript BOOLEAN DEFAULT 0
);

create table job_history (
  id INTEGER PRIMARY KEY, job_id TEXT NOT NULL, version INTEGER NOT NULL,
  operation TEXT NOT NULL CHECK (operation in ('insert', 'update', 'delete')),
  actor TEXT, changed_at TEXT NOT NULL, data TEXT -- null in the version that jobs still holds
);

create table job_counts (
  group_key TEXT PRIMARY KEY, -- the next four as JSON, which tells nulls apart from ''
  product TEXT, persona TEXT, language TEXT, enabled INTEGER NOT NULL, jobs INTEGER NOT NULL
);

create table pending_changes (
  -- What the statement at work does to a job; see job_patches.
  job_id TEXT PRIMARY KEY, before TEXT, -- its columns before an update, as JSON
  data_changed INTEGER NOT NULL DEFAULT 0,
  columns_set INTEGER NOT NULL DEFAULT 0 -- 1 if it sets columns beside data
);

create table jobs_before (
  -- The jobs that the statement at work changes or replaces, as they were.
  job_rowid INTEGER PRIMARY KEY, id TEXT, job_name TEXT, product TEXT, persona TEXT, setting TEXT,
  emotion TEXT, hook TEXT, brand_name TEXT, language TEXT, enabled, data TEXT,
  deleted INTEGER NOT NULL DEFAULT 0, gone INTEGER NOT NULL DEFAULT 0 -- by the delete trigger, or at all
);

create table idempotency_keys (
  actor TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, status INTEGER NOT NULL,
  headers TEXT NOT NULL, body TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (actor, key)
);

-- Numbers of changes start again in another file: tokens name the epoch and the number.
create table change_stream (id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT NOT NULL);

insert into change_stream (id, epoch) values (1, lower(hex(randomblob(4))));

-- VACUUM keeps rowids, which the search index refers to, only in a table that has an index.
create index idx_jobs_enabled on jobs (enabled);
create index idx_jobs_product on jobs (product);
create index idx_jobs_persona on jobs (persona);
create index idx_jobs_language on jobs (language);
create index idx_jobs_created_at on jobs (created_at);
create index idx_jobs_created_instant on jobs (created_instant);
create index idx_jobs_job_name on jobs (job_name);
create index idx_jobs_campaign_type on jobs (campaign_type);
create index idx_jobs_avatar_id on jobs (avatar_id);
create index idx_jobs_script_id on jobs (script_id);
create index idx_jobs_use_overlay on jobs (use_overlay);
create unique index idx_job_history_job_id_version on job_history (job_id, version);
create index idx_idempotency_keys_at on idempotency_keys (at);

create virtual table jobs_fts
using fts5 (job_name, product, persona, setting, emotion, hook, brand_name, content="jobs");

create view jobs_projection as
-- What the columns of each job are to be. A time column may hold the instant that the text in `data`
-- names, as YYYY-MM-DDTHH:MM:SS.SSSZ: then the two differ at most by a zone, which is whole minutes.
select *, round((julianday(iif(created_at glob '[0-9][0-9][0-9]*', created_at, null), 'auto')
  - 2440587.5) * 86400000) as created_instant
from (select rowid as job_rowid,
  data ->> '$.job_name' as job_name, data ->> '$.product' as product, data ->> '$.persona' as persona,
  data ->> '$.setting' as setting, data ->> '$.emotion' as emotion, data ->> '$.hook' as hook,
  data ->> '$.elevenlabs_voice_id' as elevenlabs_voice_id, data ->> '$.brand_name' as brand_name,
  coalesce(data ->> '$.language', 'English') as language, coalesce(data ->> '$.enabled', 1) as enabled,
  iif(created_at glob '????-??-??T??:??:??.???Z' and abs(created_off) < 900
    and abs(created_off - round(created_off)) < 0.001, created_at,
    coalesce(data ->> '$.created_at', created_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))) as created_at,
  iif(updated_at glob '????-??-??T??:??:??.???Z' and abs(updated_off) < 900
    and abs(updated_off - round(updated_off)) < 0.001, updated_at,
    coalesce(data ->> '$.updated_at', updated_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))) as updated_at,
  coalesce(data ->> '$.campaign_type', data ->> '$.campaignType') as campaign_type,
  coalesce(data ->> '$.avatar_id', data ->> '$.avatarId') as avatar_id,
  coalesce(data ->> '$.script_id', data ->> '$.scriptId') as script_id,
  coalesce(data ->> '$.avatar_video_path', data ->> '$.avatarVideo') as avatar_video_path,
  coalesce(data ->> '$.script_file', data ->> '$.scriptFile', data ->> '$.example_script_file') as script_file,
  coalesce(data ->> '$.use_overlay', data ->> '$.useOverlay', 0) as use_overlay,
  coalesce(data ->> '$.automated_video_editing_enabled', 1) as automated_video_editing_enabled,
  coalesce(data ->> '$.useExactScript', 0) as useExactScript
from (select rowid, data, created_at, updated_at,
    (julianday(created_at) - julianday(data ->> '$.created_at', 'auto')) * 1440 as created_off,
    (julianday(updated_at) - julianday(data ->> '$.updated_at', 'auto')) * 1440 as updated_off
  from jobs));

create view job_columns as
-- The columns of each job as a JSON object, and other keys for them that its `data` uses.
select id as job_id, data,
  json_object('id', id, 'job_name', job_name, 'product', product, 'persona', persona,
    'setting', setting, 'emotion', emotion, 'hook', hook,
    'elevenlabs_voice_id', elevenlabs_voice_id, 'language', language, 'brand_name', brand_name,
    'created_at', created_at, 'updated_at', updated_at, 'campaign_type', campaign_type,
    'avatar_id', avatar_id, 'script_id', script_id, 'avatar_video_path', avatar_video_path,
    'script_file', script_file,
    'enabled', json(case enabled when 1 then 'true' when 0 then 'false' else json_quote(enabled) end),
    'use_overlay', json(case use_overlay when 1 then 'true' when 0 then 'false'
      else json_quote(use_overlay) end),
    'automated_video_editing_enabled', json(case automated_video_editing_enabled
      when 1 then 'true' when 0 then 'false' else json_quote(automated_video_editing_enabled) end),
    'useExactScript', json(case useExactScript when 1 then 'true' when 0 then 'false'
      else json_quote(useExactScript) end)) as columns,
  json_object(
    'campaign_type', iif(data ->> '$.campaignType' is not null, 'campaignType', null),
    'avatar_id', iif(data ->> '$.avatarId' is not null, 'avatarId', null),
    'script_id', iif(data ->> '$.scriptId' is not null, 'scriptId', null),
    'avatar_video_path', iif(data ->> '$.avatarVideo' is not null, 'avatarVideo', null),
    'script_file', iif(data ->> '$.scriptFile' is not null, 'scriptFile',
      iif(data ->> '$.example_script_file' is not null, 'example_script_file', null)),
    'use_overlay', iif(data ->> '$.useOverlay' is not null, 'useOverlay', null)) as other_keys
from jobs;

create view job_patches as
-- What `data` has to gain from the columns that the statement at work sets, as a merge patch.
select job_id, json_group_object(data_key, json(columns -> key)) as patch
from (
  select pending_changes.job_id, before, data_changed, columns_set, data, columns, key, value,
    iif(data ->> key is null, coalesce(other_keys ->> key, key), key) as data_key,
    '{"language": "English", "enabled": 1, "use_overlay": 0, "useExactScript": 0,
      "automated_video_editing_enabled": 1}' as defaults
  from pending_changes join job_columns on job_columns.job_id = pending_changes.job_id join json_each(columns)
)
where case
    when key = 'id' then cast(data ->> 'id' as text) is not value
    when not data_changed then value is not before ->> key
    when value is null or data ->> data_key is not null then false
    when key in ('created_at', 'updated_at')
      then value is not coalesce(before ->> key, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    else value is not coalesce(before, defaults) ->> key
      or (columns_set and value is not defaults ->> key) end
group by job_id;

create view job_versions as
-- Every version of every job with its content.
select job_history.id, job_history.job_id, job_history.version, job_history.operation,
  job_history.actor, job_history.changed_at, coalesce(job_history.data, jobs.data) as data
from job_history left join jobs on jobs.id = job_history.job_id;

create view deleted_jobs as
-- Jobs that are gone, as they last were.
select job_id as id, data ->> '$.job_name' as job_name, version, actor, changed_at as deleted_at, data
from job_history
where operation = 'delete'
  and version = (select max(version) from job_history as every where every.job_id = job_history.job_id);

create trigger job_versions_insert instead of insert on job_versions
when new.operation = 'delete' or new.data is not (select data from jobs where id = new.job_id)
begin
  -- Add a version. `data` is the content until now, which the version before it keeps.
  update job_history
  set data = new.data
  where new.data is not null and job_id = new.job_id
    and version = (select max(version) from job_history where job_id = new.job_id);
  insert into job_history (job_id, version, operation, actor, changed_at, data)
  values (new.job_id, 1 + coalesce((select max(version) from job_history where job_id = new.job_id), 0),
    new.operation, (select actor from write_context), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
    iif(new.operation = 'delete', new.data, null));
end;

create trigger jobs_bi before insert on jobs
begin
  -- Refuse what is no job; note which job it may replace, and whether its columns say something.
  select raise(abort, 'jobs.id: a job needs an id') where coalesce(new.id, '') = '';
  select raise(abort, 'jobs.data: must be a JSON object, as text')
  where new.data is not null and (typeof(new.data) = 'blob' or not json_valid(new.data)
    or json_type(new.data) <> 'object');
  delete from jobs_before;
  insert into jobs_before
  select rowid, id, job_name, product, persona, setting, emotion, hook, brand_name, language, enabled,
    data, 0, 0 from jobs where id = new.id;
  delete from pending_changes;
  insert into pending_changes (job_id, data_changed) select new.id, 1
  where new.data is not null and (cast(new.data ->> '$.id' as text) is not new.id
    or coalesce(new.job_name, new.product, new.persona, new.setting, new.emotion, new.hook,
      new.elevenlabs_voice_id, new.brand_name, new.campaign_type, new.avatar_id, new.script_id,
      new.avatar_video_path, new.script_file) is not null
    or (new.language, new.enabled, new.use_overlay, new.automated_video_editing_enabled,
      new.useExactScript) is not ('English', 1, 0, 1, 0)
    or (new.data ->> '$.created_at' is null
      and new.created_at <> strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    or (new.data ->> '$.updated_at' is null
      and new.updated_at <> strftime('%Y-%m-%dT%H:%M:%fZ', 'now')));
end;

create trigger jobs_bu before update on jobs
when (select paused from write_context) = 0
begin
  -- Refuse what is no job; note which job it may replace, and what the columns said before.
  select raise(abort, 'jobs.id: a job needs an id') where coalesce(new.id, '') = '';
  select raise(abort, 'jobs.data: must be a JSON object, as text')
  where new.data is not null and (typeof(new.data) = 'blob' or not json_valid(new.data)
    or json_type(new.data) <> 'object');
  delete from jobs_before;
  insert into jobs_before
  select rowid, id, job_name, product, persona, setting, emotion, hook, brand_name, language, enabled,
    data, 0, 0 from jobs where id in (old.id, new.id);
  insert into pending_changes (job_id, data_changed, before)
  select new.id, new.data is not old.data, columns from job_columns where job_id = old.id
  on conflict (job_id) do update set data_changed = excluded.data_changed, before = excluded.before;
end;

create trigger jobs_bu_columns before update of job_name, product, persona, setting, emotion, hook,
  elevenlabs_voice_id, language, brand_name, enabled, campaign_type, avatar_id, script_id,
  avatar_video_path, script_file, use_overlay, automated_video_editing_enabled, useExactScript on jobs
when new.data is not old.data
begin
  -- Note that the statement sets columns beside `data`.
  insert into pending_changes (job_id, columns_set) values (new.id, 1) on conflict do update set columns_set = 1;
end;

create trigger jobs_au_rules after update of job_name, enabled, use_overlay,
  automated_video_editing_enabled, useExactScript on jobs
when new.job_name is null or new.enabled not in (0, 1) or new.use_overlay not in (0, 1)
  or new.automated_video_editing_enabled not in (0, 1) or new.useExactScript not in (0, 1)
begin
  -- Refuse values that are not allowed, but for those that an old row has had.
  select case
    when new.job_name is null and (inserted or old.job_name is not null)
      then raise(abort, 'jobs.job_name: a job needs a name')
    when new.enabled not in (0, 1) and (inserted or new.enabled is not old.enabled)
      then raise(abort, 'jobs.enabled: must be true or false (1 or 0)')
    when new.use_overlay not in (0, 1) and (inserted or new.use_overlay is not old.use_overlay)
      then raise(abort, 'jobs.use_overlay: must be true or false (1 or 0)')
    when new.useExactScript not in (0, 1) and (inserted or new.useExactScript is not old.useExactScript)
      then raise(abort, 'jobs.useExactScript: must be true or false (1 or 0)')
    when new.automated_video_editing_enabled not in (0, 1) and (inserted
        or new.automated_video_editing_enabled is not old.automated_video_editing_enabled)
      then raise(abort, 'jobs.automated_video_editing_enabled: must be true or false (1 or 0)')
  end from (select paused = 2 as inserted from write_context);
end;

create trigger jobs_projection_insert instead of insert on jobs_projection
begin
  -- Complete `data`, let the columns follow it, those at the end if they differ; add to search.
  update jobs
  set data = iif(data is null,
      (select json_patch('{}', columns) from job_columns where job_id = jobs.id),
      coalesce((select json_patch(data, patch) from job_patches), data))
  where rowid = new.job_rowid and (data is null or exists (select 1 from pending_changes));
  update jobs
  set (job_name, product, persona, setting, emotion, hook, elevenlabs_voice_id, brand_name,
    created_at, updated_at, created_instant) =
    (select job_name, product, persona, setting, emotion, hook, elevenlabs_voice_id, brand_name,
    created_at, updated_at, created_instant from jobs_projection where job_rowid = new.job_rowid)
  where rowid = new.job_rowid;
  update jobs
  set (language, enabled, campaign_type, avatar_id, script_id, avatar_video_path, script_file,
    use_overlay, automated_video_editing_enabled, useExactScript) =
    (select language, enabled, campaign_type, avatar_id, script_id, avatar_video_path, script_file,
    use_overlay, automated_video_editing_enabled, useExactScript
    from jobs_projection where job_rowid = new.job_rowid)
  where rowid = new.job_rowid and (not (enabled in (0, 1) and use_overlay in (0, 1)
    and automated_video_editing_enabled in (0, 1) and useExactScript in (0, 1))
    or (language, enabled, campaign_type, avatar_id, script_id, avatar_video_path, script_file,
    use_overlay, automated_video_editing_enabled, useExactScript) is not
    (select language, enabled, campaign_type, avatar_id, script_id, avatar_video_path, script_file,
    use_overlay, automated_video_editing_enabled, useExactScript
    from jobs_projection where job_rowid = new.job_rowid));
  insert into jobs_fts (rowid, job_name, product, persona, setting, emotion, hook, brand_name)
  select rowid, job_name, product, persona, setting, emotion, hook, brand_name
  from jobs where rowid = new.job_rowid;
  insert into job_counts
  select json_array(product, persona, language, enabled is 1), product, persona, language, enabled is 1, 1
  from jobs where rowid = new.job_rowid
  on conflict (group_key) do update set jobs = jobs + 1;
end;

create trigger jobs_before_update after update of gone on jobs_before
begin
  -- Take what was before out of search and counts. If the delete trigger did, it is no deletion.
  insert into jobs_fts (jobs_fts, rowid, job_name, product, persona, setting, emotion, hook, brand_name)
  select 'delete', old.job_rowid, old.job_name, old.product, old.persona, old.setting, old.emotion,
    old.hook, old.brand_name
  where not old.deleted;
  update job_counts set jobs = jobs - 1
  where not old.deleted and group_key
    = json_array(old.product, old.persona, old.language, old.enabled is 1);
  delete from job_history
  where old.deleted and job_id = old.id
    and version = (select max(version) from job_history where job_id = old.id);
end;

create trigger jobs_fts_insert after insert on jobs
begin
  -- Put the new job in order and note its first version, or the next of the one it replaced.
  update write_context set paused = 2;
  update jobs_before set gone = 1
  where job_rowid = (select job_rowid from jobs_before where id = new.id);
  insert into jobs_projection (job_rowid) values (new.rowid);
  insert into job_versions (job_id, operation, data)
  values (new.id, iif((select 1 from jobs_before where id = new.id), 'update', 'insert'),
    (select data from jobs_before where id = new.id));
  delete from jobs_before;
  delete from pending_changes;
  update write_context set paused = 0;
end;

create trigger jobs_fts_update after update on jobs
when (select paused from write_context) = 0
begin
  -- Put the changed job in order, stamp it, and note a version; of two jobs if its key changed.
  update write_context set paused = 1;
  update jobs_before set gone = 1;
  insert into jobs_projection (job_rowid) values (new.rowid);
  update jobs
  set updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
    data = iif(new.data is not old.data, data,
      json_replace(data, '$.updated_at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now')))
  where rowid = new.rowid and data is not old.data and new.updated_at is old.updated_at
    and (new.data is old.data or data ->> '$.updated_at' is null);
  insert into job_versions (job_id, operation, data)
  select old.id, 'delete', old.data where new.id is not old.id;
  insert into job_versions (job_id, operation, data)
  values (new.id, iif((select 1 from jobs_before where id = new.id), 'update', 'insert'),
    (select data from jobs_before where id = new.id));
  delete from jobs_before;
  delete from pending_changes;
  update write_context set paused = 0;
end;

create trigger jobs_fts_delete after delete on jobs
begin
  -- Take the job out of search and counts, and note the deletion.
  insert into jobs_fts (jobs_fts, rowid, job_name, product, persona, setting, emotion, hook, brand_name)
  values ('delete', old.rowid, old.job_name, old.product, old.persona, old.setting, old.emotion,
    old.hook, old.brand_name);
  update job_counts set jobs = jobs - 1
  where group_key = json_array(old.product, old.persona, old.language, old.enabled is 1);
  insert into job_versions (job_id, operation, data) values (old.id, 'delete', old.data);
  update jobs_before set deleted = 1 where job_rowid = old.rowid;
end;
