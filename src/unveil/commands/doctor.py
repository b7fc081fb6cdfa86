"""`unveil doctor`: what is installed, what works and how fast, for bug reports."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from unveil.commands.arguments import EngineName
from unveil.commands.terminal import Terminal, examples, shown

EXAMPLES = examples("unveil doctor", "unveil doctor --json > doctor.json     for a bug report")

PACKAGES = ("numpy", "onnxruntime", "pyvips", "pyvips-binary", "pi-heif", "pillow", "safetensors", "typer", "rich")
EXTRAS = ("openvino", "torch", "lightning", "fastapi", "uvicorn", "huggingface-hub", "ray", "fsspec", "s3fs")
VARIABLES = ("UNVEIL_HOME", "UNVEIL_DEBUG", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
SIDE = 256

Facts = dict[str, Any]


def command(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Say what is installed, whether it works, and how fast.

    Nothing is sent anywhere. The exit code is 1 if the default model cannot be used.
    """
    terminal = Terminal(as_json=as_json)
    siblings: object = getattr(ctx.parent.command, "commands", {}) if ctx.parent else {}
    facts: Facts = {
        "unveil": metadata_version("unveil") or _own_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "processors_usable": _usable(),
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "packages": {name: metadata_version(name) for name in PACKAGES},
        "libvips": _attempt(_libvips),
        "extras": {name: metadata_version(name) for name in EXTRAS},
        "defaults": _defaults(cast("dict[str, Any]", siblings)),
        "models": _models(),
        "engines": _engines(),
    }
    facts["sample"] = next((engine for engine in facts["engines"] if engine["opens"]), None)
    if as_json:
        terminal.json(facts)
    else:
        _tell(facts, terminal)
    works = any(engine["opens"] and engine["name"] == EngineName.onnx for engine in facts["engines"])
    raise typer.Exit(0 if works else 1)


def metadata_version(package: str) -> str | None:
    """The installed version of a package, None where it is not installed. Nothing is imported."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _own_version() -> str:
    from unveil import __version__

    return __version__


def _usable() -> int | None:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _attempt(call: Callable[[], Any]) -> Any:
    """What a check gives, or what went wrong with it: a doctor does not faint."""
    try:
        return call()
    except Exception as error:
        return f"broken: {type(error).__name__}: {error}"


def _libvips() -> str:
    from unveil.images import libvips

    vips = libvips.load()
    return ".".join(str(vips.version(part)) for part in range(3))


def _defaults(commands: dict[str, Any]) -> Facts:
    from unveil.commands import defaults

    def read() -> dict[str, dict[str, Any]]:
        return defaults.read(commands)

    return {"files": {_home(place): place.is_file() for place in defaults.places()}, "values": _attempt(read)}


def _home(path: Path) -> str:
    """A path whose beginning does not tell who the user is."""
    path = path.absolute()
    return "~/" + path.relative_to(Path.home()).as_posix() if path.is_relative_to(Path.home()) else str(path)


def _models() -> list[Facts]:
    from unveil import models
    from unveil.commands.history import digest_of

    def described(entry: models.Entry) -> Facts:
        return {
            "name": entry.name,
            "origin": entry.origin,
            "default": entry.name == models.DEFAULT,
            "path": _home(entry.path),
            "sha256": _attempt(lambda: digest_of(entry.path)),
            "base_checksum": entry.card.base_checksum if entry.card else None,
            "error": entry.error,
        }

    return [described(entry) for entry in models.listing()]


def _engines() -> list[Facts]:
    """Every engine with whether it is installed, whether it opens the default model, and the time of a sample."""
    from unveil import engines

    installed = engines.available()
    return [_engine(name) if name in installed else _absent(name) for name in engines.ENGINES]


def _absent(name: str) -> Facts:
    return {"name": name, "installed": False, "opens": False, "error": None}


def _engine(name: str) -> Facts:
    facts: Facts = {"name": name, "installed": True, "opens": False, "error": None}
    try:
        import numpy as np

        from unveil import models
        from unveil.restoration import Restorer

        started = time.perf_counter()
        restorer = Restorer(models.read(models.find(models.DEFAULT)), engine=name)
        # The same square everywhere; a blend given by hand, so that every machine does the same work.
        square = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        weights = dict.fromkeys(list(restorer.card.degradations)[:1], 1.0) or None
        restorer.run(square, weights=weights)
        opened = time.perf_counter()
        restorer.run(square, weights=weights)
        seconds = time.perf_counter() - opened
    except Exception as error:
        return {**facts, "error": f"{type(error).__name__}: {error}"}
    facts |= {"opens": True, "seconds_to_first_result": round(opened - started, 3), "seconds": round(seconds, 3)}
    return facts | {"side": SIDE, "seconds_per_megapixel": round(seconds / (SIDE * SIDE / 1e6), 2)}


def _tell(facts: Facts, terminal: Terminal) -> None:
    def line(head: str, text: object) -> None:
        terminal.line(f"{head:<12} {shown(str(text))}")

    line("unveil", f"{facts['unveil']}, Python {facts['python']}, {facts['platform']}")
    line("processors", f"{facts['processors_usable']} of {facts['processors']} usable")
    for name, value in facts["environment"].items():
        line("variable", f"{name}={value}")
    line("packages", ", ".join(f"{name} {version or 'MISSING'}" for name, version in facts["packages"].items()))
    line("libvips", facts["libvips"])
    line("extras", ", ".join(f"{name} {version}" for name, version in facts["extras"].items() if version) or "none")
    for place, there in facts["defaults"]["files"].items():
        line("defaults", f"{place} ({'read' if there else 'not there'})")
    if isinstance(facts["defaults"]["values"], str):
        line("", facts["defaults"]["values"])
    for model in facts["models"]:
        state = f"broken: {model['error']}" if model["error"] else f"sha256 {model['sha256'][:16]}"
        line("model", f"{model['name']}{' (default)' if model['default'] else ''}, {model['origin']}, {state}")
    for engine in facts["engines"]:
        line("engine", f"{engine['name']}: {_engine_said(engine)}")


def _engine_said(engine: Facts) -> str:
    if not engine["installed"]:
        return "not installed"
    if not engine["opens"]:
        return f"does not work: {engine['error']}"
    side = engine["side"]
    rate, first = engine["seconds_per_megapixel"], engine["seconds_to_first_result"]
    return f"works; {side} x {side} in {engine['seconds']:.2f} s ({rate:.1f} s a megapixel), first after {first:.1f} s"
