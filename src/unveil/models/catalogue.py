"""Names of models and the files behind them: those that come with the package and those of the user."""

from __future__ import annotations

import difflib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unveil.errors import ModelError, ModelNotFound
from unveil.models.card import Card
from unveil.models.file import read_card

DEFAULT = "abair-fast"
SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue. A file that cannot be read has no card and says in `error` why."""

    name: str
    path: Path
    origin: Literal["bundled", "user"]
    card: Card | None
    error: str | None


def bundled_folder() -> Path:
    """The folder of the models that come with the package."""
    return Path(__file__).parent / "bundled"


def user_folder() -> Path:
    """Where the user's models are, if any: `$UNVEIL_HOME/models`, or a folder under the platform's data folder."""
    if home := os.environ.get("UNVEIL_HOME"):
        return Path(home).expanduser() / "models"
    if sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    elif sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "unveil" / "models"


def find(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a model. What ends in `.safetensors` or has a separator is a path, anything else a name.

    A model of the user goes before a bundled one of the same name. `hf:owner/name` is fetched from the Hugging Face
    hub (see `unveil.models.hub`), the only case in which unveil's restoring half uses the network.

    Raises:
        ModelNotFound: naming the known models and the nearest name.
        MissingExtra, InvalidModel, ModelTooNew: for models of the hub.
    """
    given = os.fspath(name_or_path)
    if given.startswith("hf:"):
        from unveil.models import hub

        return hub.fetch(given)
    is_path = isinstance(name_or_path, os.PathLike) or given.endswith(SUFFIX) or "/" in given or os.sep in given
    if is_path:
        path = Path(given).expanduser()
        if path.is_file():
            return path
        raise ModelNotFound(f"{given}: no such model file.")
    files = {name: path for name, path, _ in _files()}
    if given in files:
        return files[given]
    near = difflib.get_close_matches(given, files, n=1)
    known = f"Known models: {', '.join(sorted(files))}." if files else f"There are no models in {user_folder()} either."
    raise ModelNotFound(
        f"No model is called {given!r}. {f'Did you mean {near[0]!r}? ' if near else ''}{known} "
        f"A model file elsewhere is given by its path, ending in {SUFFIX}."
    )


def listing() -> list[Entry]:
    """All models, bundled and the user's, in order of name. A broken file is reported in its entry, never raised."""
    return sorted((_entry(name, path, origin) for name, path, origin in _files()), key=lambda entry: entry.name)


def _files() -> list[tuple[str, Path, Literal["bundled", "user"]]]:
    found: dict[str, tuple[str, Path, Literal["bundled", "user"]]] = {}
    folders: tuple[tuple[Path, Literal["bundled", "user"]], ...] = (
        (bundled_folder(), "bundled"),
        (user_folder(), "user"),
    )
    for folder, origin in folders:
        try:
            paths = sorted(folder.glob(f"*{SUFFIX}"))
        except OSError:
            continue
        for path in paths:
            if not path.name.startswith("."):
                found[path.name.removesuffix(SUFFIX)] = (path.name.removesuffix(SUFFIX), path, origin)
    return list(found.values())


def _entry(name: str, path: Path, origin: Literal["bundled", "user"]) -> Entry:
    try:
        return Entry(name, path, origin, read_card(path), None)
    except (ModelError, OSError) as error:
        return Entry(name, path, origin, None, str(error))
