-- A job that is queued again leaves its error, progress and step in job_attempts; a run that no claim
-- began, as of an earlier system, becomes an attempt then.

alter table job_attempts add column progress INTEGER;

alter table job_attempts add column current_step TEXT;

drop trigger if exists jobs_au_key;

drop trigger if exists jobs_au_status;

create trigger jobs_au_status after update of status on jobs
when new.status <> old.status
begin
  -- Entering a status sets what the statement does not; queued again moves the last attempt to job_attempts.
  insert into job_attempts (job_id, worker, started_at, ended_at, outcome) select new.job_id, old.worker,
    coalesce(old.started_at, old.created_at), old.finished_at, old.status
  where new.status = 'queued' and old.status in ('failed', 'cancelled') and coalesce(old.started_at, old.error) is not null
    and not exists (select 1 from job_attempts where job_id = new.job_id);
  update job_attempts set error = coalesce(error, old.error), progress = old.progress, current_step = old.current_step
  where new.status = 'queued' and progress is null and id = (select max(id) from job_attempts where job_id = new.job_id);
  update jobs set error = nullif(new.error, old.error), current_step = nullif(new.current_step, old.current_step),
    started_at = nullif(new.started_at, old.started_at), finished_at = nullif(new.finished_at, old.finished_at),
    worker = nullif(new.worker, old.worker), progress = coalesce(nullif(new.progress, old.progress), 0)
  where job_id = new.job_id and new.status = 'queued';
  update jobs set attempts = coalesce(attempts, 0) + (new.attempts is old.attempts),
    started_at = coalesce(started_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), last_heartbeat =
      coalesce(nullif(new.last_heartbeat, old.last_heartbeat), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
  where job_id = new.job_id and new.status = 'running';
  update jobs set finished_at = coalesce(finished_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    progress = iif(new.status = 'completed', 100, progress)
  where job_id = new.job_id and new.status in ('completed', 'failed', 'cancelled');
  update job_states set status = new.status where job_id =
    coalesce((select job_id from job_states where job_id = old.job_id), new.job_id);
end;

-- Created again after the other one, so that it is executed first.
create trigger jobs_au_key after update on jobs
when new.job_id <> old.job_id or new.run_id <> old.run_id
begin
  -- What belongs to a job follows its key; of jobs that `update or replace` removed it goes.
  delete from job_states where (job_id = new.job_id or run_id = new.run_id) and job_id <> old.job_id;
  update job_files set job_id = new.job_id where job_id = old.job_id;
  update youtube_uploads set job_id = new.job_id where job_id = old.job_id;
  update job_attempts set job_id = new.job_id where job_id = old.job_id;
  update job_states set job_id = new.job_id, run_id = new.run_id where job_id = old.job_id;
end;
