-- Calculates engagement rates of snapshots that were written while triggers were missing.

update video_metrics
set engagement_rate = calculated.engagement_rate
from calculated_metrics as calculated
where calculated.id = video_metrics.id
  and video_metrics.engagement_rate is null
  and calculated.engagement_rate is not null;
