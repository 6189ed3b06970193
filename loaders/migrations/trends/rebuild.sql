delete from trending_topics_fts;
insert into trending_topics_fts (rowid, topic)
select id, topic
from trending_topics;
