-- A time without a zone may be of the configured one: its instant stays.
update video_metrics
set measured_at = calculated.measured_at
from calculated_metrics as calculated
where calculated.id = video_metrics.id
  and (video_metrics.measured_at is null or video_metrics.timestamp glob '*Z')
  and video_metrics.measured_at is not calculated.measured_at;

insert into video_platforms (video_id, platform)
select distinct video_id, platform
from video_metrics
where true
on conflict do nothing;

delete from video_metadata_fts;
insert into video_metadata_fts (rowid, title, description)
select id, title, description
from video_metadata;
