"""`unveil convert`: official weights of a published network become a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unveil.commands.extras import needs_extra
from unveil.commands.terminal import Terminal, examples, shown
from unveil.errors import InvalidRequest, OutputExists

EXAMPLES = examples(
    "unveil convert restormer.pth -o mine.safetensors    then: unveil restore photo.jpg --model mine.safetensors",
    "unveil convert restormer.pth --dry-run              says what the file is, and writes nothing",
    "unveil convert net_g.pth -o mine.safetensors --container params_ema",
    "unveil convert nafnet.pth -o mine.safetensors --local 384    statistics of windows, as of patches of 256",
    "unveil convert Restormer_S_EP.pth --prompts type7.npy --classifier Classifier.pth -o ep.safetensors",
)


def command(
    source: Annotated[
        Path,
        typer.Argument(metavar="WEIGHTS", help="Official weights: .pth, .pt, .ckpt, .bin, .safetensors or .npz."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="X.safetensors", help="Model file to write.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what the file was found to be.")] = False,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the model; that of the file by default.")
    ] = None,
    container: Annotated[
        str | None,
        typer.Option(
            "--container",
            metavar="params_ema",
            help="Entry of the file to take; by default the one that the network's published tests load.",
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", metavar="X.npy", help="Table of explicit prompts that the network was trained with."),
    ] = None,
    classifier: Annotated[
        Path | None,
        typer.Option("--classifier", metavar="WEIGHTS", help="MiOIR's classifier, to choose the prompt per picture."),
    ] = None,
    gather: Annotated[
        bool,
        typer.Option(
            "--gather",
            help="Make tiles of large pictures agree: NAFNet's and Restormer's statistics of the whole picture are "
            "gathered first, which takes up to as long again.",
        ),
    ] = False,
    local: Annotated[
        int,
        typer.Option(
            "--local",
            metavar="PIXELS",
            min=0,
            help="Make them agree otherwise: statistics are taken of windows of this side (TLC), best 1.5 times the "
            "side of the patches that the network was trained on. Changes what large pictures become.",
        ),
    ] = 0,
    half: Annotated[
        bool, typer.Option("--half", help="Store float16: half the size, weights off by up to 0.05 %.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option("--licence", metavar="TEXT", help="Licence of the weights, for the card.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Turn official weights of a published network into a model file that 'unveil restore --model' runs.

    Which network it is, its form and its sizes are told by the names and shapes of its tensors. Nothing that the file
    holds is executed. Needs the extra 'train'.
    """
    if output is None and not dry_run:
        raise InvalidRequest("say with -o where to write the model file, or give --dry-run to write none")
    if output is not None and output.suffix.lower() != ".safetensors":
        raise InvalidRequest(f"-o {shown(output)}: a model file ends in .safetensors")
    if output is not None and output.exists() and not overwrite:
        raise OutputExists(output, "exists already; give --overwrite to replace it, or another name with -o")
    terminal = Terminal(as_json=as_json)

    from unveil import models

    with needs_extra("'unveil convert'", "train"):
        from unveil import conversion

        found = conversion.recognise(source, container)
        terminal.line(f"{shown(source)}: {found.describe()}")
        record = {"input": str(source), "output": None, **found.as_dict()}
        if not dry_run and output is not None:
            options = conversion.Options(
                name=name,
                prompts=prompts,
                classifier=classifier,
                gather=gather,
                local=local,
                half=half,
                **({} if licence is None else {"licence": licence}),
            )
            model = conversion.convert(found, source, options, report=terminal.note)
            models.write(model, output)
            record["output"] = str(output)
            terminal.line(f"{shown(source)} -> {shown(output)}  {output.stat().st_size / 1e6:.1f} MB")
    if as_json:
        terminal.json(record)
