-- Derives again what triggers derive from presentation_jobs, after triggers were missing. No trigger fires.

insert into job_events (job_id, status_from, status_to, detail)
select job_states.job_id, job_states.status, presentation_jobs.status,
  iif(presentation_jobs.job_id is null, 'deleted', null)
from job_states
left join presentation_jobs using (job_id)
where presentation_jobs.status is not job_states.status;

insert into job_events (job_id, status_to)
select job_id, status
from presentation_jobs
where job_id not in (select job_id from job_states);

insert into job_changes (job_id, operation)
select job_id, 'delete'
from job_states
where job_id not in (select job_id from presentation_jobs)
union all
select job_id, iif(job_id in (select job_id from job_states), 'update', 'insert')
from presentation_jobs
where not exists (
  select 1
  from job_states
  where job_states.job_id = presentation_jobs.job_id
    and job_states.status = presentation_jobs.status
);

update job_attempts
set ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
  outcome = (select status from presentation_jobs where presentation_jobs.job_id = job_attempts.job_id)
where ended_at is null
  and job_id not in (select job_id from presentation_jobs where status = 'processing');

delete from job_attempts
where job_id not in (select job_id from presentation_jobs);

delete from job_states
where job_id not in (select job_id from presentation_jobs);

update job_states
set lease = null,
  status = (select status from presentation_jobs where presentation_jobs.job_id = job_states.job_id)
where status is not (select status from presentation_jobs where presentation_jobs.job_id = job_states.job_id);

insert into job_states (job_id, status)
select job_id, status
from presentation_jobs
where job_id not in (select job_id from job_states);

insert into job_attempts (job_id, worker, started_at)
select job_id, worker, created_at
from presentation_jobs
where status = 'processing'
  and job_id not in (select job_id from job_attempts where ended_at is null);

delete from job_times;

insert into job_times (job_id, status, priority, created_at, completed_at)
select job_id, status, priority,
  strftime('%Y-%m-%dT%H:%M:%fZ', iif(created_at glob '[0-9][0-9][0-9]*', created_at, null), 'auto'),
  strftime('%Y-%m-%dT%H:%M:%fZ', iif(completed_at glob '[0-9][0-9][0-9]*', completed_at, null), 'auto')
from presentation_jobs;
