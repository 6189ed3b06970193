-- The database `image_library`: images of the characters, their uses in videos, and collections.

create table image_library (
  id INTEGER PRIMARY KEY AUTOINCREMENT, character TEXT NOT NULL, -- butcher or nutsy
  emotion TEXT, pose TEXT, file_path TEXT NOT NULL UNIQUE, source TEXT NOT NULL,
  file_size_bytes INTEGER, width INTEGER, height INTEGER, format TEXT,
  generation_prompt TEXT, generation_model TEXT, quality_score REAL, -- from 0 to 1
  usage_count INTEGER DEFAULT 0, tags TEXT, metadata TEXT, -- JSON; tags are an array
  timestamp DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  created_at DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), last_used_at DATETIME);

create table image_usage (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  image_id INTEGER NOT NULL REFERENCES image_library (id) ON DELETE CASCADE,
  video_id TEXT NOT NULL, scene_number INTEGER,
  timestamp DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')));

create table image_collections (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, description TEXT, character TEXT,
  created_at DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')));

create table collection_images (
  collection_id INTEGER NOT NULL REFERENCES image_collections (id) ON DELETE CASCADE,
  image_id INTEGER NOT NULL REFERENCES image_library (id) ON DELETE CASCADE,
  sort_order INTEGER DEFAULT 0, PRIMARY KEY (collection_id, image_id));

-- `image`, `collection` and `use_image` (the image of a use) are ids in rows that the current write
-- may replace, since `or replace` does not always fire delete triggers.
create table write_context (
  id INTEGER PRIMARY KEY CHECK (id = 1), actor TEXT, paused INTEGER NOT NULL DEFAULT 0,
  vacuum_pending INTEGER NOT NULL DEFAULT 0, image INTEGER, collection INTEGER, use_image INTEGER);

insert into write_context (id) values (1);

create table set_aside (
  id INTEGER PRIMARY KEY, table_name TEXT NOT NULL, row_key TEXT, reason TEXT NOT NULL,
  content TEXT, at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')));

create index idx_image_library_character on image_library (character);
create index idx_image_library_emotion on image_library (emotion);
create index idx_image_library_pose on image_library (pose);
create index idx_image_library_source on image_library (source);
create index idx_image_library_quality on image_library (quality_score desc);
create index idx_image_library_char_emotion on image_library (character, emotion);
create index idx_image_library_uses on image_library (usage_count desc);
-- With it the next image is picked without reading the table.
create index idx_image_library_pick
  on image_library (character, emotion, pose, usage_count, quality_score);
create index idx_image_library_format on image_library (format, file_size_bytes);
create index idx_image_usage_image_id on image_usage (image_id);
create index idx_image_usage_video_id on image_usage (video_id);
create index idx_collection_images_image_id on collection_images (image_id);

create virtual table image_library_fts using fts5 (generation_prompt, tags, file_path);

-- What triggers after insert and after update have in common: they insert into these views. Columns
-- that an update leaves as they were are null, as are `old_id` and `old_image_id` on insert.
create view image_changes as select id as old_id, id, id as other_id, character, quality_score,
  file_size_bytes, width, height, tags, metadata, usage_count, usage_count as uses
from image_library where false;
create view use_changes as select image_id as old_image_id, image_id, scene_number,
  image_id as replaced_image_id from image_usage where false;

create trigger write_context_bd before delete on write_context begin
  -- The triggers below need this row.
  select raise(abort, 'write_context: its row must stay');
end;

create trigger image_changes_ii instead of insert on image_changes begin
  -- Refuse values out of range, remove what belonged to replaced images, index the new one.
  select raise(abort, 'image_library.id: must stay while other rows refer to it')
  where new.id <> new.old_id and (new.old_id in (select image_id from image_usage)
    or new.old_id in (select image_id from collection_images));
  select raise(abort, 'image_library.character: must be butcher or nutsy')
  where new.character not in ('butcher', 'nutsy');
  select raise(abort, 'image_library.quality_score: must be a number from 0 to 1')
  where new.quality_score not between 0 and 1;
  select raise(abort, 'image_library.file_size_bytes: must be a whole number, 0 or more')
  where new.file_size_bytes is not cast(max(new.file_size_bytes, 0) as integer);
  select raise(abort, 'image_library.width: must be a whole number, 0 or more')
  where new.width is not cast(max(new.width, 0) as integer);
  select raise(abort, 'image_library.height: must be a whole number, 0 or more')
  where new.height is not cast(max(new.height, 0) as integer);
  select raise(abort, 'image_library.usage_count: must be a whole number, 0 or more')
  where new.usage_count is not cast(max(new.usage_count, 0) as integer);
  select raise(abort, 'image_library.tags: must be a JSON array') where new.tags is not null
    and iif(typeof(new.tags) = 'text' and json_valid(new.tags), json_type(new.tags), '') <> 'array';
  select raise(abort, 'image_library.metadata: must be valid JSON')
  where iif(typeof(new.metadata) = 'text', json_valid(new.metadata), new.metadata is null) = 0;
  delete from image_library_fts where rowid in (new.old_id, new.id, new.other_id);
  insert into image_library_fts (rowid, generation_prompt, tags, file_path)
  select id, generation_prompt, tags, file_path from image_library where id = new.id;
  delete from collection_images
  where image_id in (new.id, new.other_id) and image_id is not new.old_id;
  delete from image_usage where image_id in (new.id, new.other_id) and image_id is not new.old_id;
  update image_library set usage_count = new.uses where id = new.id and usage_count is not new.uses;
end;

create trigger image_library_bi before insert on image_library begin
  -- Note the image of this path.
  update write_context set image = (select id from image_library where file_path = new.file_path);
end;

create trigger image_library_bu before update on image_library begin
  -- Note the image of this path.
  update write_context set image = (select id from image_library where file_path = new.file_path);
end;

create trigger image_library_ai after insert on image_library begin
  -- All values are new.
  insert into image_changes select null, new.id, image, new.character, new.quality_score,
    new.file_size_bytes, new.width, new.height, new.tags, new.metadata,
    new.usage_count, new.usage_count from write_context;
end;

create trigger image_library_au after update on image_library begin
  -- Values of an old row that are out of range may stay.
  insert into image_changes select old.id, new.id, image, nullif(new.character, old.character),
    nullif(new.quality_score, old.quality_score), nullif(new.file_size_bytes, old.file_size_bytes),
    nullif(new.width, old.width), nullif(new.height, old.height), nullif(new.tags, old.tags),
    nullif(new.metadata, old.metadata), nullif(new.usage_count, old.usage_count), new.usage_count
  from write_context;
end;

create trigger image_library_ad after delete on image_library begin
  -- Everything of the image goes, also where foreign keys are off.
  delete from image_usage where image_id = old.id;
  delete from collection_images where image_id = old.id;
  delete from image_library_fts where rowid = old.id;
end;

create trigger use_changes_ii instead of insert on use_changes begin
  -- Refuse values out of range; count the use, not a replaced one, and stamp the image.
  select raise(abort, 'image_usage.image_id: must be the id of a row in image_library')
  where new.image_id is not new.old_image_id and new.image_id not in (select id from image_library);
  select raise(abort, 'image_usage.scene_number: must be a whole number, 0 or more')
  where new.scene_number is not cast(max(new.scene_number, 0) as integer);
  update image_library
  set usage_count = max(0, iif(usage_count between 0 and 9007199254740991, usage_count, 0)
      + (id = new.image_id) - (id is new.old_image_id) - (id is new.replaced_image_id)),
    last_used_at = iif(id = new.image_id, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), last_used_at)
  where id in (new.image_id, new.old_image_id, new.replaced_image_id)
    and (id = new.image_id) <> (id is new.old_image_id) + (id is new.replaced_image_id);
end;

create trigger image_usage_bi before insert on image_usage begin
  -- Note the image of the use with this id.
  update write_context set use_image = (select image_id from image_usage where id = new.id);
end;

create trigger image_usage_bu before update on image_usage begin
  -- Note the image of another use with this id.
  update write_context
  set use_image = (select image_id from image_usage where id = new.id and new.id <> old.id);
end;

create trigger update_image_usage_stats after insert on image_usage begin
  -- Count the use and stamp the image.
  insert into use_changes select null, new.image_id, new.scene_number, use_image from write_context;
end;

create trigger image_usage_au after update on image_usage begin
  -- Count the use where it moved to.
  insert into use_changes select old.image_id, new.image_id,
    nullif(new.scene_number, old.scene_number), use_image from write_context;
end;

create trigger image_usage_ad after delete on image_usage begin
  -- Count the use no more.
  update image_library set usage_count = usage_count - 1
  where id = old.image_id and usage_count between 1 and 9007199254740991;
  update write_context set use_image = null;
end;

create trigger image_collections_bi before insert on image_collections begin
  -- Note the collection of this name.
  update write_context set collection = (select id from image_collections where name = new.name);
end;

create trigger image_collections_bu before update on image_collections begin
  -- Note the collection of this name. An id that other rows refer to stays.
  select raise(abort, 'image_collections.id: must stay while other rows refer to it')
  where new.id <> old.id and old.id in (select collection_id from collection_images);
  update write_context set collection = (select id from image_collections where name = new.name);
end;

create trigger image_collections_ai after insert on image_collections begin
  -- Remove the entries of replaced collections.
  delete from collection_images
  where collection_id in (new.id, (select collection from write_context));
end;

create trigger image_collections_au after update on image_collections begin
  -- Remove the entries of replaced collections.
  delete from collection_images where collection_id <> old.id
    and collection_id in (new.id, (select collection from write_context));
end;

create trigger image_collections_ad after delete on image_collections begin
  -- The entries of the collection go, also where foreign keys are off.
  delete from collection_images where collection_id = old.id;
end;

create trigger collection_images_ai after insert on collection_images begin
  -- As foreign keys do, where they are off.
  select raise(abort,
    'collection_images.collection_id: must be the id of a row in image_collections')
  where new.collection_id not in (select id from image_collections);
  select raise(abort, 'collection_images.image_id: must be the id of a row in image_library')
  where new.image_id not in (select id from image_library);
end;

create trigger collection_images_au after update on collection_images begin
  -- As foreign keys do, where they are off.
  select raise(abort,
    'collection_images.collection_id: must be the id of a row in image_collections')
  where new.collection_id not in (select id from image_collections);
  select raise(abort, 'collection_images.image_id: must be the id of a row in image_library')
  where new.image_id not in (select id from image_library);
end;
