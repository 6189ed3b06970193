"""What can be asked of the jobs API: each operation once, for its route and its description."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from datasette import Request, Response
from datasette.app import Datasette

from dailies.api.dispatch import Endpoint, answer
from dailies.api.resources import RESOURCES, Resource
from dailies.api.schemas import Adapter

Router = Callable[..., Any]
PARTS = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Parameter:
    """What may be said in the query of an address, with its JSON schema."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True)
class Operation:
    """A method at a path, in which `{resource}` stands for each of `resources`.

    `body` tells the type of the body, which may be left out if `optional`, come in a list if
    `listed`, and be a merge patch if `patch`. `answers` tells the type of the rows that come with
    each status, or if `whole` of what comes; None where nothing does. `paged` rows come with a
    token for more; `stream` is the type of an answer that goes on. `conditional` operations heed
    entity tags.
    """

    method: str
    path: str
    endpoint: Endpoint
    summary: str
    answers: Mapping[int, Callable[[Resource], Adapter | None]]
    resources: Mapping[str, Resource] = field(default_factory=lambda: RESOURCES)
    body: Callable[[Resource], Adapter] | None = None
    optional: bool = False
    listed: bool = False
    patch: bool = False
    conditional: bool = False
    paged: bool = False
    whole: bool = False
    stream: str | None = None
    parameters: Callable[[Resource], tuple[Parameter, ...]] | None = None


def routes_of(operations: Iterable[Operation]) -> list[tuple[str, Router]]:
    """Datasette's routes, one for each path; of paths that overlap, the first counts."""
    by_path: dict[tuple[str, frozenset[str]], dict[str, Endpoint]] = {}
    for operation in operations:
        key = (operation.path, frozenset(operation.resources))
        by_path.setdefault(key, {})[operation.method] = operation.endpoint
    return [
        (pattern_of(path, names), router(endpoints)) for (path, names), endpoints in by_path.items()
    ]


def pattern_of(path: str, names: Iterable[str]) -> str:
    choice = "|".join(sorted(names))
    return (
        PARTS.sub(
            lambda part: (
                f"(?P<resource>{choice})" if part[1] == "resource" else f"(?P<{part[1]}>[^/]+)"
            ),
            path,
        )
        + r"\Z"
    )


def router(endpoints: Mapping[str, Endpoint]) -> Router:
    async def route(request: Request, datasette: Datasette) -> Response:
        resource = RESOURCES[request.url_vars["resource"]]
        calls = {
            method: partial(endpoint, datasette, request, resource)
            for method, endpoint in endpoints.items()
        }
        return await answer(datasette, request, calls)

    return route
