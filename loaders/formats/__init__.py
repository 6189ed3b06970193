"""File formats. `files` reads and writes all of them; each has modules of its own."""

FORMATS = ("yaml", "json", "ndjson", "csv", "tsv")
YOUTUBE_TRENDING = "youtube-trending"
IMPORT_FORMATS = (*FORMATS, YOUTUBE_TRENDING)
