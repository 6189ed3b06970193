-- Lists are also sorted by the last change.

create index idx_jobs_updated_at on jobs (updated_at);
