"""Databases that cannot be served, since their file is missing, damaged, foreign or too new.

The others are served. Pages and the API answer 503 for these, and /-/health names them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from weakref import WeakKeyDictionary

from datasette.app import Datasette

from dailies.background import enabled
from dailies.errors import RETRY, RequestError
from loaders import checks
from loaders.connections import give_up_after
from loaders.database_file import open_read_only
from loaders.errors import describe_error
from loaders.registry import DATABASES, database_path

CHECK_SECONDS = 0.05  # for each file at the start: `dailies check` reads all of a large one
MAX_CHECKED = 30_000_000  # bytes that can be read meanwhile: SQLite 3.40 looks at no clock then

SIZE = "select page_count * page_size from pragma_page_count, pragma_page_size"

_unavailable: WeakKeyDictionary[Datasette, dict[str, str]] = WeakKeyDictionary()


def find_unavailable(datasette: Datasette) -> Mapping[str, str]:
    """Look at every file; the reasons for those that cannot be served."""
    reasons = {name: reason_unavailable(name, database_path(name)) for name in DATABASES}
    found = {name: reason for name, reason in reasons.items() if reason}
    _unavailable[datasette] = found
    return found


def unavailable(datasette: Datasette) -> Mapping[str, str]:
    """Names of databases, and why they are not served."""
    return _unavailable.get(datasette, {})


def mark_unavailable(datasette: Datasette, name: str, reason: str) -> None:
    """Note why a database is not served from now on; it is if the reason is empty."""
    reasons = _unavailable.setdefault(datasette, {})
    if reason:
        reasons[name] = reason
    else:
        reasons.pop(name, None)


def require_available(datasette: Datasette, *names: str) -> None:
    """RequestError 503 if one of these databases is not served."""
    lacking = [name for name in names if name in unavailable(datasette)]
    if lacking:
        messages = [message(name, unavailable(datasette)[name]) for name in lacking]
        raise RequestError(503, messages, RETRY)


def message(name: str, reason: str) -> str:
    return f"The database {name} is not available: its file {reason}"


def reason_unavailable(name: str, path: Path) -> str | None:
    """Why the file cannot be served, to follow its name; None if it can."""
    if not path.exists():
        # `dailies serve` creates every file that it can.
        return "is missing" if path.is_symlink() or enabled.is_set() else None
    try:
        checks.inspect(name, path)
        with closing(open_read_only(path)) as connection:
            if checks.needs_work(name, connection):
                return "needs an upgrade or a repair, which failed"
            damage = quick_damage(connection)
            return f"is damaged ({damage[0]})" if damage else None
    except ValueError as error:
        return str(error).removeprefix(f"{path} ").removesuffix(": it was left as it is")
    except sqlite3.DatabaseError as error:
        return describe_error(error)
    except OSError as error:
        return f"cannot be opened ({error.strerror or error})"


def quick_damage(connection: sqlite3.Connection) -> list[str]:
    """The damage that a short look finds, which reads small files whole."""
    with suppress(TimeoutError), give_up_after(connection, CHECK_SECONDS):
        if connection.execute(SIZE).fetchone()[0] <= MAX_CHECKED:
            return checks.damage(connection)
    return []
