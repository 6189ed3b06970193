delete from image_library_fts;
insert into image_library_fts (rowid, generation_prompt, tags, file_path)
select id, generation_prompt, tags, file_path
from image_library;
