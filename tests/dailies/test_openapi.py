"""The OpenAPI document: responses of the server are as it describes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import httpx2
import openapi_client
import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from in_process import metadata
from jobs_client import SIGN_IN, assert_error, jobs_client, token_of
from server_process import ServerProcess

from dailies.api.openapi import describe
from dailies.api.resources import RESOURCES
from dailies.api.routes import views

if TYPE_CHECKING:
    import schemathesis
    from schemathesis import GenerationMode

# What is wrong with these, the server's HTTP parser answers before it is an application's turn.
OF_THE_CONNECTION = {
    "connection",
    "content-length",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
}
EXAMPLES = 6
DOCUMENT = describe(RESOURCES)
NAMES = [one["operationId"] for path in DOCUMENT["paths"].values() for one in path.values()]
# What is right for a sound request, too: keys are made up, and so are jobs' states and tags.
RIGHT_FOR_GOOD_DATA = (404, 409, 412, 422)
RESERVED = "is not a documented form"  # keys that begin with "!!" mean values of YAML
MADE_BY_US = ("_next", "undo")  # tokens that nobody can make up


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("site") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def session(site: ServerProcess) -> Iterator[requests.Session]:
    with requests.Session() as opened:
        opened.headers["Authorization"] = f"Bearer {site.token('root')}"
        yield opened


# Every operation


@cache
def operations() -> dict[str, Any]:
    import schemathesis  # takes a second, which most workers need not spend

    schema = schemathesis.openapi.from_dict(DOCUMENT)
    found = [one.ok() for one in schema.get_all_operations()]
    return {operation.definition.raw["operationId"]: operation for operation in found}


@pytest.mark.parametrize("kind", ["positive", "negative"])
@pytest.mark.parametrize("name", NAMES)
def test_every_operation_is_as_described(
    site: ServerProcess, session: requests.Session, name: str, kind: str
) -> None:
    from schemathesis import GenerationMode

    operation, mode = operations()[name], GenerationMode(kind)
    keys = [*jobs_for(site, session, operation.tags[0]), None]
    cases = st.tuples(operation.as_strategy(generation_mode=mode), st.sampled_from(keys))

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.explicit, Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def check(generated: tuple[schemathesis.Case, Any]) -> None:
        case, job_key = generated
        if job_key is not None and mode.is_positive:
            aim_at(case, job_key)
        case.headers["Authorization"] = session.headers["Authorization"]
        for header in [one for one in case.headers if one.lower() in OF_THE_CONNECTION]:
            del case.headers[header]
        answer = case.call(base_url=site.url, session=session)
        assert_as_described(case, answer, mode)

    if nothing_to_negate(operation) and mode.is_negative:
        with suppress(Unsatisfiable):
            check()
    else:
        check()


def jobs_for(site: ServerProcess, session: requests.Session, name: str) -> list[Any]:
    """Keys of two new jobs of this resource."""
    jobs = [{"job_name": "x"}] * 2 if name == "campaigns" else [{"status": "queued"}] * 2
    created = session.post(f"{site.url}/api/{name}", json=jobs)
    assert created.status_code == 201, created.text
    return [row[RESOURCES[name].key] for row in created.json()["rows"]]


def aim_at(case: schemathesis.Case, job_key: Any) -> None:
    """Have the request be about this job, whose key it cannot change."""
    if "key" in case.path_parameters:
        case.path_parameters["key"] = job_key
        if isinstance(case.body, dict):
            case.body.pop(RESOURCES[case.operation.tags[0]].key, None)


def nothing_to_negate(operation: Any) -> bool:
    """Where all that can be said is a text, all texts are good."""
    said = operation.definition.raw
    kinds = {parameter["schema"]["type"] for parameter in said["parameters"]}
    return "requestBody" not in said and kinds <= {"string"}


@cache
def conformance() -> list[Any]:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    return [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
        response_headers_conformance,
    ]


def assert_as_described(case: schemathesis.Case, answer: Any, mode: GenerationMode) -> None:
    case.validate_response(answer, checks=conformance())
    if answer.status_code >= 400:
        assert_error_shape(answer)
    elif mode.is_negative:
        from schemathesis.specs.openapi.checks import negative_data_rejection

        case.validate_response(answer, checks=[negative_data_rejection])
    if mode.is_positive and not uses_made_up_token(case):
        good = answer.status_code < 400 or answer.status_code in RIGHT_FOR_GOOD_DATA
        assert good or RESERVED in answer.text, answer.text


def assert_error_shape(answer: Any) -> None:
    error = answer.json()
    assert list(error) == ["ok", "error", "errors", "status"]
    assert (error["ok"], error["status"]) == (False, answer.status_code)
    assert error["error"] == "; ".join(error["errors"])
    assert error["errors"]


def uses_made_up_token(case: schemathesis.Case) -> bool:
    body = case.body if isinstance(case.body, dict) else {}
    return any(name in {**(case.query or {}), **body} for name in MADE_BY_US)


# The document


def test_the_document_is_valid() -> None:
    import jsonschema_rs
    from schemathesis.specs.openapi.definitions import OPENAPI_31

    jsonschema_rs.validator_for(OPENAPI_31).validate(DOCUMENT)
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    assert len(set(NAMES)) == len(NAMES)
    said = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(DOCUMENT)))
    assert said == set(DOCUMENT["components"]["schemas"])


async def test_every_method_of_every_route_is_described(api: httpx2.AsyncClient) -> None:
    described = {
        (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
    }
    for path in DOCUMENT["paths"]:
        address = path.replace("{key}", "1").replace("{file_type}", "videos")
        options = await api.options(address.replace("{filename}", "a"))
        allowed = set(options.headers["allow"].split(", ")) - {"HEAD", "OPTIONS"}
        assert allowed == {method for method, place in described if place == path}


def test_every_route_of_ours_is_described() -> None:
    found = {place for pattern, _ in views() for place in places(pattern)}
    assert found == set(DOCUMENT["paths"])


def places(pattern: str) -> Iterator[str]:
    """The paths of the document that a route's pattern stands for."""
    choice = re.search(r"\(\?P<resource>([\w|]+)\)", pattern)
    assert choice is not None
    rest = re.sub(r"\(\?P<(\w+)>\[\^/\]\+\)", r"{\1}", pattern[choice.end() :].removesuffix(r"\Z"))
    yield from (f"/api/{name}{rest}" for name in choice[1].split("|"))


async def test_the_document_speaks_of_columns_as_metadata_does(api: httpx2.AsyncClient) -> None:
    served = (await api.get("/api/openapi.json")).json()
    assert served["paths"] == DOCUMENT["paths"]
    columns = metadata()["databases"]["yt-builder"]["tables"]["jobs"]["columns"]
    for name in ("Build", "NewBuild", "BuildChanges"):
        properties = served["components"]["schemas"][name]["properties"]
        said = {column: properties[column]["description"] for column in columns}
        assert said == columns
    strange = await api.get("/api/openapi.json?x=1")
    assert_error(strange, 400, 'unknown parameter "x"')
    refused = await api.post("/api/openapi.json")
    assert_error(refused, 405, "POST is not allowed here: use one of GET, HEAD, OPTIONS")


# Who is told what


async def test_nothing_private_is_named(data_dir: Any) -> None:
    config = metadata()
    config["databases"]["yt-builder"]["tables"]["jobs"]["allow"] = {"id": "root"}
    async with jobs_client(config=config) as api:
        whole = await api.get("/api/openapi.json")
        assert set(RESOURCES) == {tag["name"] for tag in whole.json()["tags"]}
        del api.headers["Authorization"]
        for headers in ({}, token_of("reader")):
            document = await api.get("/api/openapi.json", headers=headers)
            page = await api.get("/api/docs", headers=headers)
            assert (document.status_code, page.status_code) == (200, 200)
            for answer in (document, page):
                assert "build" not in answer.text.lower().replace("youtube builder", "")
                assert "/api/presentations/claim" in answer.text


async def test_nobody_sees_the_document_of_a_private_instance(data_dir: Any) -> None:
    config = metadata() | {"allow": {"id": "root"}}
    async with jobs_client(config=config) as api:
        assert (await api.get("/api/docs")).status_code == 200
        del api.headers["Authorization"]
        for path in ("/api/openapi.json", "/api/docs"):
            nobody = await api.get(path)
            assert_error(nobody, 401, SIGN_IN)
            assert nobody.headers["www-authenticate"] == "Bearer"
            reader = await api.get(path, headers=token_of("reader"))
            assert_error(reader, 403, "Permission denied: you may not view-instance here")


async def test_a_page_for_nobody_names_nothing(data_dir: Any) -> None:
    config = metadata()
    for resource in RESOURCES.values():
        config["databases"][resource.database]["tables"][resource.table]["allow"] = False
    async with jobs_client(config=config) as api:
        del api.headers["Authorization"]
        page = await api.get("/api/docs")
        assert page.status_code == 200
        assert not re.findall(r"/api/(?!openapi.json|docs)", page.text)


# A client made of the document


def test_a_client_made_of_the_document_does_a_build(site: ServerProcess) -> None:
    with openapi_client.client(site.url, site.token("worker")) as call:
        call.create_builds({"status": "queued", "created_at": "2000-01-01T00:00:00Z"})
        [job] = call.claim_build({"worker": "w"})["rows"]
        number, lease = job["job_id"], {"lease": job["lease"]}
        call.heartbeat_build({"progress": 50, **lease}, key=number)
        file = {"file_type": "videos", "filename": "a.mp4", "file_path": "runs/a.mp4"}
        call.add_build_file({**file, **lease}, key=number)
        call.patch_build({"status": "completed", **lease}, key=number)
        upload = {"video_id": "v", "video_url": "https://video.example/v", "title": "T"}
        call.add_build_upload({**upload, **lease}, key=number)
        [done] = call.read_build(key=number)["rows"]
        assert (done["status"], done["progress"], done["worker"]) == ("completed", 100, "w")
        assert call.list_build_files(key=number)["counts"]["videos"] == 1
        assert call.list_build_uploads(key=number)["rows"][0]["title"] == "T"
        events = call.list_build_events(key=number, _size=2)["rows"]
        assert [event["status_to"] for event in events] == ["completed", "running"]
        assert {event["actor"] for event in events} == {"worker"}
        with pytest.raises(openapi_client.RefusedError, match=r"^409: job .* is completed"):
            call.heartbeat_build(lease, key=number)
