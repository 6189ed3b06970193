create table presentation_jobs (
  job_id VARCHAR(50) NOT NULL, status VARCHAR(20) NOT NULL DEFAULT 'queued',
  progress FLOAT DEFAULT 0, error TEXT, config JSON, video_url VARCHAR(500), thumbnail_url VARCHAR(500), slide_image_path VARCHAR(500),
  created_at DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  completed_at DATETIME, last_heartbeat DATETIME,
  created_files JSON DEFAULT '[]', worker TEXT, attempts INTEGER DEFAULT 0, current_step TEXT,
  priority INTEGER NOT NULL DEFAULT 0, run_after DATETIME, PRIMARY KEY (job_id)
);

create table job_attempts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id TEXT NOT NULL REFERENCES presentation_jobs (job_id) ON DELETE CASCADE,
  worker TEXT, started_at TEXT NOT NULL, ended_at TEXT, outcome TEXT, error TEXT, log TEXT
);

create table job_events (
  id INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL, status_from TEXT, status_to TEXT,
  actor TEXT, at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), detail TEXT
);

create table job_changes (
  id INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL, operation TEXT NOT NULL, actor TEXT,
  at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

create table job_states (job_id TEXT PRIMARY KEY, status TEXT, lease TEXT);

create table job_times (job_id TEXT PRIMARY KEY, status TEXT, priority INTEGER, created_at TEXT, completed_at TEXT);

create table job_replaced (status TEXT, ran INTEGER);

create table job_status_moves (status_from TEXT, status_to TEXT, allowed TEXT NOT NULL, PRIMARY KEY (status_from, status_to));

insert into job_status_moves (status_from, status_to, allowed)
values
  ('queued', 'processing', 'always'),
  ('queued', 'completed', 'unless it ran'),
  ('queued', 'failed', 'unless it ran'),
  ('processing', 'queued', 'always'),
  ('processing', 'completed', 'always'),
  ('processing', 'failed', 'always'),
  ('completed', 'queued', 'never'),
  ('completed', 'processing', 'never'),
  ('completed', 'failed', 'never'),
  ('failed', 'queued', 'always'),
  ('failed', 'processing', 'never'),
  ('failed', 'completed', 'never');

create table idempotency_keys (
  actor TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, status INTEGER NOT NULL,
  headers TEXT NOT NULL, body TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (actor, key)
);

create table change_stream (id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT NOT NULL);

insert into change_stream (id, epoch)
values (1, lower(hex(randomblob(4))));

create table write_context (
  id INTEGER PRIMARY KEY CHECK (id = 1), actor TEXT,
  paused INTEGER NOT NULL DEFAULT 0, vacuum_pending INTEGER NOT NULL DEFAULT 0
);

insert into write_context (id) values (1);

create table set_aside (
  id INTEGER PRIMARY KEY, table_name TEXT NOT NULL, row_key TEXT, reason TEXT NOT NULL, content TEXT,
  at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

create index ix_presentation_jobs_created_at on presentation_jobs (created_at);

create index ix_presentation_jobs_status on presentation_jobs (status);

create index ix_presentation_jobs_job_id on presentation_jobs (job_id);

create index idx_created_at on presentation_jobs (created_at);

create index idx_status_created on presentation_jobs (status, created_at);

create index idx_job_attempts_job on job_attempts (job_id, id);

create index idx_job_events_job on job_events (job_id, id);

create index idx_job_changes_job on job_changes (job_id, operation);

create index idx_job_times_queue on job_times (status, priority desc, created_at, job_id);

create index idx_job_times_created on job_times (created_at, job_id);

create index idx_job_times_completed on job_times (completed_at, status);

create index idx_idempotency_keys_at on idempotency_keys (at);

create view job_checks as select job_id, status, progress, attempts, priority, run_after, config,
  created_files, null as status_from, null as ran from presentation_jobs where false;

create trigger write_context_bd before delete on write_context
begin
  -- Without its row the triggers log nothing.
  select raise(abort, 'write_context: its row must stay');
end;

create trigger job_checks_ii instead of insert on job_checks
begin
  -- Refuse given values out of their range or list, and a status that may not follow status_from.
  select raise(abort, 'presentation_jobs.job_id: must not be empty') where new.job_id = '';
  select raise(abort, 'presentation_jobs.status: must be one of queued, processing, completed, failed')
  where new.status not in ('queued', 'processing', 'completed', 'failed');
  select raise(abort, 'presentation_jobs.status: cannot go to this status (see job_status_moves)')
  from job_status_moves where status_from = new.status_from and status_to = new.status
    and (allowed = 'never' or allowed = 'unless it ran' and new.ran);
  select raise(abort, 'presentation_jobs.progress: must be a number from 0 to 100')
  where new.progress not between 0 and 100;
  select raise(abort, 'presentation_jobs.attempts: must be a whole number, 0 or more')
  where typeof(new.attempts) not in ('integer', 'null') or new.attempts < 0;
  select raise(abort, 'presentation_jobs.priority: must be a whole number') where typeof(new.priority) not in ('integer', 'null');
  select raise(abort, 'presentation_jobs.run_after: must be a time such as 2026-11-20T07:15:00.000Z')
  where new.run_after is not null and iif(new.run_after glob '[0-9]*-*', julianday(new.run_after), null) is null;
  select raise(abort, 'presentation_jobs.config: must be a JSON object') where new.config is not null
    and iif(typeof(new.config) = 'text' and json_valid(new.config), json_type(new.config), '') not in ('object', 'null');
  select raise(abort, 'presentation_jobs.created_files: must be a JSON list') where new.created_files is not null
    and iif(typeof(new.created_files) = 'text' and json_valid(new.created_files), json_type(new.created_files), '')
      not in ('array', 'null');
end;

create trigger presentation_jobs_bi before insert on presentation_jobs
begin
  -- Remember the job that `insert or replace` is about to remove.
  delete from job_replaced;
  insert into job_replaced (status, ran) select status,
    exists (select 1 from job_attempts where job_id = new.job_id) from presentation_jobs where job_id = new.job_id;
end;

create trigger presentation_jobs_ai after insert on presentation_jobs
begin
  -- A new job has no past, but what its status implies. A replaced one must allow its status.
  insert into job_checks
  select new.job_id, new.status, new.progress, new.attempts, new.priority, new.run_after, new.config,
    new.created_files, (select status from job_replaced), (select ran from job_replaced);
  delete from job_states where job_id = new.job_id;
  update presentation_jobs
  set progress = iif(status = 'completed', 100, coalesce(progress, 0)), attempts = coalesce(attempts, 0),
    completed_at = coalesce(completed_at, iif(status in ('completed', 'failed'), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), null))
  where job_id = new.job_id and (status <> 'queued' or progress is null or attempts is null);
  insert into job_changes (job_id, operation, actor) select new.job_id, 'insert', actor from write_context;
  insert into job_states (job_id) values (new.job_id);
  update job_states set status = new.status where job_id = new.job_id;
end;

create trigger presentation_jobs_ad after delete on presentation_jobs
begin
  -- What belongs to the job goes with it.
  delete from job_states where job_id = old.job_id;
end;

create trigger presentation_jobs_au after update on presentation_jobs
begin
  -- Changed values are checked and logged; of a job's updates the newest only. Progress is a heartbeat.
  insert into job_checks
  select nullif(new.job_id, old.job_id), nullif(new.status, old.status), nullif(new.progress, old.progress),
    nullif(new.attempts, old.attempts), nullif(new.priority, old.priority), nullif(new.run_after, old.run_after),
    nullif(new.config, old.config), nullif(new.created_files, old.created_files), old.status,
    exists (select 1 from job_attempts where job_id = old.job_id);
  delete from job_changes where job_id = new.job_id and operation = 'update';
  insert into job_changes (job_id, operation, actor) select new.job_id, 'update', actor from write_context;
  update presentation_jobs set last_heartbeat = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  where job_id = new.job_id and new.status = 'processing' and old.status = 'processing'
    and new.last_heartbeat is old.last_heartbeat
    and (new.progress is not old.progress or new.current_step is not old.current_step);
end;

create trigger presentation_jobs_au_status after update of status on presentation_jobs
when new.status <> old.status
begin
  -- Entering a status sets what the statement does not; queued again clears the last attempt.
  update presentation_jobs
  set error = nullif(new.error, old.error), current_step = nullif(new.current_step, old.current_step),
    completed_at = nullif(new.completed_at, old.completed_at), worker = nullif(new.worker, old.worker),
    progress = coalesce(nullif(new.progress, old.progress), 0)
  where job_id = new.job_id and new.status = 'queued';
  update presentation_jobs
  set attempts = coalesce(attempts, 0) + (new.attempts is old.attempts), last_heartbeat =
    coalesce(nullif(new.last_heartbeat, old.last_heartbeat), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
  where job_id = new.job_id and new.status = 'processing';
  update presentation_jobs
  set completed_at = coalesce(completed_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    progress = iif(new.status = 'completed', 100, progress)
  where job_id = new.job_id and new.status in ('completed', 'failed');
  update job_states set status = new.status
  where job_id = coalesce((select job_id from job_states where job_id = old.job_id), new.job_id);
end;

create trigger presentation_jobs_au_key after update on presentation_jobs
when new.job_id <> old.job_id
begin
  -- What belongs to a job follows its key; of a job that `update or replace` removed it goes.
  delete from job_states where job_id = new.job_id;
  update job_attempts set job_id = new.job_id where job_id = old.job_id;
  insert into job_changes (job_id, operation, actor) select old.job_id, 'delete', actor from write_context;
  insert into job_changes (job_id, operation, actor) select new.job_id, 'insert', actor from write_context;
  insert into job_events (job_id, status_from, status_to, actor, detail)
  select job_id, status, null, actor, 'renamed' from write_context, job_states where job_id = old.job_id
  union all select new.job_id, null, status, actor, 'renamed' from write_context, job_states where job_id = old.job_id;
  update job_states set job_id = new.job_id where job_id = old.job_id;
end;

create trigger job_changes_ai after insert on job_changes
begin
  -- Whatever changes a job is logged. Its times in job_times are instants, so that they can be sorted.
  delete from job_times where job_id = new.job_id;
  insert into job_times (job_id, status, priority, created_at, completed_at)
  select job_id, status, priority,
    strftime('%Y-%m-%dT%H:%M:%fZ', iif(created_at glob '[0-9][0-9][0-9]*', created_at, null), 'auto'),
    strftime('%Y-%m-%dT%H:%M:%fZ', iif(completed_at glob '[0-9][0-9][0-9]*', completed_at, null), 'auto')
  from presentation_jobs where job_id = new.job_id;
end;

create trigger job_states_ad after delete on job_states
begin
  -- A job goes, with all but its events.
  delete from job_attempts where job_id = old.job_id;
  insert into job_changes (job_id, operation, actor) select old.job_id, 'delete', actor from write_context;
  insert into job_events (job_id, status_from, actor, detail)
  select old.job_id, old.status, actor, 'deleted' from write_context;
end;

create trigger job_states_au_status after update of status on job_states
when new.status is not old.status
begin
  -- A change of status is an event; it ends an attempt, and may begin one under a new lease.
  insert into job_events (job_id, status_from, status_to, actor, detail)
  select new.job_id, old.status, new.status, actor, case when new.status = 'processing' then worker
    when new.status <> 'queued' then nullif(error, '') end
  from write_context left join presentation_jobs on job_id = new.job_id;
  update job_attempts
  set ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), outcome = new.status,
    error = (select error from presentation_jobs where job_id = new.job_id)
  where job_id = new.job_id and ended_at is null;
  insert into job_attempts (job_id, worker, started_at)
  select job_id, worker, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  from presentation_jobs where job_id = new.job_id and new.status = 'processing';
  update job_states set lease = iif(new.status = 'processing', lower(hex(randomblob(16))), null)
  where job_id = new.job_id and new.status <> 'completed';
end;
