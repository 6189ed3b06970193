-- The triggers of `jobs` in force: those by which its columns follow `data` are among them.
--
-- Search for parts of words: an index of all runs of three characters. With `detail=none` it is small,
-- and says which jobs hold all trigrams of a text; whether they hold the text is for the query to check.
-- New jobs are added to it in batches, which costs a tenth: queries read the jobs after the last batch.

alter table write_context add column trigrams_to INTEGER NOT NULL DEFAULT 0; -- rowid of the last one added

create view jobs_in_trigrams as select rowid as job_rowid, job_name, product, persona, setting, emotion, hook,
  brand_name from jobs where rowid <= (select trigrams_to from write_context);

create virtual table jobs_trigrams using fts5 (job_name, product, persona, setting, emotion, hook, brand_name,
  content="jobs_in_trigrams", content_rowid="job_rowid", tokenize="trigram", detail="none", columnsize=0);

drop trigger jobs_bi;
drop trigger jobs_bu;
drop trigger jobs_projection_insert;
drop trigger jobs_before_update;
drop trigger jobs_fts_delete;
drop trigger jobs_fts_insert;
drop trigger jobs_fts_update;

create trigger jobs_bi before insert on jobs begin
  -- Refuse what is no job; note which job it may replace, and whether its columns say something.
  select raise(abort, 'jobs.id: a job needs an id') where coalesce(new.id, '') = '';
  select raise(abort, 'jobs.data: must be a JSON object, as text') where new.data is not null
    and (typeof(new.data) = 'blob' or not json_valid(new.data) or json_type(new.data) <> 'object');
  delete from jobs_before;
  insert into jobs_before select rowid, id, job_name, product, persona, setting, emotion, hook, brand_name,
    language, enabled, data, 0, 0 from jobs where id = new.id;
  delete from pending_changes;
  insert into pending_changes (job_id, data_changed) select new.id, 1
  where new.data is not null and (cast(new.data ->> '$.id' as text) is not new.id
    or coalesce(new.job_name, new.product, new.persona, new.setting, new.emotion, new.hook,
      new.elevenlabs_voice_id, new.brand_name, new.campaign_type, new.avatar_id, new.script_id,
      new.avatar_video_path, new.script_file) is not null
    or (new.language, new.enabled, new.use_overlay, new.automated_video_editing_enabled, new.useExactScript)
      is not ('English', 1, 0, 1, 0)
    or (new.data ->> '$.created_at' is null and new.created_at <> strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
    or (new.data ->> '$.updated_at' is null and new.updated_at <> strftime('%Y-%m-%dT%H:%M:%fZ', 'now')));
end;

create trigger jobs_fts_insert after insert on jobs begin
  -- Put the new job in order and note its first version, or the next of the one it replaced.
  update write_context set paused = 2;
  update jobs_before set gone = 1 where job_rowid = (select job_rowid from jobs_before where id = new.id);
  insert into jobs_projection (job_rowid) values (new.rowid);
  insert into job_versions (job_id, operation, data)
  values (new.id, iif((select 1 from jobs_before where id = new.id), 'update', 'insert'),
    (select data from jobs_before where id = new.id));
  delete from jobs_before;
  delete from pending_changes;
  update write_context set paused = 0;
end;

create trigger jobs_bu before update on jobs when (select paused from write_context) = 0 begin
  -- Refuse what is no job; note which job it may replace, and what the columns said before.
  select raise(abort, 'jobs.id: a job needs an id') where coalesce(new.id, '') = '';
  select raise(abort, 'jobs.data: must be a JSON object, as text') where new.data is not null
    and (typeof(new.data) = 'blob' or not json_valid(new.data) or json_type(new.data) <> 'object');
  delete from jobs_before;
  delete from pending_changes where job_id <> new.id or before is not null; -- left by `or ignore`
  insert into jobs_before select rowid, id, job_name, product, persona, setting, emotion, hook, brand_name,
    language, enabled, data, 0, 0 from jobs where id in (old.id, new.id);
  insert into pending_changes (job_id, data_changed, before)
  select new.id, new.data is not old.data, columns from job_columns where job_id = old.id
  on conflict (job_id) do update set data_changed = excluded.data_changed, before = excluded.before;
end;

create trigger jobs_before_update after update of gone on jobs_before begin
  -- Take what was before out of search and counts. If the delete trigger did, it is no deletion.
  insert into jobs_fts (jobs_fts, rowid, job_name, product, persona, setting, emotion, hook, brand_name)
  select 'delete', old.job_rowid, old.job_name, old.product, old.persona, old.setting, old.emotion,
    old.hook, old.brand_name where not old.deleted;
  insert into jobs_trigrams (jobs_trigrams, rowid, job_name, product, persona, setting, emotion, hook, brand_name)
  select 'delete', old.job_rowid, old.job_name, old.product, old.persona, old.setting, old.emotion, old.hook,
    old.brand_name from write_context where not old.deleted and old.job_rowid <= trigrams_to;
  update job_counts set jobs = jobs - 1 where not old.deleted
    and group_key = json_array(old.product, old.persona, old.language, old.enabled is 1);
  delete from job_history where old.deleted and job_id = old.id
    and version = (select max(version) from job_history where job_id = old.id);
end;

create trigger jobs_fts_update after update on jobs when (select paused from write_context) = 0 begin
  -- Put the changed job in order, stamp it, and note a version; of two jobs if its key changed.
  update write_context set paused = 1;
  update jobs_before set gone = 1;
  insert into jobs_projection (job_rowid) values (new.rowid);
  update jobs
  set updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), data = iif(new.data is not old.data, data,
    json_replace(data, '$.updated_at', strftime('%Y-%m-%dT%H:%M:%fZ', 'now')))
  where rowid = new.rowid and data is not old.data and new.updated_at is old.updated_at
    and (new.data is old.data or data ->> '$.updated_at' is null);
  insert into job_versions (job_id, operation, data) select old.id, 'delete', old.data where new.id is not old.id;
  insert into job_versions (job_id, operation, data)
  values (new.id, iif((select 1 from jobs_before where id = new.id), 'update', 'insert'),
    (select data from jobs_before where id = new.id));
  delete from jobs_before;
  delete from pending_changes;
  update write_context set paused = 0;
end;

create trigger jobs_projection_insert instead of insert on jobs_projection begin
  -- Complete `data`, let the columns follow it, those at the end if they differ; add to search.
  update jobs
  set data = iif(data is null, (select json_patch('{}', columns) from job_columns where job_id = jobs.id),
    coalesce((select json_patch(data, patch) from job_patches), data))
  where rowid = new.job_rowid and (data is null or exists (select 1 from pending_changes));
  update jobs
  set (job_name, product, persona, setting, emotion, hook, elevenlabs_voice_id, brand_name, created_at,
    updated_at, created_instant) = (select job_name, product, persona, setting, emotion, hook,
    elevenlabs_voice_id, brand_name, created_at, updated_at, created_instant
    from jobs_projection where job_rowid = new.job_rowid)
  where rowid = new.job_rowid;
  update jobs
  set (language, enabled, campaign_type, avatar_id, script_id, avatar_video_path, script_file, use_overlay,
    automated_video_editing_enabled, useExactScript) = (select language, enabled, campaign_type, avatar_id,
    script_id, avatar_video_path, script_file, use_overlay, automated_video_editing_enabled, useExactScript
    from jobs_projection where job_rowid = new.job_rowid)
  where rowid = new.job_rowid and (not (enabled in (0, 1) and use_overlay in (0, 1)
    and automated_video_editing_enabled in (0, 1) and useExactScript in (0, 1)) or (language, enabled,
    campaign_type, avatar_id, script_id, avatar_video_path, script_file, use_overlay,
    automated_video_editing_enabled, useExactScript) is not (select language, enabled, campaign_type, avatar_id,
    script_id, avatar_video_path, script_file, use_overlay, automated_video_editing_enabled, useExactScript
    from jobs_projection where job_rowid = new.job_rowid));
  insert into jobs_fts (rowid, job_name, product, persona, setting, emotion, hook, brand_name) select rowid,
    job_name, product, persona, setting, emotion, hook, brand_name from jobs where rowid = new.job_rowid;
  insert into jobs_trigrams (rowid, job_name, product, persona, setting, emotion, hook, brand_name)
  select job_rowid, job_name, product, persona, setting, emotion, hook, brand_name
  from jobs_in_trigrams where job_rowid = new.job_rowid;
  insert into job_counts
  select json_array(product, persona, language, enabled is 1), product, persona, language, enabled is 1, 1
  from jobs where rowid = new.job_rowid on conflict (group_key) do update set jobs = jobs + 1;
end;

create trigger jobs_fts_delete after delete on jobs begin
  -- Take the job out of search and counts, and note the deletion.
  insert into jobs_fts (jobs_fts, rowid, job_name, product, persona, setting, emotion, hook, brand_name) values
    ('delete', old.rowid, old.job_name, old.product, old.persona, old.setting, old.emotion, old.hook, old.brand_name);
  insert into jobs_trigrams (jobs_trigrams, rowid, job_name, product, persona, setting, emotion, hook, brand_name)
  select 'delete', old.rowid, old.job_name, old.product, old.persona, old.setting, old.emotion, old.hook,
    old.brand_name from write_context where old.rowid <= trigrams_to;
  update job_counts set jobs = jobs - 1 where group_key = json_array(old.product, old.persona, old.language, old.enabled is 1);
  insert into job_versions (job_id, operation, data) values (old.id, 'delete', old.data);
  update jobs_before set deleted = 1 where job_rowid = old.rowid;
end;

create trigger jobs_trigrams_insert after insert on jobs
when new.rowid > (select trigrams_to + 1000 from write_context) begin
  -- Add the jobs before this one as a batch.
  insert into jobs_trigrams (rowid, job_name, product, persona, setting, emotion, hook, brand_name)
  select rowid, job_name, product, persona, setting, emotion, hook, brand_name
  from jobs where rowid > (select trigrams_to from write_context) and rowid < new.rowid;
  update write_context set trigrams_to = new.rowid - 1;
end;

update write_context set trigrams_to = coalesce((select max(rowid) from jobs), 0);

insert into jobs_trigrams (jobs_trigrams) values ('rebuild');
