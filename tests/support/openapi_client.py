"""A client that knows of the jobs API only what /api/openapi.json describes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import httpx2
from server_process import CLIENT


class RefusedError(Exception):
    """An answer other than success."""


@contextmanager
def client(url: str, token: str) -> Iterator[SimpleNamespace]:
    """A function for each operation: `call.read_build(key=1)`, `call.create_builds({...})`."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=url, headers=headers, **CLIENT) as http:
        document = http.get("/api/openapi.json").json()
        yield SimpleNamespace(
            **{
                operation["operationId"]: function(http, method, path, operation)
                for path, methods in document["paths"].items()
                for method, operation in methods.items()
            }
        )


def function(http: httpx2.Client, method: str, path: str, operation: dict[str, Any]) -> Any:
    """Takes a body, if there is one, and each parameter by its name."""
    places = {parameter["name"]: parameter["in"] for parameter in operation["parameters"]}

    def call(body: Any = None, **given: Any) -> Any:
        said: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
        for name, value in given.items():
            said[places[name]][name] = value
        parts = {name: quote(str(value), safe="") for name, value in said["path"].items()}
        options: dict[str, Any] = {} if body is None else {"json": body}
        answer = http.request(
            method, path.format(**parts), params=said["query"], headers=said["header"], **options
        )
        if answer.status_code >= 400:
            raise RefusedError(f"{answer.status_code}: {answer.json()['error']}")
        return answer.json() if answer.content else None

    return call
