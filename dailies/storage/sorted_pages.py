"""Reads pages of a table that is sorted by a column: rows of equal value in the order of the table.

That is the order of an index, in which a page is read without sorting. Datasette sorts such rows by
their key: after an import, which creates a million jobs at once, all of them for each page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from datasette.database import Results

from dailies.datasette_compat import BadRequest, SortedPage, escape_sqlite, urlsafe_components
from loaders.messages import quoted

MAX_READ = (
    2_000  # rows in their order among which a filter may find a page, before its index is used
)
MAX_INTEGER = 2**63 - 1

FIND_INDEX = """
select 1
from pragma_index_list(:table) as list
join pragma_index_info(list.name) as info
where info.seqno = 0
  and info.name = :column
"""

Execute = Callable[..., Awaitable[Results]]


async def read_page(
    page: SortedPage, execute: Execute, sql: str, parameters: dict[str, Any], **options: Any
) -> Results:
    """The rows of Datasette's query, after those of the page before; remembers their positions."""
    table = escape_sqlite(page.table)
    columns, _, rest = sql.partition(f" from {table} ")
    condition, _, limit = rest.rpartition(f"order by {page.order} limit ")
    condition = condition.removeprefix("where ").strip()
    among_first = bool(condition) and await has_index(page, execute)
    page.positions.clear()
    for segment in segments(page):
        wanted = int(limit) - len(page.positions)
        for statement in statements(page, segment, condition, among_first=among_first):
            found = await execute(
                f"{statement} limit {wanted}", parameters | position_after(page), **options
            )
            if len(found.rows) == wanted:
                break
        page.positions += [tuple(row) for row in found.rows]
        if len(page.positions) == int(limit):
            break
    rows = ", ".join(str(row) for _, row in page.positions[: int(limit) - 1])
    return await execute(
        f"{columns} from {table} where rowid in ({rows}) order by {page.order}", **options
    )


async def has_index(page: SortedPage, execute: Execute) -> bool:
    named = {"table": page.table, "column": page.column}
    return bool((await execute(FIND_INDEX, named)).rows)


def position_after(page: SortedPage) -> dict[str, Any]:
    """The value and the row with which the page before ended; BadRequest for a wrong token."""
    if not page.after:
        return {}
    value, *others = urlsafe_components(page.after)
    row = "".join(others)
    if not row.removeprefix("-").isdecimal() or len(row) > 20 or abs(int(row)) > MAX_INTEGER:
        raise BadRequest(f"_next: {quoted(page.after)} does not continue this list")
    return {"after": None if is_after_null(page) else value, "after_row": int(row)}


def is_after_null(page: SortedPage) -> bool:
    return (page.after or "").startswith("$null,")


def segments(page: SortedPage) -> list[str]:
    """SQL: the conditions of parts of the list that an index can serve, in their order."""
    if not page.after:
        return [""]
    column = escape_sqlite(page.column)
    beyond = "<" if page.descending else ">"
    same = f"{column} is :after and rowid {beyond} :after_row"
    if is_after_null(page):
        return [same] if page.descending else [same, f"{column} is not null"]
    others = f"{column} {beyond} :after"
    return [same, others, f"{column} is null"] if page.descending else [same, others]


def statements(
    page: SortedPage, segment: str, condition: str, *, among_first: bool
) -> Iterator[str]:
    """SQL: the positions of the rows of a segment; before it, of those that come first."""
    table, column = escape_sqlite(page.table), escape_sqlite(page.column)

    def select(wanted: str, *conditions: str) -> str:
        given = " and ".join(filter(None, conditions))
        where = f"where {given}" if given else ""
        return f"select {wanted} from {table} {where} order by {page.order}"  # noqa: S608

    positions = f"{column}, rowid"
    if among_first:
        first = f"rowid in ({select('rowid', segment)} limit {MAX_READ})"
        yield select(positions, first, condition)
    yield select(positions, segment, condition)
