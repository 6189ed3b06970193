"""The folder `<data>/.dailies`, which only its owner may read.

It contains the key that signs cookies and the store of tokens.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import tempfile
from functools import cache, lru_cache
from pathlib import Path

from loaders.database_file import FILE_MODE, FOLDER_MODE
from loaders.registry import data_dir

FOLDER = ".dailies"
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
MIN_LENGTH = 32  # characters of a secret


def private_path(name: str) -> Path:
    """The path of a private file, which need not exist."""
    return in_folder(data_dir(), name)


@lru_cache(100)
def in_folder(data: Path, name: str) -> Path:
    return data / FOLDER / name


def private_dir() -> Path:
    """The folder, created if it is missing, with mode 0700."""
    folder = data_dir() / FOLDER
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    set_mode(folder, FOLDER_MODE)
    return folder


def create_private_file(name: str) -> Path:
    """The path of a private file, created empty if it is missing, with mode 0600.

    A file that exists is not opened: closing it would end the locks of SQLite's connections to it,
    so that another program could delete the write-ahead log that they use.
    """
    path = private_dir() / name
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, FILE_MODE))
    set_mode(path, FILE_MODE)
    return path


def set_mode(path: Path, mode: int) -> None:
    """Change the mode if it is another one, which is not possible on a read-only disk."""
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def signing_secret() -> str:
    """The key that signs cookies, created at its first use; each installation has its own.

    A file left empty, as by a full disk, is replaced: whoever knows the key can sign a cookie.
    """
    path = private_path("secret")
    if not path.exists():
        try:
            write_once(path, secrets.token_hex(32))
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            return unsaved_secret()
    set_mode(path, FILE_MODE)
    found = path.read_text(errors="replace").strip()
    if not found:
        path.unlink()
        return signing_secret()
    if len(found) < MIN_LENGTH:
        raise ValueError(
            f"{path} has fewer than {MIN_LENGTH} characters: delete it to get a new one"
        )
    return found


@cache
def unsaved_secret() -> str:
    """The key of this process, where nothing can be written."""
    return secrets.token_hex(32)


def write_once(path: Path, text: str) -> None:
    """Create a file with its whole content, unless it exists."""
    descriptor, name = tempfile.mkstemp(dir=private_dir())
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
