"""`?_search=` of table pages: words, their beginnings and parts, as loaders/search.py finds them.

`?_search_COLUMN=` looks in one column. Datasette's own search is left to tables of the user's.
"""

from __future__ import annotations

from dataclasses import replace

from datasette import Request, hookimpl

from dailies.datasette_compat import BadRequest, FilterArguments
from loaders.search import SEARCHES, Search

COLUMN = "_search_"


@hookimpl(trylast=True)
def filters_from_request(request: Request, database: str, table: str) -> FilterArguments | None:
    search = SEARCHES.get((database, table))
    if search is None:
        return None
    arguments = FilterArguments([], extra_context={"supports_search": True})
    raw = request.args.get("_searchmode") == "raw" and search.words is not None
    for name in request.args:
        if name == "_search" or name.startswith(COLUMN):
            column = name.removeprefix(COLUMN) if name != "_search" else ""
            condition = raw_condition(search, column) if raw else condition_for(search, column)
            add(arguments, condition, column, request.args[name])
    return arguments


def condition_for(search: Search, column: str) -> str:
    if not column:
        return search.condition
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
