create table jobs (
  job_id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL UNIQUE,
  run_dir TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'preparing',
  progress INTEGER DEFAULT 0, current_step TEXT, config TEXT,
  output_file TEXT, error TEXT,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  started_at TEXT, finished_at TEXT,
  worker TEXT, last_heartbeat TEXT, attempts INTEGER DEFAULT 0,
  priority INTEGER NOT NULL DEFAULT 0, run_after TEXT
);

create table job_files (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id INTEGER NOT NULL REFERENCES jobs (job_id) ON DELETE CASCADE,
  file_type TEXT NOT NULL, filename TEXT NOT NULL, file_path TEXT NOT NULL,
  uploaded_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  UNIQUE (job_id, file_type, filename)
);

create table youtube_uploads (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id INTEGER NOT NULL REFERENCES jobs (job_id) ON DELETE CASCADE,
  video_id TEXT NOT NULL,
  video_url TEXT NOT NULL,
  title TEXT NOT NULL,
  description TEXT,
  privacy TEXT NOT NULL DEFAULT 'private',
  tags TEXT,
  category TEXT,
  uploaded_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

create table job_attempts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id INTEGER NOT NULL REFERENCES jobs (job_id) ON DELETE CASCADE,
  worker TEXT, started_at TEXT NOT NULL, ended_at TEXT, outcome TEXT, error TEXT, log TEXT
);

create table job_events (
  id INTEGER PRIMARY KEY AUTOINCREMENT, job_id INTEGER NOT NULL, status_from TEXT, status_to TEXT,
  actor TEXT, at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), detail TEXT
);

create table job_changes (
  id INTEGER PRIMARY KEY AUTOINCREMENT, job_id INTEGER NOT NULL, operation TEXT NOT NULL, actor TEXT,
  at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

create table job_states (job_id INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, status TEXT, lease TEXT);

create table job_times (
  job_id INTEGER PRIMARY KEY, status TEXT, priority INTEGER, created_at TEXT, finished_at TEXT
);

create table job_replaced (status TEXT, ran INTEGER);

create table job_status_moves (
  status_from TEXT, status_to TEXT, allowed TEXT NOT NULL, PRIMARY KEY (status_from, status_to)
);

insert into job_status_moves (status_from, status_to, allowed)
values
  ('preparing', 'queued', 'always'),
  ('preparing', 'running', 'always'),
  ('preparing', 'completed', 'unless it ran'),
  ('preparing', 'failed', 'always'),
  ('preparing', 'cancelled', 'always'),
  ('queued', 'preparing', 'never'),
  ('queued', 'running', 'always'),
  ('queued', 'completed', 'unless it ran'),
  ('queued', 'failed', 'unless it ran'),
  ('queued', 'cancelled', 'always'),
  ('running', 'preparing', 'never'),
  ('running', 'queued', 'always'),
  ('running', 'completed', 'always'),
  ('running', 'failed', 'always'),
  ('running', 'cancelled', 'always'),
  ('completed', 'preparing', 'never'),
  ('completed', 'queued', 'never'),
  ('completed', 'running', 'never'),
  ('completed', 'failed', 'never'),
  ('completed', 'cancelled', 'never'),
  ('failed', 'preparing', 'never'),
  ('failed', 'queued', 'always'),
  ('failed', 'running', 'never'),
  ('failed', 'completed', 'never'),
  ('failed', 'cancelled', 'never'),
  ('cancelled', 'preparing', 'never'),
  ('cancelled', 'queued', 'always'),
  ('cancelled', 'running', 'never'),
  ('cancelled', 'completed', 'never'),
  ('cancelled', 'failed', 'always');

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

create index idx_jobs_status on jobs (status);

create index idx_jobs_created on jobs (created_at desc);

create index idx_job_files_job on job_files (job_id);

create index idx_youtube_job on youtube_uploads (job_id);

create index idx_youtube_uploads_uploaded on youtube_uploads (uploaded_at);

create index idx_youtube_uploads_video on youtube_uploads (video_id);

create index idx_youtube_uploads_privacy on youtube_uploads (privacy, job_id);

create index idx_job_attempts_job on job_attempts (job_id, id);

create index idx_job_events_job on job_events (job_id, id);

create index idx_job_changes_job on job_changes (job_id, operation);

create index idx_job_times_queue on job_times (status, priority desc, created_at, job_id);

create index idx_job_times_created on job_times (created_at, job_id);

create index idx_job_times_finished on job_times (finished_at, status);

create index idx_idempotency_keys_at on idempotency_keys (at);

create view job_checks as select job_id, status, progress, attempts, priority, run_after, config,
  null as status_from, null as ran from jobs where false;

create trigger write_context_bd before delete on write_context
begin
  -- Without its row the triggers log nothing.
  select raise(abort, 'write_context: its row must stay');
end;

create trigger job_checks_ii instead of insert on job_checks
begin
  -- Refuse given values out of their range or list, and a status that may not follow status_from.
  select raise(abort, 'jobs.job_id: must be below 4611686018427387904') where new.job_id >= 1 << 62;
  select raise(abort, 'jobs.status: must be one of preparing, queued, running, completed, failed, cancelled')
  where new.status not in ('preparing', 'queued', 'running', 'completed', 'failed', 'cancelled');
  select raise(abort, 'jobs.status: cannot go to this status (see job_status_moves)')
  from job_status_moves where status_from = new.status_from and status_to = new.status
    and (allowed = 'never' or allowed = 'unless it ran' and new.ran);
  select raise(abort, 'jobs.progress: must be a whole number from 0 to 100')
  where typeof(new.progress) not in ('integer', 'null') or new.progress not between 0 and 100;
  select raise(abort, 'jobs.attempts: must be a whole number, 0 or more')
  where typeof(new.attempts) not in ('integer', 'null') or new.attempts < 0;
  select raise(abort, 'jobs.priority: must be a whole number')
  where typeof(new.priority) not in ('integer', 'null');
  select raise(abort, 'jobs.run_after: must be a time such as 2026-11-20T07:15:00.000Z')
  where new.run_after is not null
    and iif(new.run_after glob '[0-9]*-*', julianday(new.run_after), null) is null;
  select raise(abort, 'jobs.config: must be a JSON object')
  where new.config is not null
    and iif(typeof(new.config) = 'text' and json_valid(new.config), json_type(new.config), '')
      not in ('object', 'null');
end;

create trigger jobs_bi before insert on jobs
begin
  -- Remember the job that `insert or replace` is about to remove.
  delete from job_replaced;
  insert into job_replaced (status, ran)
  select status, exists (select 1 from job_attempts where job_id = new.job_id)
  from jobs where job_id = new.job_id and run_id = new.run_id;
end;

create trigger jobs_ai after insert on jobs
begin
  -- A new job has no past, but what its status implies. A replaced one must allow its status.
  insert into job_checks
  select new.job_id, new.status, new.progress, new.attempts, new.priority, new.run_after, new.config,
    (select status from job_replaced), (select ran from job_replaced);
  delete from job_states where job_id = new.job_id or run_id = new.run_id;
  update jobs
  set started_at = coalesce(started_at, iif(status = 'running', created_at, null)),
    finished_at = coalesce(finished_at, iif(status in ('completed', 'failed', 'cancelled'),
      strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), null)),
    progress = iif(status = 'completed', 100, coalesce(progress, 0)),
    attempts = coalesce(attempts, 0)
  where job_id = new.job_id
    and (status not in ('preparing', 'queued') or progress is null or attempts is null);
  insert into job_changes (job_id, operation, actor) select new.job_id, 'insert', actor from write_context;
  insert into job_states (job_id, run_id) values (new.job_id, new.run_id);
  update job_states set status = new.status where job_id = new.job_id;
end;

create trigger jobs_ad after delete on jobs
begin
  -- What belongs to the job goes with it.
  delete from job_states where job_id = old.job_id;
end;

create trigger jobs_au after update on jobs
begin
  -- Changed values are checked and logged; of a job's updates the newest only. Progress is a heartbeat.
  insert into job_checks
  select nullif(new.job_id, old.job_id), nullif(new.status, old.status), nullif(new.progress, old.progress),
    nullif(new.attempts, old.attempts), nullif(new.priority, old.priority),
    nullif(new.run_after, old.run_after), nullif(new.config, old.config), old.status,
    exists (select 1 from job_attempts where job_id = old.job_id);
  delete from job_changes where job_id = new.job_id and operation = 'update';
  insert into job_changes (job_id, operation, actor) select new.job_id, 'update', actor from write_context;
  update jobs set last_heartbeat = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
  where job_id = new.job_id and new.status = 'running' and old.status = 'running'
    and new.last_heartbeat is old.last_heartbeat
    and (new.progress is not old.progress or new.current_step is not old.current_step);
end;

create trigger jobs_au_started after update of started_at on jobs
when new.status = 'running' and old.status = 'running'
  and old.started_at is not null and new.started_at is not old.started_at
begin
  -- A running job keeps its start: earlier programs stamp it with every progress.
  update jobs
  set started_at = (select started_at from job_attempts where job_id = new.job_id and ended_at is null)
  where job_id = new.job_id
    and exists (select 1 from job_attempts where job_id = new.job_id and ended_at is null);
end;

create trigger jobs_au_status after update of status on jobs
when new.status <> old.status
begin
  -- Entering a status sets what the statement does not; queued again clears the last attempt.
  update jobs
  set error = nullif(new.error, old.error), current_step = nullif(new.current_step, old.current_step),
    started_at = nullif(new.started_at, old.started_at),
    finished_at = nullif(new.finished_at, old.finished_at), worker = nullif(new.worker, old.worker),
    progress = coalesce(nullif(new.progress, old.progress), 0)
  where job_id = new.job_id and new.status = 'queued';
  update jobs
  set attempts = coalesce(attempts, 0) + (new.attempts is old.attempts),
    started_at = coalesce(started_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    last_heartbeat = coalesce(nullif(new.last_heartbeat, old.last_heartbeat),
      strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
  where job_id = new.job_id and new.status = 'running';
  update jobs
  set finished_at = coalesce(finished_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    progress = iif(new.status = 'completed', 100, progress)
  where job_id = new.job_id and new.status in ('completed', 'failed', 'cancelled');
  update job_states set status = new.status
  where job_id = coalesce((select job_id from job_states where job_id = old.job_id), new.job_id);
end;

create trigger jobs_au_key after update on jobs
when new.job_id <> old.job_id or new.run_id <> old.run_id
begin
  -- What belongs to a job follows its key; of jobs that `update or replace` removed it goes.
  delete from job_states
  where (job_id = new.job_id or run_id = new.run_id) and job_id <> old.job_id;
  update job_files set job_id = new.job_id where job_id = old.job_id;
  update youtube_uploads set job_id = new.job_id where job_id = old.job_id;
  update job_attempts set job_id = new.job_id where job_id = old.job_id;
  update job_states set job_id = new.job_id, run_id = new.run_id where job_id = old.job_id;
end;

create trigger job_changes_ai after insert on job_changes
begin
  -- Whatever changes a job is logged. Its times in job_times are instants, so that they can be sorted.
  delete from job_times where job_id = new.job_id;
  insert into job_times (job_id, status, priority, created_at, finished_at)
  select job_id, status, priority,
    strftime('%Y-%m-%dT%H:%M:%fZ', iif(created_at glob '[0-9][0-9][0-9]*', created_at, null), 'auto'),
    strftime('%Y-%m-%dT%H:%M:%fZ', iif(finished_at glob '[0-9][0-9][0-9]*', finished_at, null), 'auto')
  from jobs where job_id = new.job_id;
end;

create trigger job_states_au_key after update of job_id on job_states
when new.job_id <> old.job_id
begin
  -- A new key is the end of one job and the beginning of another.
  insert into job_changes (job_id, operation, actor)
  select old.job_id, 'delete', actor from write_context
  union all select new.job_id, 'insert', actor from write_context;
  insert into job_events (job_id, status_from, status_to, actor, detail)
  select old.job_id, old.status, null, actor, 'renamed' from write_context
  union all select new.job_id, null, old.status, actor, 'renamed' from write_context;
end;

create trigger job_states_ad after delete on job_states
begin
  -- A job goes, with all but its events.
  delete from job_files where job_id = old.job_id;
  delete from youtube_uploads where job_id = old.job_id;
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
  select new.job_id, old.status, new.status, actor,
    case when new.status = 'running' then worker
      when new.status not in ('preparing', 'queued') then nullif(error, '') end
  from write_context left join jobs on job_id = new.job_id;
  update job_attempts
  set ended_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), outcome = new.status,
    error = (select error from jobs where job_id = new.job_id)
  where job_id = new.job_id and ended_at is null;
  insert into job_attempts (job_id, worker, started_at)
  select job_id, worker, coalesce(started_at, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
  from jobs where job_id = new.job_id and new.status = 'running';
  update job_states set lease = iif(new.status = 'running', lower(hex(randomblob(16))), null)
  where job_id = new.job_id and new.status <> 'completed';
end;

create trigger job_files_ai after insert on job_files
begin
  -- A file has a type from the list, and a job.
  select raise(abort, 'job_files.file_type: must be one of videos, music, sounds, quotes')
  where new.file_type not in ('videos', 'music', 'sounds', 'quotes');
  select raise(abort, 'job_files.job_id: there is no such job')
  where not exists (select 1 from jobs where job_id = new.job_id);
end;

create trigger job_files_au after update on job_files
begin
  -- A changed type is from the list, a changed job exists.
  select raise(abort, 'job_files.file_type: must be one of videos, music, sounds, quotes')
  where new.file_type is not old.file_type
    and new.file_type not in ('videos', 'music', 'sounds', 'quotes');
  select raise(abort, 'job_files.job_id: there is no such job')
  where new.job_id is not old.job_id and not exists (select 1 from jobs where job_id = new.job_id);
end;

create trigger youtube_uploads_ai after insert on youtube_uploads
begin
  -- An upload has a privacy from the list, tags as JSON, and a job.
  select raise(abort, 'youtube_uploads.privacy: must be one of private, unlisted, public')
  where new.privacy not in ('private', 'unlisted', 'public');
  select raise(abort, 'youtube_uploads.tags: must be a JSON list')
  where new.tags is not null
    and iif(typeof(new.tags) = 'text' and json_valid(new.tags), json_type(new.tags), '') not in ('array', 'null');
  select raise(abort, 'youtube_uploads.job_id: there is no such job')
  where not exists (select 1 from jobs where job_id = new.job_id);
end;

create trigger youtube_uploads_au after update on youtube_uploads
begin
  -- A changed privacy is from the list, changed tags are JSON, a changed job exists.
  select raise(abort, 'youtube_uploads.privacy: must be one of private, unlisted, public')
  where new.privacy is not old.privacy and new.privacy not in ('private', 'unlisted', 'public');
  select raise(abort, 'youtube_uploads.tags: must be a JSON list')
  where new.tags is not old.tags and new.tags is not null
    and iif(typeof(new.tags) = 'text' and json_valid(new.tags), json_type(new.tags), '') not in ('array', 'null');
  select raise(abort, 'youtube_uploads.job_id: there is no such job')
  where new.job_id is not old.job_id and not exists (select 1 from jobs where job_id = new.job_id);
end;
