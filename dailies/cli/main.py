"""The command line: `dailies ...`, which is `sqlite-utils dailies ...` as well.

Each command parses, calls a loader, and prints. Messages go to standard error; with `--json` one
document goes to standard output. Exit status: 0 done, 1 done but something was wrong, 2 bad usage.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from sqlite_utils import hookimpl

from dailies import server
from dailies.auth import tokens
from dailies.cli import build as building
from dailies.cli.jobs import jobs
from dailies.cli.options import NAME, NAMES, DatabaseName, command
from loaders import backups, checks, import_export, open_database
from loaders import info as database_info
from loaders import restore as backup_restore
from loaders.campaigns import files
from loaders.conflicts import POLICIES
from loaders.formats.files import FORMATS
from loaders.import_options import ImportOptions
from loaders.migrations import presentation_jobs, yt_builder
from loaders.progress import Progress
from loaders.queues import recovery
from loaders.registry import DATABASES, database_path, load_environment
from loaders.times import timezone

LIFE_CYCLES = {
    "yt-builder": yt_builder.LIFE_CYCLE,
    "presentation_jobs": presentation_jobs.LIFE_CYCLE,
}
SHOW_PROGRESS_AFTER = 1.0  # seconds


FORMAT = click.option("--format", type=click.Choice(FORMATS), help="Default: by suffix.")
IMPORT_FORMAT = click.option(
    "--format", type=click.Choice(import_export.FORMATS), help="Default: by suffix."
)


def set_timezone(_context: click.Context, _option: click.Parameter, value: str | None) -> None:
    """The option is the variable by another name, so that every reader sees one setting."""
    if value is None:
        return
    try:
        timezone(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    os.environ["DAILIES_TIMEZONE"] = value


TIMEZONE = click.option(
    "--timezone",
    callback=set_timezone,
    expose_value=False,
    help="Zone of times that name none, such as Europe/Berlin. Default: DAILIES_TIMEZONE, or UTC.",
)


@contextmanager
def counting(label: str) -> Iterator[Callable[[int], None]]:
    """Rows counted on a terminal, once the work has taken a second."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    began, count, shown = time.monotonic(), 0, 0.0

    def advance(rows: int) -> None:
        nonlocal count, shown
        count += rows
        present = time.monotonic()
        if present - began > SHOW_PROGRESS_AFTER and present - shown > 0.1:
            shown = present
            click.echo(f"\r{label}: {count:,} rows", nl=False, err=True)

    yield advance
    if shown:
        click.echo("", err=True)


@contextmanager
def pages(label: str) -> Iterator[Progress]:
    """A bar on a terminal, once work of known length has taken a second."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    began = time.monotonic()
    bar = click.progressbar(length=1, label=label, file=sys.stderr)
    with ExitStack() as shown:

        def advance(done: int, total: int) -> None:
            if time.monotonic() - began < SHOW_PROGRESS_AFTER:
                return
            if not bar.entered:
                shown.enter_context(bar)
            bar.length = total
            bar.update(done - bar.pos)

        yield advance


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dailies")
def main() -> None:
    """Load, check and serve the data of short-form video pipelines."""
    load_environment()


@main.command()
@NAMES
@click.option("--sample", is_flag=True, help="Add sample rows to a database that never had any.")
@click.option("--reset", is_flag=True, help="Back up, delete and recreate. Needs --yes.")
@click.option("--yes", is_flag=True, help="Yes, delete every row (with --reset).")
@TIMEZONE
@command
def build(names: tuple[str, ...], sample: bool, reset: bool, yes: bool) -> Any:
    """Create databases or upgrade files of earlier systems; all of them if none is named.

    An old file is backed up beside itself before it is changed.
    """
    if reset and not yes:
        raise click.UsageError("--reset deletes every row: say --yes as well")
    done = [build_one(name, sample, reset) for name in names or DATABASES]
    document = {"ok": all(one.ok for one in done), "databases": [one.as_dict() for one in done]}
    return document, [line for one in done for line in build_lines(one)]


def build_one(name: str, sample: bool, reset: bool) -> building.BuildReport:
    with pages(name) as progress:
        return building.build(name, sample, reset, progress)


def build_lines(report: building.BuildReport) -> Iterator[str]:
    yield from report.lines()
    if report.imported:
        yield from report_lines(report.imported)


@main.command()
@NAMES
@TIMEZONE
@command
def check(names: tuple[str, ...]) -> Any:
    """Look for what is wrong in databases; nothing is changed."""
    found = {name: checks.examine(name, database_path(name)) for name in names or DATABASES}
    problems = {name: findings.problems for name, findings in found.items()}
    notes = {name: findings.notes for name, findings in found.items()}
    lines = [f"{name}: {line}" for name, lines in problems.items() for line in lines]
    lines += [f"{name}: note: {line}" for name, lines in notes.items() for line in lines]
    lines += [f"{name}: sound" for name, lines in problems.items() if not lines]
    return {"ok": not any(problems.values()), "problems": problems, "notes": notes}, lines


@main.command("import")
@NAME
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--table", help="Table to load into. Default: the database's first.")
@IMPORT_FORMAT
@click.option(
    "--map", "mappings", multiple=True, metavar="COLUMN=FIELD", help="FIELD of the files is COLUMN."
)
@click.option("--character", help="Whom a folder of images shows (image_library).")
@click.option(
    "--on-conflict",
    type=click.Choice(POLICIES),
    default="skip",
    show_default=True,
    help="What to do with a row that is stored already, with other content.",
)
@click.option("--dry-run", is_flag=True, help="Report, and change nothing.")
@TIMEZONE
@command
def import_files(
    name: str, paths: tuple[Path, ...], mappings: tuple[str, ...], **options: Any
) -> Any:
    """Load files into a database; every row is accounted for.

    Campaigns come from YAML (one file, or a folder of one-job files), JSON, NDJSON and CSV; any
    other table from JSON, NDJSON and CSV.
    """
    rename = parse_mappings(mappings)
    with closing(open_database(name)) as db, counting(name) as progress:
        report = import_export.import_files(
            name,
            db,
            paths,
            ImportOptions(actor="import", rename=rename, progress=progress, **options),
        )
    return report.as_dict(), list(report_lines(report.as_dict()))


def parse_mappings(mappings: Iterable[str]) -> dict[str, str]:
    pairs = {}
    for mapping in mappings:
        column, equals, name = mapping.partition("=")
        if not (column and equals and name):
            raise click.UsageError(f'--map takes COLUMN=FIELD, not "{mapping}"')
        pairs[column] = name
    return pairs


def report_lines(report: dict[str, Any]) -> Iterator[str]:
    for error in report["errors"]:
        key = f" ({error['id']})" if error["id"] else ""
        yield f"{error['source']}: {error['position']}{key}: {error['reason']}"
    counts = ("found", "imported", "updated", "skipped", "failed")
    yield ", ".join(f"{report[count]} {count}" for count in counts)
    if report["backup"]:
        yield f"backed up to {report['backup']}"


@main.command()
@NAME
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--table", help="Table to write. Default: the database's first.")
@FORMAT
@command
def export(name: str, path: Path, table: str | None, format: str | None) -> Any:
    """Write a database's rows to a file, or to a folder of one YAML file a job.

    A file that is there is kept under another name.
    """
    with closing(open_database(name)) as db:
        exported = import_export.export_files(name, db, path, table, format)
    lines = [f"{exported.rows} rows written to {exported.path}"]
    if exported.backup:
        lines.append(f"the file that was there is now {exported.backup}")
    return exported.as_dict(), lines


@main.command()
@NAME
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@FORMAT
@command
def verify(name: str, path: Path, format: str | None) -> Any:
    """Compare a file or folder with a database, deeply."""
    if name != "campaigns":
        raise click.UsageError("verify compares campaigns")
    with closing(open_database(name)) as db:
        comparison = files.verify_jobs(db, [path], format)
    lines = [f"missing in the database: {key}" for key in comparison.missing]
    lines += [f"not in the file: {key}" for key in comparison.extra]
    lines += [
        f"different: {one['id']}: {checks.shortened(one['paths'])}" for one in comparison.different
    ]
    lines += [f"{one['source']}: {one['position']}: {one['reason']}" for one in comparison.errors]
    lines.append(f"{comparison.found} compared" + (", all equal" if comparison.ok else ""))
    return comparison.as_dict(), lines


@main.command()
@NAMES
@command
def info(names: tuple[str, ...]) -> Any:
    """Path, size, pages, rows, schema version, and what an earlier system left."""
    found = [database_info.describe(name) for name in names or DATABASES]
    return {"ok": True, "databases": found}, [
        f"{facts['name']}: {key.replace('_', ' ')}: {value}"
        for facts in found
        for key, value in facts.items()
        if key != "name"
    ]


@main.command()
@NAMES
@command
def vacuum(names: tuple[str, ...]) -> Any:
    """Give free pages back to the disk, and refresh what the query planner knows."""
    done = {}
    for name in names or DATABASES:
        with closing(open_database(name)) as db:
            done[name] = database_info.vacuum(db)
    return {"ok": True, "databases": done}, [
        f"{name}: {sizes['size_before']:,} bytes before, {sizes['size_after']:,} after"
        for name, sizes in done.items()
    ]


@main.command()
@NAMES
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="Folder.")
@command
def backup(names: tuple[str, ...], folder: Path) -> Any:
    """Copy databases while they are in use; each copy is checked before it counts."""
    done = {}
    for name in names or [name for name in DATABASES if database_path(name).exists()]:
        with closing(open_database(name)) as db, pages(name) as progress:
            done[name] = str(backups.back_up_to(db.conn, folder, name, progress))
    return {"ok": True, "backups": done}, [f"{name}: {path}" for name, path in done.items()]


@main.command()
@NAME
@click.argument("file", type=click.Path(path_type=Path))
@command
def restore(name: str, file: Path) -> Any:
    """Put a backup in the place of a database, which is kept under another name.

    The backup is checked first. Stop the server before.
    """
    kept = backup_restore.restore(name, database_path(name), file)
    lines = [f"{name}: restored from {file}"]
    if kept:
        lines.append(f"{name}: what was there is now {kept}")
    return {"ok": True, "name": name, "kept": str(kept) if kept else None}, lines


@main.command()
@click.argument("name", type=DatabaseName(tuple(LIFE_CYCLES)))
@click.option(
    "--days", type=click.FloatRange(min=0), required=True, help="Older than so many days."
)
@click.option("--dry-run", is_flag=True, help="Say how many, and delete nothing.")
@command
def cleanup(name: str, days: float, dry_run: bool) -> Any:
    """Delete finished jobs of a database that are older than a number of days."""
    with closing(open_database(name)) as db:
        count = recovery.cleanup(db, LIFE_CYCLES[name], days, "cleanup", dry_run)
    would = "would be deleted" if dry_run else "deleted"
    return {"ok": True, "name": name, "jobs": count, "dry_run": dry_run}, [
        f"{name}: {count} jobs {would}"
    ]


@main.command()
@click.argument("names", nargs=-1, type=DatabaseName(tuple(LIFE_CYCLES)), metavar="[NAME]...")
@click.option(
    "--stale-minutes",
    type=click.FloatRange(min=0),
    default=recovery.STALE_MINUTES,
    show_default=True,
    help="Without a heartbeat for so long.",
)
@command
def recover(names: tuple[str, ...], stale_minutes: float) -> Any:
    """Take running jobs from workers that are silent: back to the queue, or failed at last."""
    done = {name: recover_one(name, stale_minutes) for name in names or LIFE_CYCLES}
    return {"ok": True, "databases": {name: asdict(one) for name, one in done.items()}}, [
        f"{name}: {len(one.queued)} back in the queue, {len(one.failed)} failed"
        for name, one in done.items()
    ]


def recover_one(name: str, stale_minutes: float = recovery.STALE_MINUTES) -> recovery.Recovered:
    with closing(open_database(name)) as db:
        return recovery.recover(db, LIFE_CYCLES[name], stale_minutes, "recover")


main.add_command(jobs)


@main.command()
@click.argument("actor", required=False)
@click.option(
    "--can", "actions", multiple=True, metavar="ACTION", help="Allow only this; repeatable."
)
@click.option("--expires-after", type=click.IntRange(min=1), metavar="SECONDS")
@click.option("--list", "listing", is_flag=True, help="List tokens; never their secrets.")
@click.option("--revoke", metavar="ID", help="End a token at once.")
@command
def token(
    actor: str | None,
    actions: tuple[str, ...],
    expires_after: int | None,
    listing: bool,
    revoke: str | None,
) -> Any:
    """Make an API token for ACTOR (root and worker may write), list tokens, or revoke one."""
    if [bool(actor), listing, bool(revoke)].count(True) != 1:
        raise click.UsageError("name an ACTOR, or say --list, or --revoke ID")
    if listing:
        return list_tokens()
    if revoke:
        tokens.revoke(revoke)
        return {"ok": True, "id": revoke}, [f"token {revoke} is revoked"]
    return make_token(str(actor), actions, expires_after)


def list_tokens() -> Any:
    found = [asdict(one) for one in tokens.list_tokens()]
    return {"ok": True, "tokens": found}, [
        ", ".join(f"{key} {value}" for key, value in one.items()) for one in found
    ]


def make_token(actor: str, actions: tuple[str, ...], expires_after: int | None) -> Any:
    token_id, secret = tokens.create(actor, actions, expires_after)
    if not click.get_current_context().params.get("as_json"):
        click.echo(secret)
    return {"ok": True, "id": token_id, "actor": actor, "token": secret}, [
        f"token {token_id} for {actor}: it is shown this once"
    ]


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--host", "-h", default="127.0.0.1", show_default=True)
@click.option("--port", "-p", default=8001, show_default=True, type=click.IntRange(0, 65535))
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[DATASETTE OPTIONS]...")
def serve(host: str, port: int, options: tuple[str, ...]) -> None:
    """Build what is not there yet, then serve all databases with Datasette."""
    done = [building.build(name) for name in DATABASES]
    for built in done:
        for line in build_lines(built):
            click.echo(line, err=True)
    if any(built.error for built in done):
        sys.exit(1)
    for name in LIFE_CYCLES:
        recovered = recover_one(name)
        if recovered.queued or recovered.failed:
            counts = f"{len(recovered.queued)} back in the queue, {len(recovered.failed)} failed"
            click.echo(f"{name}: {counts}", err=True)
    server.serve(host, port, options)


@hookimpl
def register_commands(cli: click.Group) -> None:
    cli.add_command(main, name="dailies")


if __name__ == "__main__":
    main()
