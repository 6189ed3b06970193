"""Facets of campaign jobs from job_counts, rather than from a million rows.

Named `kept` in metadata.yml. Where the list is filtered by anything else they are Datasette's own,
of lists that are short enough to be counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from datasette import Request, hookimpl

from dailies.datasette_compat import (
    ColumnFacet,
    Filters,
    QueryInterrupted,
    path_with_added_args,
    path_with_removed_args,
)
from dailies.web.table_parameters import filtered

KEPT = ("product", "persona", "language", "enabled")

GROUPS = """
    select *
    from (
      select '{column}' as name, {column} as value, sum(jobs) as count
      from kept
      where {column} is not null
      group by {column}
      order by count desc, value
      limit :most
    )
    """
COUNTS = """
    with kept as materialized ({source})
    select *
    from ({groups})
    """
# It has 0 for each value of `enabled` that is not 1: then it tells nothing.
JOB_COUNTS = """
    select product, persona, language, enabled, jobs
    from job_counts
    where jobs > 0
      and {condition}
      and not exists (
        select 1
        from jobs
        where enabled is null or enabled < 0 or enabled > 0 and enabled < 1 or enabled > 1
      )
    """
ROWS = "select product, persona, language, enabled, 1 as jobs from ({sql})"


@hookimpl
def register_facet_classes() -> list[type[ColumnFacet]]:
    return [KeptFacet]


def column_in(config: dict[str, Any]) -> str:
    """Configuration names it as `simple`, an address may as `column`."""
    return str(config.get("column") or config.get("simple") or "")


def kept_condition(request: Request, sql: str, parameters: Any) -> str | None:
    """SQL: the condition of this list of jobs, if job_counts has the columns that it asks."""
    names = [name for name in request.args if not name.startswith("_") or "__" in name]
    pairs = sorted((name, value) for name in names for value in request.args.getlist(name))
    clauses, values = Filters(pairs).build_where_clauses("job_counts")
    condition = " and ".join(clauses)
    where = f"where {condition} " if clauses else ""
    whole = sql.partition(" from jobs ")[2] == where and dict(parameters or {}) == values
    return (condition or "1") if whole and set(filtered(pairs)) <= set(KEPT) else None


class KeptFacet(ColumnFacet):
    """A facet over `product`, `persona`, `language` or `enabled` of campaign jobs."""

    type = "kept"

    async def suggest(self) -> list[Any]:
        return []

    async def facet_results(self) -> Any:
        columns = [column_in(config["config"]) for config in self.get_configs()]
        if (self.database, self.table) != ("campaigns", "jobs") or not set(columns) <= set(KEPT):
            return await super().facet_results()
        most = self.ds.databases[self.database].count_limit
        condition = kept_condition(self.request, self.sql, self.params)
        rows = await self.counts(columns, JOB_COUNTS.format(condition=condition or "0"))
        if not rows and self.row_count is not None and self.row_count > most:
            return [], columns
        try:
            rows = rows or await self.counts(columns, ROWS.format(sql=self.sql))
        except QueryInterrupted:
            return [], columns
        size = self.get_facet_size()
        return [self.facet(column, rows, size) for column in columns], []

    async def counts(self, columns: list[str], source: str) -> list[Any]:
        """How many jobs have each value of each column."""
        if not columns:
            return []
        groups = " union all ".join(GROUPS.format(column=column) for column in columns)
        found = await self.ds.execute(
            self.database,
            COUNTS.format(source=source, groups=groups),
            {**dict(self.params or {}), "most": self.get_facet_size() + 1},
            custom_time_limit=self.ds.setting("facet_time_limit_ms"),
        )
        return list(found.rows)

    def facet(self, column: str, rows: Iterable[Any], size: int) -> dict[str, Any]:
        own = [row for row in rows if row["name"] == column]
        return {
            "name": column,
            "type": self.type,
            "hideable": False,
            "toggle_url": "",
            "results": [self.result(column, row) for row in own[:size]],
            "truncated": len(own) > size,
        }

    def result(self, column: str, row: Any) -> dict[str, Any]:
        value = row["value"]
        given = {
            name: str(value)
            for name in (column, f"{column}__exact")
            if (name, str(value)) in self.get_querystring_pairs()
        }
        if given:
            path = path_with_removed_args(self.request, given)
        else:
            path = path_with_added_args(self.request, {column: value})
        return {
            "value": value,
            "label": value,
            "count": row["count"],
            "toggle_url": self.ds.absolute_url(self.request, self.ds.urls.path(path)),
            "selected": bool(given),
        }
