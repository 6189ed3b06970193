"""Facets of all campaign jobs from job_counts, rather than from a million rows.

Named `kept` in metadata.yml; where the list is filtered they are Datasette's own.
"""

from __future__ import annotations

from typing import Any

from datasette import hookimpl

from dailies.datasette_compat import ColumnFacet, path_with_added_args

COUNTS = """
    select
      value,
      sum(jobs) as count
    from (
      select
        jobs,
        case :column
          when 'product' then product
          when 'persona' then persona
          when 'language' then language
          when 'enabled' then enabled
        end as value
      from job_counts
      where jobs > 0
    )
    where value is not null
    group by value
    order by count desc, value
    limit :most
    """


@hookimpl
def register_facet_classes() -> list[type[ColumnFacet]]:
    return [KeptFacet]


def column_in(config: dict[str, Any]) -> str:
    """Configuration names it as `simple`, an address may as `column`."""
    return str(config.get("column") or config.get("simple") or "")


class KeptFacet(ColumnFacet):
    """A facet over `product`, `persona`, `language` or `enabled` of all campaign jobs."""

    type = "kept"

    async def suggest(self) -> list[Any]:
        return []

    async def facet_results(self) -> Any:
        if (self.database, self.table) != ("campaigns", "jobs") or " where " in self.sql:
            return await super().facet_results()
        return [await self.kept(column_in(config["config"])) for config in self.get_configs()], []

    async def kept(self, column: str) -> dict[str, Any]:
        """One facet, in Datasette's shape."""
        size = self.get_facet_size()
        rows = await self.ds.execute(
            self.database,
            COUNTS,
            {"column": column, "most": size + 1},
        )
        return {
            "name": column,
            "type": self.type,
            "hideable": False,
            "toggle_url": "",
            "results": [self.result(column, row) for row in rows.rows[:size]],
            "truncated": len(rows) > size,
        }

    def result(self, column: str, row: Any) -> dict[str, Any]:
        path = path_with_added_args(self.request, {column: row["value"]})
        return {
            "value": row["value"],
            "label": row["value"],
            "count": row["count"],
            "toggle_url": self.ds.absolute_url(self.request, self.ds.urls.path(path)),
            "selected": False,
        }
