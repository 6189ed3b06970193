"""`?_search=` of table pages: words, their beginnings and parts, as loaders/search.py finds them.

`?_search_COLUMN=` looks in one column. Datasette's own search is left to tables of the user's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from datasette import Request, hookimpl
from datasette.app import Datasette
from datasette.database import Database

from dailies.datasette_compat import BadRequest, FilterArguments
from loaders.search import SEARCHES, Search

COLUMN = "_search_"


@hookimpl(trylast=True)
def filters_from_request(
    request: Request, database: str, table: str, datasette: Datasette
) -> Callable[[], Awaitable[FilterArguments]] | None:
    search = SEARCHES.get((database, table))
    if search is None:
        return None
    return partial(filters, search, request, datasette.get_database(database))


async def filters(search: Search, request: Request, database: Database) -> FilterArguments:
    arguments = FilterArguments([], extra_context={"supports_search": True})
    raw = request.args.get("_searchmode") == "raw" and search.words is not None
    for name in request.args:
        if name == "_search" or name.startswith(COLUMN):
            column = name.removeprefix(COLUMN) if name != "_search" else ""
            text = request.args[name]
            if raw:
                condition = raw_condition(search, column)
            elif column:
                condition = condition_in_column(search, column)
            else:
                condition = await condition_for(search, text, database)
            add(arguments, condition, column, text)
    return arguments


async def condition_for(search: Search, text: str, database: Database) -> str:
    """If many rows are found, the first ones are: they are read in the order of the page."""
    many = await database.execute_fn(lambda connection: search.finds_many(connection, text))
    return search.condition_of_row if many else search.condition


def condition_in_column(search: Search, column: str) -> str:
    if column not in search.columns:
        raise BadRequest("Cannot search by that column")
    return replace(search, columns=(column,)).holds


def raw_condition(search: Search, column: str) -> str:
    """The text is an FTS5 query."""
    if column and column not in search.columns:
        raise BadRequest("Cannot search by that column")
    found = f"select rowid from {search.words} where {column or search.words} match :q"  # noqa: S608
    return f"{search.table}.rowid in ({found})"


def add(arguments: FilterArguments, condition: str, column: str, text: str) -> None:
    parameter = f"search_{column}" if column else "search"
    arguments.where_clauses.append(condition.replace(":q", f":{parameter}"))
    arguments.params[parameter] = text
    described = f'search column "{column}"' if column else "search"
    arguments.human_descriptions.append(f'{described} matches "{text}"')


@hookimpl
def extra_template_vars(request: Request | None, view_name: str) -> dict[str, str]:
    """The text in the search box, which Datasette leaves empty."""
    if request is None or view_name != "table":
        return {}
    return {"search": request.args.get("_search") or ""}
