-- Makes counts of uses right again after triggers were missing. They are never lowered: earlier
-- systems counted uses that they did not log.

update image_library
set usage_count = logged.uses,
  last_used_at = logged.last
from (
  select image_id, count(*) as uses, max(timestamp) as last
  from image_usage
  group by image_id
) as logged
where logged.image_id = image_library.id
  and iif(typeof(usage_count) = 'integer', usage_count, 0) < logged.uses;
