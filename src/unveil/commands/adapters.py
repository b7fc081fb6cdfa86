"""`unveil adapters`: what adapters a model has, and adapters in and out of it as files of their own."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unveil.commands.terminal import Terminal, examples, shown
from unveil.errors import InvalidRequest, OutputExists

if TYPE_CHECKING:
    from unveil.models import AdapterFile, Model

app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback()
def describe() -> None:
    """Adapters of a model, and adapters as files of their own."""


ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A model, by name or by file.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="NEW", help="The model file to write; MODEL stays as it is.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Without -o, change MODEL itself; with it, replace an existing file.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def show(
    name: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="A model, by name or by file, or an adapter file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the adapters of a model, or say what an adapter file is."""
    from unveil import models

    terminal = Terminal(as_json=as_json)
    if name is not None and Path(name).is_file() and models.is_adapter(name):
        file = models.read_adapter(name)
        found: dict[str, Any] = {
            "model": None,
            "network": file.network["name"],
            "base_checksum": file.adapter.base_checksum,
            "adapters": [_record(file, diagnosed=None)],
        }
    else:
        model = models.read(models.find(name or models.DEFAULT))
        card = model.card
        records = [
            _record(models.take_adapter(model, each), diagnosed=each not in card.undiagnosed) for each in model.adapters
        ]
        found = {
            "model": card.name,
            "network": card.network["name"],
            "base_checksum": card.base_checksum,
            "adapters": records,
        }
    if as_json:
        terminal.json(found)
        return
    _show(found, terminal)


def add(
    name: ModelArgument,
    adapters: Annotated[list[Path], typer.Argument(metavar="ADAPTER", help="Adapter files.")],
    output: Output = None,
    overwrite: Overwrite = False,
) -> None:
    """Put adapters into a model.

    They must have been trained on its base. Its estimator does not know them: they work where --only or --weights
    names them, until it is trained again.
    """
    from unveil import models

    path = models.find(name)
    target = _target(name, path, output, overwrite)
    model = models.read(path)
    for file in adapters:
        model = models.add_adapter(model, models.read_adapter(file))
    models.write(model, target)
    terminal = Terminal()
    _say(model, target, terminal)
    if model.card.estimator is not None and model.card.undiagnosed:
        named = ", ".join(model.card.undiagnosed)
        terminal.note(f"the diagnosis does not know {named}: name it with --only or --weights")


def remove(
    name: ModelArgument,
    degradations: Annotated[list[str], typer.Argument(metavar="NAME", help="Degradations whose adapters go.")],
    output: Output = None,
    overwrite: Overwrite = False,
) -> None:
    """Take adapters out of a model; its diagnosis then leaves their degradations out."""
    from unveil import models

    path = models.find(name)
    target = _target(name, path, output, overwrite)
    model = models.read(path)
    for degradation in degradations:
        model = models.remove_adapter(model, degradation)
    models.write(model, target)
    _say(model, target, Terminal())


def extract(
    name: ModelArgument,
    degradations: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Degradations; all adapters by default.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help="File to write, or folder for several; here by default."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    whole: Annotated[
        bool, typer.Option("--int8", help="In whole numbers of 8 bits: half the size, changes off by about 1 %.")
    ] = False,
) -> None:
    """Write adapters of a model as files of their own; the model stays as it is."""
    from unveil import models

    model = models.read(models.find(name))
    files = [models.take_adapter(model, each) for each in degradations or model.adapters]
    if not files:
        raise InvalidRequest(f"{model.card.name} has no adapters to extract")
    ending = ".safetensors"
    if output is not None and output.suffix.lower() == ending:
        if len(files) > 1:
            raise InvalidRequest(f"-o {shown(output)} is one file, for {len(files)} adapters; name a folder")
        targets = [output]
    else:
        folder = output or Path()
        targets = [folder / f"{model.card.name}.{file.adapter.degradation}{ending}" for file in files]
    for target in targets:
        if not overwrite and os.path.lexists(target):
            raise OutputExists(target, "exists already; give --overwrite to replace it, or another place with -o")
    for file, target in zip(files, targets, strict=True):
        if whole:
            file = replace(file, adapter=models.rounded(file.adapter))
        models.write_adapter(file, target)
        Terminal().line(f"{shown(name)}: {file.adapter.degradation} -> {shown(target)}")


COMMANDS = {
    "list": (show, examples("unveil adapters list", "unveil adapters list rain.safetensors --json")),
    "add": (
        add,
        examples(
            "unveil adapters add mine.safetensors rain.safetensors -o more.safetensors",
            "unveil adapters add mine.safetensors rain.safetensors --overwrite    changes mine.safetensors itself",
        ),
    ),
    "remove": (remove, examples("unveil adapters remove abair-fast snow bits -o less.safetensors")),
    "extract": (
        extract,
        examples(
            "unveil adapters extract abair-fast rain -o rain.safetensors",
            "unveil adapters extract abair-fast -o adapters/                      each as a file of its own",
            "unveil adapters extract mine.safetensors rain --int8                 half the size, if it is not yet",
        ),
    ),
}


def _target(name: str, path: Path, output: Path | None, overwrite: bool) -> Path:
    """The file to write, before any work is done."""
    from unveil.models import bundled_folder

    if output is None:
        if not overwrite:
            raise InvalidRequest(f"give -o NEW for the new model, or --overwrite to change {shown(path)} itself")
        if name.startswith("hf:") or path.resolve().is_relative_to(bundled_folder().resolve()):
            raise InvalidRequest(f"{shown(name)} is not yours to change and stays as it is; give -o NEW")
        return path
    if output.suffix.lower() != ".safetensors":
        raise InvalidRequest(f"-o {shown(output)}: a model file ends in .safetensors")
    if not overwrite and os.path.lexists(output):
        raise OutputExists(output, "exists already; give --overwrite to replace it, or another name with -o")
    return output


def _record(file: AdapterFile, *, diagnosed: bool | None) -> dict[str, Any]:
    adapter = file.adapter
    return {
        "name": adapter.degradation,
        "printed": file.printed,
        "rank": adapter.rank,
        "alpha": adapter.alpha,
        "mode": adapter.mode,
        "storage": adapter.storage,
        "parameters": adapter.parameters,
        "bytes": sum(array.nbytes for array in adapter.tensors().values()),
        "diagnosed": diagnosed,
        "training_data": file.training_data,
        "code_version": file.code_version,
    }


def _say(model: Model, target: Path, terminal: Terminal) -> None:
    terminal.line(f"{shown(target)}: {model.card.name} with {', '.join(model.adapters) or 'no adapters'}")


def _show(found: dict[str, Any], terminal: Terminal) -> None:
    from rich.markup import escape
    from rich.table import Table

    of = f"model {found['model']}" if found["model"] else "an adapter file"
    terminal.line(f"{shown(of)}, network {found['network']}, base {found['base_checksum']}")
    if not found["adapters"]:
        terminal.line("no adapters")
        return
    columns = ("name", "undoes", "rank", "alpha", "mode", "numbers", "stored", "size", "diagnosed")
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    words = {True: "yes", False: "no: name it with --only", None: ""}
    for each in found["adapters"]:
        table.add_row(
            escape(shown(each["name"])),
            escape(shown(each["printed"])),
            str(each["rank"]),
            f"{each['alpha']:g}",
            escape(shown(each["mode"])),
            f"{each['parameters']:,}",
            each["storage"],
            f"{each['bytes'] / 1e3:.0f} kB",
            words[each["diagnosed"]],
        )
    terminal.line(table)
