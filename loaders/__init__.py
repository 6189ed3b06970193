"""Everything that knows how a row gets into a database.

from loaders import open_database, campaigns

db = open_database("campaigns")
campaigns.add_job(db, {"id": "a1", "job_name": "Spring launch"})
"""

from loaders.databases import open_database

__all__ = ["open_database"]
