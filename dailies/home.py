"""Where the project's own files are, and a folder of the user's own that is merged over them."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent


def home() -> Path:
    """The folder with metadata.yml, plugins and so on: in an installed package, or of a clone."""
    installed = PACKAGE / "home"
    return installed if installed.is_dir() else PACKAGE.parent


HOME = home()


def own_folder() -> Path | None:
    """The current folder if it is one of the user's own, as `dailies init` writes it."""
    folder = Path.cwd()
    is_own = (folder / "metadata.yml").is_file() and not folder.samefile(HOME)
    return folder if is_own else None


def own_part(name: str) -> Path | None:
    """A folder such as `templates` in the user's own folder; None if there is none."""
    folder = own_folder()
    return folder / name if folder and (folder / name).is_dir() else None


def folders(name: str) -> list[Path]:
    """The folders of that name: ours and, where there is one, the user's own."""
    own = own_part(name)
    return [HOME / name, *([own] if own else [])]
