"""The jobs API described as OpenAPI 3.1: made from its operations and the types that validate."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from dailies.api.operations import PARTS, Operation, Parameter
from dailies.api.resources import RESOURCES, Resource
from dailies.api.routes import OPERATIONS
from dailies.api.schemas import Adapter

Schema = dict[str, Any]

COMPONENT = "#/components/schemas/{model}"
TOKEN = "token"  # noqa: S105 - the name of a way to prove oneself
TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
ERROR: Schema = {
    "title": "Error",
    "type": "object",
    "properties": {
        "ok": {"const": False},
        "error": TEXT,
        "errors": {"type": "array", "items": TEXT},
        "status": {"type": "integer"},
    },
    "required": ["ok", "error", "errors", "status"],
}
ERRORS = {
    400: "The address, the JSON, a field or a value is wrong; each is named",
    401: "No token, or one that does not hold",
    403: "The token does not allow this",
    404: "There is no such thing",
    409: "It exists already, or its life cycle forbids this, or the lease is lost",
    412: "It has changed meanwhile",
    413: "The body is too large",
    415: "The body is of another type",
    422: "The Idempotency-Key came with another request before",
    503: "Another program holds the database: try again",
}
HEADERS = {
    "ETag": "Names the job as it is now; to be sent as If-Match.",
    "Location": "The address of what was made.",
}
CONDITIONS = (
    Parameter("If-Match", "The ETag that the job must have: 412 if it has another."),
    Parameter("If-None-Match", "An ETag that the job must not have."),
)
REPEATABLE = Parameter(
    "Idempotency-Key",
    "A retry with the same key within 24 hours is answered as the first request was.",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
)


def describe(
    resources: Collection[str], prefix: str = "", columns: Mapping[str, Any] | None = None
) -> Schema:
    """The document for these resources; `columns` describes each one's columns, by its name."""
    paths: dict[str, Schema] = {}
    components: dict[str, Schema] = {"Error": ERROR}
    for resource in (RESOURCES[name] for name in resources):
        described = (columns or {}).get(resource.name, {})
        for operation in operations_of(resource):
            path = prefix + operation.path.replace("{resource}", resource.name)
            paths.setdefault(path, {})[operation.method.lower()] = describe_operation(
                operation, resource
            )
            for adapter in adapters_of(operation, resource):
                schema = adapter.json_schema(ref_template=COMPONENT)
                components |= schema.pop("$defs", {})
                components[schema["title"]] = with_descriptions(schema, described)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dailies: jobs",
            "version": version("dailies"),
            "description": "An answer to a write means that it is on the disk. "
            "Tokens are made by the command `dailies token`. "
            "Rows that earlier systems stored may hold values that no new one may.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in resources],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {TOKEN: {"type": "http", "scheme": "bearer"}},
        },
    }


def operations_of(resource: Resource) -> Iterator[Operation]:
    return (operation for operation in OPERATIONS if resource.name in operation.resources)


def adapters_of(operation: Operation, resource: Resource) -> Iterator[Adapter]:
    if operation.body:
        yield operation.body(resource)
    for model in operation.answers.values():
        if adapter := model(resource):
            yield adapter


def with_descriptions(schema: Schema, columns: Mapping[str, str]) -> Schema:
    properties = {
        name: {**described, "description": columns[name]}
        if name in columns and "description" not in described
        else described
        for name, described in schema["properties"].items()
    }
    return {**schema, "properties": properties}


def describe_operation(operation: Operation, resource: Resource) -> Schema:
    reading = operation.method == "GET"
    described: Schema = {
        "operationId": operation_id(operation, resource),
        "summary": operation.summary,
        "tags": [resource.name],
        "parameters": list(parameters_of(operation, resource)),
        "responses": dict(responses_of(operation, resource)),
        "security": [{}, {TOKEN: []}] if reading else [{TOKEN: []}],
    }
    if operation.body:
        described["requestBody"] = body_of(operation, operation.body(resource))
    return described


def operation_id(operation: Operation, resource: Resource) -> str:
    """Such as `list_builds` for `list_jobs` of builds."""
    return operation.endpoint.__name__.replace("job", resource.name.removesuffix("s"))


def parameters_of(operation: Operation, resource: Resource) -> Iterator[Schema]:
    for part in PARTS.findall(operation.path):
        if part != "resource":
            yield {
                "name": part,
                "in": "path",
                "required": True,
                "schema": key_schema(part, resource),
            }
    if operation.parameters:
        yield from described("query", operation.parameters(resource))
    if operation.conditional:
        yield from described("header", CONDITIONS)
    if operation.method == "POST":
        yield from described("header", [REPEATABLE])


def key_schema(part: str, resource: Resource) -> Schema:
    numbered = part == "key" and resource.queue and resource.queue.cycle.key_type == "INTEGER"
    return {"type": "integer"} if numbered else {"type": "string", "minLength": 1}


def described(place: str, parameters: Iterable[Parameter]) -> Iterator[Schema]:
    for parameter in parameters:
        yield {
            "name": parameter.name,
            "in": place,
            "description": parameter.description,
            "schema": dict(parameter.schema),
        }


def body_of(operation: Operation, adapter: Adapter) -> Schema:
    schema = reference(adapter)
    if operation.listed:
        listed = {"type": "array", "items": schema, "maxItems": 1000}
        schema = {"anyOf": [schema, listed]}
    types = ["application/json"]
    if operation.patch:
        types.insert(0, "application/merge-patch+json")
    content = {name: {"schema": schema} for name in types}
    return {"required": not operation.optional, "content": content}


def responses_of(operation: Operation, resource: Resource) -> Iterator[tuple[str, Schema]]:
    for status, model in operation.answers.items():
        yield str(status), success(operation, resource, status, model(resource))
    for status, description in ERRORS.items():
        if can_be_refused(operation, status):
            yield str(status), error(description)
    yield "default", error("Whatever else goes wrong")


def success(
    operation: Operation, resource: Resource, status: int, adapter: Adapter | None
) -> Schema:
    response: Schema = {"description": HTTPStatus(status).phrase}
    if adapter is None:
        return response
    schema = reference(adapter) if operation.whole else rows_of(adapter, paged=operation.paged)
    response["content"] = {"application/json": {"schema": schema}}
    if operation.stream:
        response["content"][operation.stream] = {"schema": TEXT}
    if adapter is resource.models.row and not operation.paged:
        names = [name for name in HEADERS if name == "ETag" or status == HTTPStatus.CREATED]
        response["headers"] = {
            name: {"description": HEADERS[name], "schema": TEXT} for name in names
        }
    return response


def rows_of(adapter: Adapter, *, paged: bool) -> Schema:
    properties: Schema = {
        "ok": {"const": True},
        "rows": {"type": "array", "items": reference(adapter)},
    }
    if paged:
        properties |= {"next": TEXT_OR_NULL, "next_url": TEXT_OR_NULL}
    return {"type": "object", "properties": properties, "required": list(properties)}


def can_be_refused(operation: Operation, status: int) -> bool:
    if status in (413, 415):
        return operation.body is not None
    if status == HTTPStatus.PRECONDITION_FAILED:
        return operation.conditional
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return operation.method == "POST"
    return True


def error(description: str) -> Schema:
    schema = {"$ref": COMPONENT.format(model="Error")}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def reference(adapter: Adapter) -> Schema:
    return {"$ref": COMPONENT.format(model=title_of(adapter))}


@cache
def title_of(adapter: Adapter) -> str:
    return str(adapter.json_schema()["title"])
