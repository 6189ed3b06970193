"""Bodies and rows of the jobs API as pydantic models: they validate requests and describe the API.

Rows are described only. Campaigns are validated in loaders/campaigns/jobs.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from pydantic_core import ErrorDetails

from loaders.errors import Invalid
from loaders.messages import but_is
from loaders.queues.table import to_time

MAX_INTEGER = 2**63 - 1
MAX_JOB_NUMBER = 2**53 - 1  # that JavaScript reads exactly
Schema = dict[str, Any]
Model = type[BaseModel]


def whole(value: Any) -> Any:
    """JSON makes no difference between 5 and 5.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def check_time(value: str) -> str:
    try:
        to_time("", value)
    except ValueError:
        raise ValueError("must be a time such as 2026-11-20T07:15:00Z") from None
    return value


Integer = Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER), BeforeValidator(whole)]
JobNumber = Annotated[int, Field(ge=-MAX_JOB_NUMBER, le=MAX_JOB_NUMBER), BeforeValidator(whole)]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER), BeforeValidator(whole)]
Percent = Annotated[int, Field(ge=0, le=100), BeforeValidator(whole)]
Text = Annotated[str, Field(min_length=1)]
Time = Annotated[
    str, AfterValidator(check_time), WithJsonSchema({"type": "string", "format": "date-time"})
]
Lease = Annotated[str, Field(description="The lease that a claim returned: 409 once it is lost.")]
BuildStatus = Literal["preparing", "queued", "running", "completed", "failed", "cancelled"]
PresentationStatus = Literal["queued", "processing", "completed", "failed"]
FileType = Literal["videos", "music", "sounds", "quotes"]
Privacy = Literal["private", "unlisted", "public"]
Operation = Literal["insert", "update", "delete"]
# A field that may be absent but not null: pydantic does not validate a default.
ABSENT: Any = None


def without_defaults(schema: Schema) -> None:
    """What is absent is not null, so nulls are no defaults; titles repeat the names."""
    for described in schema.get("properties", {}).values():
        for key in ("default", "title"):
            described.pop(key, None)


def all_required(schema: Schema) -> None:
    without_defaults(schema)
    schema["required"] = list(schema["properties"])


def at_least_one(schema: Schema) -> None:
    without_defaults(schema)
    schema["minProperties"] = 1


class Body(BaseModel):
    """An object without other fields than these."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra=without_defaults, protected_namespaces=()
    )


class Row(BaseModel):
    """A row of a response, in which all fields are present."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra=all_required, protected_namespaces=()
    )


# Campaigns

FLAGS = [None, True, False, 0, 1, "", "true", "yes", "on", "1", "false", "no", "off", "0"]
AS_JSON = "text; the column shows any other value as its JSON"
AnyText = Annotated[Any, WithJsonSchema({"description": AS_JSON})]
Flag = Annotated[Any, WithJsonSchema({"enum": FLAGS})]
Name = Annotated[Any, WithJsonSchema({"not": {"type": "null"}, "description": AS_JSON})]
Key = Annotated[
    Any,
    WithJsonSchema({"type": ["string", "number", "null"], "description": "Random if absent."}),
]


class CampaignChanges(BaseModel):
    """A campaign job may hold any other field as well."""

    model_config = ConfigDict(extra="allow", json_schema_extra=without_defaults)

    id: Key = None
    job_name: Name = None
    product: AnyText = None
    persona: AnyText = None
    setting: AnyText = None
    emotion: AnyText = None
    hook: AnyText = None
    elevenlabs_voice_id: AnyText = None
    language: AnyText = None
    brand_name: AnyText = None
    enabled: Flag = None
    created_at: AnyText = None
    updated_at: AnyText = None
    campaign_type: AnyText = None
    campaignType: AnyText = None  # noqa: N815 - the earlier systems' spelling
    avatar_id: AnyText = None
    avatarId: AnyText = None  # noqa: N815
    script_id: AnyText = None
    scriptId: AnyText = None  # noqa: N815
    avatar_video_path: AnyText = None
    avatarVideo: AnyText = None  # noqa: N815
    script_file: AnyText = None
    scriptFile: AnyText = None  # noqa: N815
    example_script_file: AnyText = None
    use_overlay: Flag = None
    useOverlay: Flag = None  # noqa: N815
    automated_video_editing_enabled: Flag = None
    useExactScript: Flag = None  # noqa: N815


class NewCampaign(CampaignChanges):
    job_name: Name


class Campaign(CampaignChanges):
    id: Key


class Restore(Body):
    version: Annotated[int, Field(ge=1, le=MAX_INTEGER), BeforeValidator(whole)] | None = None


class Undo(Body):
    undo: Text


class Nothing(Body):
    pass


class Version(Row):
    version: int
    operation: Operation
    actor: str | None
    changed_at: str
    data: Any


# Builds


class NewBuild(Body):
    job_id: JobNumber | None = None
    run_id: str | None = None
    run_dir: str | None = None
    status: BuildStatus | None = None
    progress: Percent | None = None
    current_step: str | None = None
    config: dict[str, Any] | None = None
    output_file: str | None = None
    error: str | None = None
    created_at: Time | None = None
    started_at: Time | None = None
    finished_at: Time | None = None
    worker: str | None = None
    last_heartbeat: Time | None = None
    attempts: Count | None = None
    priority: Integer | None = None
    run_after: Time | None = None


class BuildChanges(NewBuild):
    job_id: Integer = ABSENT
    run_id: str = ABSENT
    run_dir: str = ABSENT
    status: BuildStatus = ABSENT
    created_at: Time = ABSENT
    priority: Integer = ABSENT
    lease: Lease = ABSENT


class Build(NewBuild):
    model_config = ConfigDict(json_schema_extra=all_required)

    job_id: Integer


class ClaimedBuild(Build):
    lease: str


class BuildHeartbeat(Body):
    lease: Lease | None = None
    worker: str | None = None
    progress: Percent | None = None
    current_step: str | None = None


class NewFile(Body):
    file_type: FileType
    filename: Text
    file_path: Text
    lease: Lease = ABSENT


class File(Row):
    id: int
    job_id: int
    file_type: FileType
    filename: str
    file_path: str
    uploaded_at: str


class NewUpload(Body):
    video_id: Text
    video_url: str
    title: str
    description: str | None = None
    privacy: Privacy = ABSENT
    tags: list[Any] | None = None
    category: str | None = None
    lease: Lease = ABSENT


class Upload(Row):
    id: int
    job_id: int
    video_id: str
    video_url: str
    title: str
    description: str | None
    privacy: Privacy
    tags: list[Any] | None
    category: str | None
    uploaded_at: str


# Presentations


class NewPresentation(Body):
    job_id: Text | None = None
    status: PresentationStatus | None = None
    progress: Annotated[float, Field(ge=0, le=100)] | None = None
    error: str | None = None
    config: dict[str, Any] | None = None
    video_url: str | None = None
    thumbnail_url: str | None = None
    slide_image_path: str | None = None
    created_at: Time | None = None
    completed_at: Time | None = None
    last_heartbeat: Time | None = None
    created_files: list[Any] | None = None
    worker: str | None = None
    attempts: Count | None = None
    current_step: str | None = None
    priority: Integer | None = None
    run_after: Time | None = None


class PresentationChanges(NewPresentation):
    job_id: Text = ABSENT
    status: PresentationStatus = ABSENT
    created_at: Time = ABSENT
    priority: Integer = ABSENT
    lease: Lease = ABSENT


class Presentation(NewPresentation):
    model_config = ConfigDict(json_schema_extra=all_required)

    job_id: Text


class ClaimedPresentation(Presentation):
    lease: str


class PresentationHeartbeat(Body):
    lease: Lease | None = None
    worker: str | None = None
    progress: Annotated[float, Field(ge=0, le=100)] | None = None
    current_step: str | None = None


# Queues


class Claim(Body):
    worker: Annotated[str, Field(pattern=r"\S")]


class Event(Row):
    id: int
    job_id: int | str
    status_from: str | None
    status_to: str | None
    actor: str | None
    at: str
    detail: str | None


# All resources


class Change(Row):
    """A change, and the job as it is now."""

    change: int
    operation: Operation
    id: int | str
    actor: str | None
    at: str
    job: dict[str, Any] | None


def check_value(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("must be a text, a number or a boolean")
    return value


def check_boolean(value: Any) -> Any:
    if not isinstance(value, bool | int) or value not in (0, 1):
        raise ValueError("must be true or false (1 or 0)")
    return value


# What a column of each kind can be compared with.
FILTER_TYPES: dict[str, Any] = {
    "text": Annotated[
        Any, AfterValidator(check_value), WithJsonSchema({"type": ["string", "number", "boolean"]})
    ],
    "json": str,
    "number": Annotated[int, Field(gt=-(10**18), lt=10**18), BeforeValidator(whole)],
    "boolean": Annotated[
        Any, AfterValidator(check_boolean), WithJsonSchema({"enum": [True, False, 0, 1]})
    ],
    "time": Time,
}


class BulkResult(Row):
    ok: Literal[True]
    action: str
    matched: int
    changed: int
    left: int
    dry_run: bool
    undo: str | None


class Filter(Body):
    model_config = ConfigDict(json_schema_extra=at_least_one)


def filter_model(name: str, columns: Mapping[str, str], key: str) -> Model:
    """The filter of a bulk request: a value for any column, words `q`, and a list of keys."""
    types = {"q": "text", **columns}
    fields: dict[str, Any] = {
        column: (FILTER_TYPES[kind], ABSENT) for column, kind in types.items()
    }
    listed: Any = FILTER_TYPES[columns[key]]
    fields[f"{key}__in"] = (list[listed], ABSENT)
    return create_model(name, __base__=Filter, **fields)


def bulk_model(name: str, actions: Iterable[str], columns: Mapping[str, str], key: str) -> Model:
    fields: dict[str, Any] = {
        "action": (Literal[tuple(actions)], ...),
        "filter": (filter_model(f"{name}Filter", columns, key), ...),
        "dry_run": (bool, False),
    }
    return create_model(f"{name}Bulk", __base__=Body, **fields)


def validate(model: Model, value: Any, table: str = "") -> dict[str, Any]:
    """The fields given in `value`. Invalid, naming each fault, if they are not as in `model`."""
    try:
        valid = model.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        raise Invalid(*dict.fromkeys(fault_text(fault, table) for fault in faults)) from None
    return {name: getattr(valid, name) for name in value if name in valid.model_fields_set}


def fault_text(fault: ErrorDetails, table: str) -> str:
    """What is wrong, where, and with which value."""
    place = ".".join(str(part) for part in fault["loc"])
    where = f"{table}.{place}" if table and place else place or "The body"
    if fault["type"] == "extra_forbidden":
        return f"{where}: there is no such field"
    if fault["type"] == "missing":
        return f"{where}: must be given"
    if fault["type"] == "model_type":
        return f"{where}: must be an object{but_is(fault['input'])}"
    reason = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {reason.replace('Input should be', 'must be', 1)}{but_is(fault['input'])}"
