"""Campaign jobs: the Python functions of the database `campaigns`."""

from loaders.campaigns.checks import DERIVED, check
from loaders.campaigns.files import export_to_yaml, migrate_from_yaml, verify_migration
from loaders.campaigns.jobs import (
    JobFilter,
    add_job,
    bulk_add_jobs,
    delete_job,
    get_database_info,
    get_job,
    get_job_statistics,
    iterate_documents,
    job_exists,
    list_jobs,
    search_jobs,
    update_job,
    vacuum_database,
)

__all__ = [
    "DERIVED",
    "JobFilter",
    "add_job",
    "bulk_add_jobs",
    "check",
    "delete_job",
    "export_to_yaml",
    "get_database_info",
    "get_job",
    "get_job_statistics",
    "iterate_documents",
    "job_exists",
    "list_jobs",
    "migrate_from_yaml",
    "search_jobs",
    "update_job",
    "vacuum_database",
    "verify_migration",
]
