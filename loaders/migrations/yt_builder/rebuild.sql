-- Derives again what triggers derive from jobs, after triggers were missing. No trigger fires.

insert into job_events (job_id, status_from, status_to, detail)
select job_states.job_id, job_states.status, jobs.status, iif(jobs.job_id is null, 'deleted', null)
from job_states
left join jobs using (job_id)
where jobs.status is not job_states.status;

insert into job_events (job_id, status_to)
select job_id, status
from jobs
where job_id not in (select job_id from job_states);

insert into job_changes (job_id, operation)
select job_id, 'delete'
from job_states
where job_id not in (select job_id from jobs)
union all
select job_id, iif(job_id in (select job_id from job_states), 'update', 'insert')
from jobs
where not exists (
  select 1
  from job_states
  where job_states.job_id = jobs.job_id
    and job_states.status = jobs.status
);

update job_attempts
set ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
  outcome = (select status from jobs where jobs.job_id = job_attempts.job_id)
where ended_at is null
  and job_id not in (select job_id from jobs where status = 'running');

delete from job_attempts
where job_id not in (select job_id from jobs);

delete from job_files
where job_id not in (select job_id from jobs);

delete from youtube_uploads
where job_id not in (select job_id from jobs);

delete from job_states
where (job_id, run_id) not in (select job_id, run_id from jobs);

update job_states
set lease = null,
  status = (select status from jobs where jobs.job_id = job_states.job_id)
where status is not (select status from jobs where jobs.job_id = job_states.job_id);

insert into job_states (job_id, run_id, status)
select job_id, run_id, status
from jobs
where job_id not in (select job_id from job_states);

insert into job_attempts (job_id, worker, started_at)
select job_id, worker, coalesce(started_at, created_at)
from jobs
where status = 'running'
  and job_id not in (select job_id from job_attempts where ended_at is null);

delete from job_times;

insert into job_times (job_id, status, priority, created_at, finished_at)
select job_id, status, priority,
  strftime('%Y-%m-%dT%H:%M:%fZ', iif(created_at glob '[0-9][0-9][0-9]*', created_at, null), 'auto'),
  strftime('%Y-%m-%dT%H:%M:%fZ', iif(finished_at glob '[0-9][0-9][0-9]*', finished_at, null), 'auto')
from jobs;

-- No number is given again, also where a table that was rebuilt by hand forgot the last one.
update sqlite_sequence
set seq = max(seq, (select coalesce(max(job_id), 0) from job_events))
where name = 'jobs';
