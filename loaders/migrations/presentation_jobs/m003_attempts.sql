-- A job that is queued again leaves its error, progress and step in job_attempts; a run that no claim
-- began, as of an earlier system, becomes an attempt then.

alter table job_attempts add column progress FLOAT;

alter table job_attempts add column current_step TEXT;

drop trigger if exists presentation_jobs_au_key;

drop trigger if exists presentation_jobs_au_status;

create trigger presentation_jobs_au_status after update of status on presentation_jobs
when new.status <> old.status
begin
  -- Entering a status sets what the statement does not; queued again moves the last attempt to job_attempts.
  insert into job_attempts (job_id, worker, started_at, ended_at, outcome)
  select new.job_id, old.worker, old.created_at, old.completed_at, old.status
  where new.status = 'queued' and old.status = 'failed' and not exists (select 1 from job_attempts where job_id = new.job_id);
  update job_attempts set error = coalesce(error, old.error), progress = old.progress, current_step = old.current_step
  where new.status = 'queued' and progress is null and id = (select max(id) from job_attempts where job_id = new.job_id);
  update presentation_jobs set error = nullif(new.error, old.error), current_step = nullif(new.current_step, old.current_step),
    completed_at = nullif(new.completed_at, old.completed_at), worker = nullif(new.worker, old.worker),
    progress = coalesce(nullif(new.progress, old.progress), 0) where job_id = new.job_id and new.status = 'queued';
  update presentation_jobs set attempts = coalesce(attempts, 0) + (new.attempts is old.attempts), last_heartbeat =
    coalesce(nullif(new.last_heartbeat, old.last_heartbeat), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
  where job_id = new.job_id and new.status = 'processing';
  update presentation_jobs set progress = iif(new.status = 'completed', 100, progress), completed_at =
    coalesce(completed_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) where job_id = new.job_id and new.status in ('completed', 'failed');
  update job_states set status = new.status where job_id =
    coalesce((select job_id from job_states where job_id = old.job_id), new.job_id);
end;

-- Created again after the other one, so that it is executed first.
create trigger presentation_jobs_au_key after update on presentation_jobs
when new.job_id <> old.job_id
begin
  -- What belongs to a job follows its key; of a job that `update or replace` removed it goes.
  delete from job_states where job_id = new.job_id;
  update job_attempts set job_id = new.job_id where job_id = old.job_id;
  insert into job_changes (job_id, operation, actor) select old.job_id, 'delete', actor from write_context
  union all select new.job_id, 'insert', actor from write_context;
  insert into job_events (job_id, status_from, status_to, actor, detail)
  select job_id, status, null, actor, 'renamed' from write_context, job_states where job_id = old.job_id
  union all select new.job_id, null, status, actor, 'renamed' from write_context, job_states where job_id = old.job_id;
  update job_states set job_id = new.job_id where job_id = old.job_id;
end;
