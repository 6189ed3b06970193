"""What the jobs API takes and gives, as pydantic types: they validate requests and describe them.

The columns of a job may each be given or not, so a job is a dictionary of which no key is required.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Required

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    with_config,
)
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from dailies.api.request import RefusalError, kind_of, limited, quoted
from loaders import presentation_jobs, yt_builder
from loaders.migrations.campaigns_projection import BROKEN_RULES, FIELDS
from loaders.migrations.rules import LARGEST_INTEGER as JOB_NUMBER
from loaders.presentation_jobs import LIFE_CYCLE as PRESENTATIONS
from loaders.queues.job_rows import to_time
from loaders.queues.life_cycle import LifeCycle
from loaders.yt_builder import FILE_TYPES, PRIVACIES
from loaders.yt_builder import LIFE_CYCLE as BUILDS

Adapter = TypeAdapter[Any]
Kinds = Mapping[str, Any]

LARGEST_INTEGER = 2**63 - 1
FLAGS = (None, True, False, 0, 1, "", "true", "yes", "on", "1", "false", "no", "off", "0")
SHOWN_AS_TEXT = "text; any other value is shown in the column as its JSON"


def check_flag(value: Any) -> Any:
    """The words that forms send are as good as true and false."""
    if (value.strip(" ").lower() if isinstance(value, str) else value) not in FLAGS:
        raise ValueError(BROKEN_RULES["enabled"][1])
    return value


def check_name(value: Any) -> Any:
    if value is None:
        raise ValueError(BROKEN_RULES["job_name"][1])
    return value


def check_key(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise ValueError("must be text")
    return value


def whole(value: Any) -> Any:
    """JSON makes no difference between 5 and 5.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def check_time(value: str) -> str:
    try:
        to_time("", value)
    except ValueError:
        raise ValueError("must be a time such as 2026-11-20T07:15:00Z") from None
    return value


Flag = Annotated[Any, AfterValidator(check_flag), WithJsonSchema({"enum": list(FLAGS)})]
Name = Annotated[
    Any,
    AfterValidator(check_name),
    WithJsonSchema({"not": {"type": "null"}, "description": SHOWN_AS_TEXT}),
]
Key = Annotated[
    Any,
    AfterValidator(check_key),
    WithJsonSchema({"type": ["string", "number", "null"], "description": "Made up if absent."}),
]
AnyText = Annotated[Any, WithJsonSchema({"description": SHOWN_AS_TEXT})]
Time = Annotated[
    str, AfterValidator(check_time), WithJsonSchema({"type": "string", "format": "date-time"})
]
WHOLE = BeforeValidator(whole)
Integer = Annotated[int, Field(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER), WHOLE]
Count = Annotated[int, Field(ge=0, le=LARGEST_INTEGER), WHOLE]
Text = Annotated[str, Field(min_length=1)]
Lease = Annotated[
    str, Field(description="The lease that a claim gave: 409 once it is lost, and nothing changes.")
]


def statuses(cycle: LifeCycle) -> Any:
    return Literal[cycle.names]


BUILD: Kinds = {
    "job_id": Integer,
    "run_id": str,
    "run_dir": str,
    "status": statuses(BUILDS),
    "progress": Annotated[int, Field(ge=0, le=100), WHOLE],
    "current_step": str,
    "config": dict[str, Any],
    "output_file": str,
    "error": str,
    "created_at": Time,
    "started_at": Time,
    "finished_at": Time,
    "worker": str,
    "last_heartbeat": Time,
    "attempts": Count,
}
PRESENTATION: Kinds = {
    "job_id": Text,
    "status": statuses(PRESENTATIONS),
    "progress": Annotated[float, Field(ge=0, le=100)],
    "error": str,
    "video_url": str,
    "thumbnail_url": str,
    "slide_image_path": str,
    "created_at": Time,
    "completed_at": Time,
    "last_heartbeat": Time,
    "created_files": list[Any],
    "worker": str,
    "attempts": Count,
    "current_step": str,
}
FILE: Kinds = {
    "file_type": Literal[FILE_TYPES],
    "filename": Text,
    "file_path": Text,
}
UPLOAD: Kinds = {
    "video_id": Text,
    "video_url": str,
    "title": str,
    "description": str,
    "privacy": Literal[PRIVACIES],
    "tags": list[Any],
    "category": str,
}
CAMPAIGN: Kinds = {
    "id": Key,
    **{key: Flag if field.kind == "boolean" else AnyText for field in FIELDS for key in field.keys},
    "job_name": Name,
}
NEVER_NULL = frozenset(("job_id", "run_id", "run_dir", "status", "created_at", "privacy", *FILE))


def dictionary(
    name: str, kinds: Kinds, required: Iterable[str] = (), *, closed: bool = True
) -> Adapter:
    """A JSON object with these keys; a `closed` one has no others."""
    return TypeAdapter(typed(name, kinds, required, closed=closed))


def typed(name: str, kinds: Kinds, required: Iterable[str] = (), *, closed: bool = True) -> Any:
    fields = {key: Required[kind] if key in required else kind for key, kind in kinds.items()}
    made: Any = TypedDict(name, fields, total=False)  # type: ignore[misc]
    config = ConfigDict(extra="forbid" if closed else "allow", strict=True)
    return with_config(config)(made)


def nullable(kinds: Kinds, *, never: Iterable[str] = ()) -> Kinds:
    return {key: kind if key in never else kind | None for key, kind in kinds.items()}


def changes(kinds: Kinds) -> Kinds:
    return {**nullable(kinds, never=NEVER_NULL), "lease": Lease}


NEW_CAMPAIGN = dictionary("NewCampaign", CAMPAIGN, ["job_name"], closed=False)
CAMPAIGN_CHANGES = dictionary("CampaignChanges", CAMPAIGN, closed=False)
CAMPAIGN_ROW = dictionary("Campaign", CAMPAIGN, ["id"], closed=False)

JobNumber = Annotated[int, Field(ge=-JOB_NUMBER, le=JOB_NUMBER), WHOLE]
NEW_BUILD = dictionary("NewBuild", nullable({**BUILD, "job_id": JobNumber}))
BUILD_CHANGES = dictionary("BuildChanges", changes(BUILD))
BUILD_ROW = dictionary("Build", nullable(BUILD, never=["job_id"]), BUILD)

NEW_PRESENTATION = dictionary("NewPresentation", nullable(PRESENTATION))
PRESENTATION_CHANGES = dictionary("PresentationChanges", changes(PRESENTATION))
PRESENTATION_ROW = dictionary(
    "Presentation", nullable(PRESENTATION, never=["job_id"]), PRESENTATION
)

NEW_FILE = dictionary("NewFile", {**FILE, "lease": Lease}, FILE)
FILE_ROW = dictionary(
    "File",
    {"id": int, "job_id": int, **FILE, "uploaded_at": str},
    ["id", "job_id", *FILE, "uploaded_at"],
)
ALWAYS_SAID = ("video_id", "video_url", "title", "privacy")
NEW_UPLOAD = dictionary(
    "NewUpload",
    {**nullable(UPLOAD, never=ALWAYS_SAID), "lease": Lease},
    ["video_id", "video_url", "title"],
)
UPLOAD_ROW = dictionary(
    "Upload",
    {"id": int, "job_id": int, **nullable(UPLOAD, never=ALWAYS_SAID), "uploaded_at": str},
    ["id", "job_id", *UPLOAD, "uploaded_at"],
)

CLAIMED = {
    name: dictionary(
        f"Claimed{name.capitalize()}",
        {**nullable(kinds, never=["job_id"]), "lease": str},
        [*kinds, "lease"],
    )
    for name, kinds in (("build", BUILD), ("presentation", PRESENTATION))
}
CLAIM = dictionary("Claim", {"worker": Annotated[str, Field(pattern=r"\S")]}, ["worker"])
HEARTBEATS = {
    name: dictionary(
        f"{name.capitalize()}Heartbeat",
        {
            "lease": Lease | None,
            "worker": str | None,
            "progress": kinds["progress"] | None,
            "current_step": str | None,
        },
    )
    for name, kinds in (("build", BUILD), ("presentation", PRESENTATION))
}
NOTHING = dictionary("Nothing", {})
RESTORE = dictionary(
    "Restore", {"version": Annotated[int, Field(ge=1, le=LARGEST_INTEGER), WHOLE] | None}
)
UNDO = dictionary("Undo", {"undo": Text}, ["undo"])


def check_condition(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("must be a text, a number or a boolean")
    return value


def check_filter(value: dict[str, Any]) -> dict[str, Any]:
    if not value:
        raise ValueError("must name a condition; all jobs are never meant")
    return value


def check_switch(value: Any) -> Any:
    if not isinstance(value, bool | int) or value not in (0, 1):
        raise ValueError("must be true or false (1 or 0)")
    return value


# A value to compare a column with; the list that it filters reads it as one in an address.
CONDITIONS: Kinds = {
    "text": Annotated[
        Any,
        AfterValidator(check_condition),
        WithJsonSchema({"type": ["string", "number", "boolean"]}),
    ],
    "json": str,
    "number": Annotated[int, Field(gt=-(10**18), lt=10**18), WHOLE],
    "boolean": Annotated[
        Any, AfterValidator(check_switch), WithJsonSchema({"enum": [True, False, 0, 1]})
    ],
    "time": Time,
}


def conditions(columns: Mapping[str, str]) -> Kinds:
    return {"q": CONDITIONS["text"], **{name: CONDITIONS[kind] for name, kind in columns.items()}}


BULK_ACTIONS: Mapping[str, tuple[tuple[str, ...], Kinds]] = {
    "campaigns": (
        ("delete",),
        conditions({"id": "text", **{field.column: field.kind for field in FIELDS}}),
    ),
    "builds": (("retry", "cancel", "delete"), conditions(yt_builder.JOBS.columns)),
    "presentations": (("retry", "delete"), conditions(presentation_jobs.JOBS.columns)),
}
BULK = {
    name: dictionary(
        f"{name.capitalize()}Bulk",
        {
            "action": Literal[actions],
            "filter": Annotated[
                typed(f"{name.capitalize()}Filter", filters),
                AfterValidator(check_filter),
                Field(json_schema_extra={"minProperties": 1}),
            ],
            "dry_run": bool,
        },
        ["action", "filter"],
    )
    for name, (actions, filters) in BULK_ACTIONS.items()
}
BULK_DONE = dictionary(
    "BulkDone",
    {
        "ok": Literal[True],
        "action": str,
        "matched": int,
        "changed": int,
        "left": int,
        "dry_run": bool,
        "undo": str | None,
    },
    ["ok", "action", "matched", "changed", "left", "dry_run", "undo"],
)

OPERATION = Literal["insert", "update", "delete"]
VERSION_ROW = dictionary(
    "Version",
    {
        "version": int,
        "operation": OPERATION,
        "actor": str | None,
        "changed_at": str,
        "data": Any,
    },
    ["version", "operation", "actor", "changed_at", "data"],
)
KEYS = {"campaigns": str, "builds": int, "presentations": str}
EVENT_ROWS = {
    name: dictionary(
        f"{name.capitalize()}Event",
        {
            "id": int,
            "job_id": KEYS[name],
            "status_from": str | None,
            "status_to": str | None,
            "actor": str | None,
            "at": str,
            "detail": str | None,
        },
        ["id", "job_id", "status_from", "status_to", "actor", "at", "detail"],
    )
    for name in ("builds", "presentations")
}
CHANGE_ROWS = {
    name: dictionary(
        f"{name.capitalize()}Change",
        {
            "change": int,
            "operation": OPERATION,
            "id": kind,
            "actor": str | None,
            "at": str,
            "job": dict[str, Any] | None,
        },
        ["change", "operation", "id", "actor", "at", "job"],
    )
    for name, kind in KEYS.items()
}


def validate(model: Adapter, value: Any, table: str = "") -> Any:
    """`value`, if it is as the model says; else RefusalError that names each fault."""
    try:
        return model.validate_python(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        messages = dict.fromkeys(fault_text(fault, table) for fault in faults)
        raise RefusalError(400, limited(list(messages))) from None


def fault_text(fault: ErrorDetails, table: str) -> str:
    """What is wrong, where, and with which value."""
    place = ".".join(str(part) for part in fault["loc"])
    where = f"{table}.{place}" if table and place else place or "The body"
    if fault["type"] == "extra_forbidden":
        return f"{where}: there is no such field"
    if fault["type"] == "missing":
        return f"{where}: {MISSING.get(place, 'must be given')}"
    reason = fault["msg"].removeprefix("Value error, ")
    reason = reason.replace("Input should be", "must be", 1)
    return f"{where}: {reason}" + shown(fault["input"])


MISSING = {"job_name": BROKEN_RULES["job_name"][1]}


def shown(value: Any) -> str:
    if value is None:
        return ""
    return f", not {kind_of(value) if isinstance(value, dict | list) else quoted(str(value))}"
