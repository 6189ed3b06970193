-- Makes right again what triggers keep in step with jobs, after triggers were missing. None fires.

-- What is no JSON object is set aside; `data` is then made of the columns.
insert into set_aside (table_name, row_key, reason, content)
select 'jobs', id, 'data was no JSON object; the columns stay', data
from jobs
where data is not null
  and iif(typeof(data) = 'text' and json_valid(data), json_type(data), '') <> 'object';

update jobs
set data = null
where iif(typeof(data) = 'text' and json_valid(data), json_type(data), '') <> 'object';

update jobs
set data = (select json_patch('{}', columns) from job_columns where job_id = jobs.id)
where data is null;

update jobs
set data = json_set(data, '$.id', id)
where cast(data ->> '$.id' as text) is not id;

-- Where columns disagree with `data`, the newest version keeps what they say, as in an upgrade, and
-- another one follows `data`.
create temp table drifted as
select jobs.id as job_id, jobs.data, columns
from jobs
join job_columns on job_id = jobs.id
join jobs_projection as projection on job_rowid = jobs.rowid
where (jobs.job_name, jobs.product, jobs.persona, jobs.setting, jobs.emotion, jobs.hook,
    jobs.elevenlabs_voice_id, jobs.language, jobs.brand_name, jobs.enabled, jobs.created_at,
    jobs.updated_at, jobs.campaign_type, jobs.avatar_id, jobs.script_id, jobs.avatar_video_path,
    jobs.script_file, jobs.use_overlay, jobs.automated_video_editing_enabled, jobs.useExactScript)
  is not (projection.job_name, projection.product, projection.persona, projection.setting,
    projection.emotion, projection.hook, projection.elevenlabs_voice_id, projection.language,
    projection.brand_name, projection.enabled, projection.created_at, projection.updated_at,
    projection.campaign_type, projection.avatar_id, projection.script_id,
    projection.avatar_video_path, projection.script_file, projection.use_overlay,
    projection.automated_video_editing_enabled, projection.useExactScript)
  and (
    select operation from job_history
    where job_history.job_id = jobs.id
    order by version desc
    limit 1
  ) <> 'delete';

update job_history
set data = (
    select json_patch(data, columns)
    from temp.drifted
    where drifted.job_id = job_history.job_id
  )
where data is null
  and job_id in (select job_id from temp.drifted);

insert into job_history (job_id, version, operation, changed_at, data)
select job_id, max(version) + 1, 'update', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), null
from job_history
where job_id in (select job_id from temp.drifted)
group by job_id;

drop table temp.drifted;

update jobs
set (job_name, product, persona, setting, emotion, hook, elevenlabs_voice_id, language,
    brand_name, enabled, created_at, updated_at, campaign_type, avatar_id, script_id,
    avatar_video_path, script_file, use_overlay, automated_video_editing_enabled, useExactScript, created_instant)
  = (select job_name, product, persona, setting, emotion, hook, elevenlabs_voice_id, language,
    brand_name, enabled, created_at, updated_at, campaign_type, avatar_id, script_id,
    avatar_video_path, script_file, use_overlay, automated_video_editing_enabled, useExactScript,
    created_instant from jobs_projection where job_rowid = jobs.rowid);

-- Jobs that changed since a version that has its own content.
insert into job_history (job_id, version, operation, changed_at)
select jobs.id, last.version + 1, 'update', strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
from jobs
join job_history as last on last.job_id = jobs.id
where last.version = (select max(version) from job_history where job_id = jobs.id)
  and last.operation <> 'delete'
  and last.data <> jobs.data;

-- Jobs that came, or came back, and jobs that are gone, whose last content nobody kept. A time of
-- change that `data` does not hold was set a moment ago, and is the same in both tables.
insert into job_history (job_id, version, operation, changed_at, data)
select jobs.id, coalesce(max(version), 0) + 1, 'insert',
  iif(jobs.data ->> '$.updated_at' is null, jobs.updated_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), null
from jobs
left join job_history on job_id = jobs.id
where jobs.id is not null
group by jobs.id
having iif(max(version) is null, 'delete', operation) = 'delete';

insert into job_history (job_id, version, operation, changed_at, data)
select job_id, max(version) + 1, 'delete', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), job_history.data
from job_history
where job_id not in (select id from jobs where id is not null)
group by job_id
having operation <> 'delete';

insert into jobs_fts (jobs_fts) values ('rebuild');

update write_context set trigrams_to = coalesce((select max(rowid) from jobs), 0);

insert into jobs_trigrams (jobs_trigrams) values ('rebuild');

delete from job_counts;

insert into job_counts (group_key, product, persona, language, enabled, jobs)
select json_array(product, persona, language, enabled is 1), product, persona, language,
  enabled is 1, count(*)
from jobs
group by 1;
