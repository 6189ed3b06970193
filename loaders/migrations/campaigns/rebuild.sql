-- Computes again what the triggers of jobs maintain, after rows were written without them.

update write_context set paused = 0;

delete from job_changes;

delete from jobs_before;

-- A row that was written without data gets it from its columns; then the columns follow data.
update jobs
set data = (select json_patch('{}', columns) from job_columns where job_id = jobs.id)
where data is null;

update jobs
set (job_name, product, persona, setting, emotion, hook, elevenlabs_voice_id, language, brand_name,
    enabled, created_at, updated_at, campaign_type, avatar_id, script_id, avatar_video_path,
    script_file, use_overlay, automated_video_editing_enabled, useExactScript) =
  (select job_name, product, persona, setting, emotion, hook, elevenlabs_voice_id, language,
    brand_name, enabled, created_at, updated_at, campaign_type, avatar_id, script_id,
    avatar_video_path, script_file, use_overlay, automated_video_editing_enabled, useExactScript
  from jobs_projection where job_rowid = jobs.rowid)
where json_valid(data);

insert into jobs_fts (jobs_fts) values ('rebuild');

delete from job_counts;

insert into job_counts (product, persona, language, enabled, jobs)
select product, persona, language, enabled is 1, count(*)
from jobs
group by 1, 2, 3, 4;

-- Jobs that were inserted, or changed since a version with content.
insert into job_history (job_id, version, operation, changed_at)
select jobs.id, 1 + coalesce(last.version, 0),
  iif(coalesce(last.operation, 'delete') = 'delete', 'insert', 'update'),
  strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
from jobs
left join job_history as last on last.job_id = jobs.id
  and last.version = (select max(version) from job_history where job_id = jobs.id)
where jobs.id is not null
  and (last.id is null or last.operation = 'delete' or last.data <> jobs.data);

-- Jobs that were deleted; what they held last is known only if their last version says it.
insert into job_history (job_id, version, operation, changed_at, data)
select last.job_id, last.version + 1, 'delete', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), last.data
from job_history as last
where last.operation <> 'delete'
  and last.version = (select max(version) from job_history where job_id = last.job_id)
  and not exists (select 1 from jobs where jobs.id = last.job_id);
