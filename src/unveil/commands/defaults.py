"""Defaults of options in files called `unveil.toml`.

Precedence, the strongest first: the command line, `unveil.toml` in the working folder, `unveil.toml` in the user's
folder for settings, what is built in. Keys are named as options are: at the top for every command, in a table for one.

A file in the working folder may come from anywhere, with a set of pictures say. So no file can decide where results go,
what is replaced, or who may connect: only the options of `ALLOWED` can be given.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from unveil.commands.terminal import shown
from unveil.errors import InvalidRequest

NAME = "unveil.toml"
COMMANDS = ("restore", "diagnose", "report", "serve")
SHARED = ("model", "engine", "precision", "threads", "pixel-limit")
ALLOWED = (*SHARED, "strength", "quality", "format", "quiet", "metric", "size-limit", "title")


def places() -> list[Path]:
    """Where the files may be: the user's first, then that of the working folder, which goes before it."""
    return [_user_folder() / NAME, Path(NAME)]


def read(commands: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The defaults of all files: command -> name of a parameter -> value, as click takes them.

    `commands` are click's commands by name, which know their options.

    Raises:
        InvalidRequest: a file that cannot be read, an unknown key or table, a value that the option does not take.
    """
    found: dict[str, dict[str, Any]] = {}
    for place in places():
        if place.is_file():
            for command, values in _read(place, commands).items():
                found.setdefault(command, {}).update(values)
    return found


def _read(place: Path, commands: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    import tomllib

    try:
        content = tomllib.loads(place.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidRequest(f"{shown(place)}: cannot be read ({error})") from error
    known = [name for name in COMMANDS if name in commands]
    found: dict[str, dict[str, Any]] = {name: {} for name in known}
    tables: dict[str, dict[str, Any]] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            _require(key, known, place, "table")
            tables[key] = cast("dict[str, Any]", value)
            continue
        _require(key, SHARED, place, "key", inside=known)
        for name in known:
            if key in _options(commands[name]):
                _take(found[name], commands[name], key, value, place, key)
    for name, table in tables.items():
        for key, value in table.items():
            _require(
                key, [option for option in _options(commands[name]) if option in ALLOWED], place, f"key of [{name}]"
            )
            _take(found[name], commands[name], key, value, place, f"{name}.{key}")
    return {name: values for name, values in found.items() if values}


def _take(values: dict[str, Any], command: Any, key: str, value: object, place: Path, label: str) -> None:
    """Put a value, converted as the command line would, into `values`."""
    option = _options(command)[key]
    if not isinstance(value, str | int | float) or isinstance(value, bool) != bool(option.is_flag):
        wanted = "true or false" if option.is_flag else "a number or a text"
        raise InvalidRequest(f"{shown(place)}: {label} is {value!r}; expected {wanted}")
    if not option.is_flag:
        value = str(value)
        _try(command, key, value, f"{shown(place)}: {label}")
    if key == "model":
        value = _model(str(value), place)
    values[option.name] = value


def _try(command: Any, key: str, value: str, label: str) -> None:
    """Have the command read the option as if it were on the command line; nothing is run."""
    needed = ["-"] if any(each.param_type_name == "argument" for each in command.params) else []
    try:
        command.make_context(command.name, [*needed, f"--{key}", value]).close()
    except Exception as error:
        # typer has brought its own copy of click for some time, so the class to catch goes by more than one name.
        said = getattr(error, "format_message", None)
        if said is None:
            raise
        raise InvalidRequest(f"{label}: {said()}") from error


def _model(value: str, place: Path) -> str:
    """A relative path to a model file is meant from the folder of the file that names it."""
    is_path = not value.startswith("hf:") and (value.endswith(".safetensors") or "/" in value or os.sep in value)
    return str(place.parent / Path(value).expanduser()) if is_path else value


def _options(command: Any) -> dict[str, Any]:
    """The options of a click command by their long names without dashes."""
    named: dict[str, Any] = {}
    for option in command.params:
        for flag in option.opts:
            if flag.startswith("--"):
                named[flag.removeprefix("--")] = option
    return named


def _require(key: str, known: Iterable[str], place: Path, kind: str, *, inside: Iterable[str] = ()) -> None:
    known = list(known)
    if key in known:
        return
    near = difflib.get_close_matches(key, known, n=1)
    advice = f"did you mean '{near[0]}'? " if near else ""
    if not near and key in ALLOWED:
        advice = f"it belongs in a table, such as [{next(iter(inside), 'restore')}]. "
    raise InvalidRequest(f"{shown(place)}: unknown {kind} '{key}'; {advice}Known are {', '.join(known)}")


def _user_folder() -> Path:
    """`$UNVEIL_HOME`, or the platform's folder for settings."""
    if home := os.environ.get("UNVEIL_HOME"):
        return Path(home).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "unveil"
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "unveil"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "unveil"
