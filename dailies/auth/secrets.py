"""The folder `<data>/.dailies`: what only the owner of this installation may read.

It holds the key that signs cookies and the store of tokens, and outlives restarts.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from loaders.registry import data_dir

FOLDER = ".dailies"
FOLDER_MODE = 0o700
FILE_MODE = 0o600


def private_path(name: str) -> Path:
    """Where the private file `name` is or will be; nothing is created."""
    return data_dir() / FOLDER / name


def private_dir() -> Path:
    """The folder, made where it is missing, closed to everybody else."""
    folder = data_dir() / FOLDER
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)
    return folder


def create_private_file(name: str) -> Path:
    """The file, empty where it is new, closed to everybody else."""
    path = private_dir() / name
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, FILE_MODE))
    path.chmod(FILE_MODE)
    return path


def signing_secret() -> str:
    """The key of this installation alone, made at its first use."""
    path = private_path("secret")
    if not path.exists():
        write_once(path, secrets.token_hex(32))
    path.chmod(FILE_MODE)
    return path.read_text()


def write_once(path: Path, text: str) -> None:
    """Give `path` its content unless it has one: no reader ever sees a part of it."""
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
