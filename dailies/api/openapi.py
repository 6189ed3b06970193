"""The description of the jobs API as OpenAPI 3.1, from the table of routes and the models."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from dailies.api.request import MAX_OBJECTS
from dailies.api.resources import RESOURCES, Resource
from dailies.api.routes import ROUTES, SEGMENT, Parameter, Route
from dailies.api.schemas import Model, Schema

COMPONENT = "#/components/schemas/{model}"
TOKEN = "token"  # noqa: S105 - the name of a security scheme
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
    400: "The path, the JSON, a field or a value is wrong; each is named",
    401: "No token, or one that is wrong, expired or revoked",
    403: "The actor or the token does not have the permission",
    404: "Not found",
    409: "It exists already, the life cycle forbids this change, or the lease is lost",
    412: "The job has changed",
    413: "The body is too large",
    415: "The body has another media type",
    422: "The Idempotency-Key was used for another request",
    503: "Another program has locked the database: try again",
}
HEADERS = {
    "ETag": "The version of the job, for If-Match.",
    "Location": "The path of what was created.",
}
CONDITIONS = (
    Parameter("If-Match", "The ETag that the job must have: 412 if it has another."),
    Parameter("If-None-Match", "An ETag that the job must not have."),
)
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "A retry with the same key within 24 hours gets the response to the first request.",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
)


def describe(
    resources: Collection[str], prefix: str = "", columns: Mapping[str, Any] | None = None
) -> Schema:
    """The document for these resources; `columns` describes the columns of each, by its name."""
    paths: dict[str, Schema] = {}
    components: dict[str, Schema] = {"Error": ERROR}
    for resource in (RESOURCES[name] for name in resources):
        descriptions = (columns or {}).get(resource.name, {})
        for route in ROUTES:
            if resource.name not in route.resources:
                continue
            path = prefix + route.path.replace("{resource}", resource.name)
            paths.setdefault(path, {})[route.method.lower()] = operation(route, resource)
            for model in models_of(route, resource):
                schema = model.model_json_schema(ref_template=COMPONENT)
                components |= schema.pop("$defs", {})
                components[model.__name__] = with_descriptions(schema, descriptions)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dailies: jobs",
            "version": version("datasette-dailies"),
            "description": "A successful response to a write means that it is on the disk. "
            "The command `dailies token` creates tokens. "
            "Rows of earlier systems may hold values that are refused in new ones.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in resources],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {TOKEN: {"type": "http", "scheme": "bearer"}},
        },
    }


def models_of(route: Route, resource: Resource) -> Iterator[Model]:
    for model_of in (route.body, *route.responses.values()):
        if model_of and (model := model_of(resource)):
            yield model


def with_descriptions(schema: Schema, columns: Mapping[str, str]) -> Schema:
    properties = {
        name: {"description": columns[name], **described} if name in columns else described
        for name, described in schema.get("properties", {}).items()
    }
    return {**schema, "properties": properties}


def operation(route: Route, resource: Resource) -> Schema:
    described: Schema = {
        "operationId": operation_id(route, resource),
        "summary": route.summary,
        "tags": [resource.name],
        "parameters": list(parameters(route, resource)),
        "responses": dict(responses(route, resource)),
        "security": [{}, {TOKEN: []}] if route.method == "GET" else [{TOKEN: []}],
    }
    if route.body and (model := route.body(resource)):
        described["requestBody"] = request_body(route, model)
    return described


def operation_id(route: Route, resource: Resource) -> str:
    """Such as `list_builds` for `list_jobs` of builds."""
    return route.handler.__name__.replace("job", resource.name.removesuffix("s"))


def parameters(route: Route, resource: Resource) -> Iterator[Schema]:
    for name in SEGMENT.findall(route.path):
        if name != "resource":
            schema = segment_schema(name, resource)
            yield {"name": name, "in": "path", "required": True, "schema": schema}
    yield from described("query", route.parameters(resource))
    if route.conditional:
        yield from described("header", CONDITIONS)
    if route.method == "POST":
        yield from described("header", [IDEMPOTENCY_KEY])


def segment_schema(name: str, resource: Resource) -> Schema:
    is_number = name == "key" and resource.columns[resource.key] == "number"
    return {"type": "integer"} if is_number else {"type": "string", "minLength": 1}


def described(place: str, parameters: Iterable[Parameter]) -> Iterator[Schema]:
    for parameter in parameters:
        yield {
            "name": parameter.name,
            "in": place,
            "description": parameter.description,
            "schema": dict(parameter.schema),
        }


def request_body(route: Route, model: Model) -> Schema:
    schema = reference(model)
    if route.listed:
        listed = {"type": "array", "items": schema, "maxItems": MAX_OBJECTS}
        schema = {"anyOf": [schema, listed]}
    types = [*(["application/merge-patch+json"] if route.patch else []), "application/json"]
    content = {name: {"schema": schema} for name in types}
    return {"required": not route.optional, "content": content}


def responses(route: Route, resource: Resource) -> Iterator[tuple[str, Schema]]:
    for status, model_of in route.responses.items():
        yield str(status), success(route, resource, status, model_of(resource))
    for status, description in ERRORS.items():
        if is_possible(route, status):
            yield str(status), error(description)
    yield "default", error("Any other error")


def success(route: Route, resource: Resource, status: int, model: Model | None) -> Schema:
    response: Schema = {"description": HTTPStatus(status).phrase}
    if model is None:
        return response
    schema = reference(model) if route.whole else rows_of(model, paged=route.paged)
    response["content"] = {"application/json": {"schema": schema}}
    if route.stream:
        response["content"][route.stream] = {"schema": TEXT}
    if model is resource.models.row and not route.paged:
        names = [name for name in HEADERS if name == "ETag" or status == HTTPStatus.CREATED]
        response["headers"] = {
            name: {"description": HEADERS[name], "schema": TEXT} for name in names
        }
    return response


def rows_of(model: Model, *, paged: bool) -> Schema:
    properties: Schema = {
        "ok": {"const": True},
        "rows": {"type": "array", "items": reference(model)},
    }
    if paged:
        properties |= {"next": TEXT_OR_NULL, "next_url": TEXT_OR_NULL}
    return {"type": "object", "properties": properties, "required": list(properties)}


def is_possible(route: Route, status: int) -> bool:
    if status in (413, 415):
        return route.body is not None
    if status == HTTPStatus.PRECONDITION_FAILED:
        return route.conditional
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return route.method == "POST"
    return True


def error(description: str) -> Schema:
    schema = {"$ref": COMPONENT.format(model="Error")}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def reference(model: Model) -> Schema:
    return {"$ref": COMPONENT.format(model=model.__name__)}
