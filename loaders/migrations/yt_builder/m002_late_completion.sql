-- A job that was requeued and not claimed since can be completed by its last worker. Only a claim
-- gives a lease (loaders/queues/claims.py), so that a job without one was started without claims.

update job_status_moves
set allowed = 'always'
where status_from = 'queued'
  and status_to = 'completed';

drop trigger if exists job_states_au_status;

create trigger job_states_au_status after update of status on job_states
when new.status is not old.status
begin
  -- A status is an event, and the end or start of an attempt. A requeued job keeps its lease, for a late completion.
  insert into job_events (job_id, status_from, status_to, actor, detail) select new.job_id, old.status, new.status, actor,
    case when new.status = 'running' then worker when new.status not in ('preparing', 'queued') then nullif(error, '') end
  from write_context left join jobs on job_id = new.job_id;
  update job_attempts set ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), outcome = new.status,
    error = (select error from jobs where job_id = new.job_id)
  where job_id = new.job_id and (ended_at is null or old.status = 'queued' and new.status = 'completed'
    and outcome = 'queued' and id = (select max(id) from job_attempts where job_id = new.job_id));
  update jobs set (started_at, worker) = (select coalesce(jobs.started_at, started_at), coalesce(jobs.worker, worker)
    from job_attempts where job_id = new.job_id order by id desc limit 1)
  where job_id = new.job_id and old.status = 'queued' and new.status = 'completed'
    and job_id in (select job_id from job_attempts where outcome = 'completed');
  insert into job_attempts (job_id, worker, started_at)
  select job_id, worker, coalesce(started_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
  from jobs where job_id = new.job_id and new.status = 'running';
  update job_states set lease = null where job_id = new.job_id and new.status not in ('queued', 'completed');
end;
