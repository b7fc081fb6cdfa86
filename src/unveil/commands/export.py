"""`unveil export`: a training checkpoint becomes a model file, a model becomes one self-contained ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unveil.commands import arguments
from unveil.commands.extras import needs_extra
from unveil.commands.terminal import Terminal, examples, shown
from unveil.errors import InvalidRequest, OutputExists

EXAMPLES = examples(
    "unveil export runs/first -o mine.safetensors                      what a training run has finished",
    "unveil export mine.safetensors -o rain.onnx --weights rain=1      one self-contained ONNX file",
    "unveil export runs/first -o net_g.pth --official-names            for the original repository, BasicSR, spandrel",
    "unveil export old.safetensors -o new.safetensors                  the same model with the graphs of this version",
)

CHECKPOINTS = (".ckpt", ".pt", ".pth")


def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT|MODEL", help="Folder or checkpoint of a training run, or a model by name or file."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="X.safetensors|X.onnx|X.pth", help="File to write; its ending decides."),
    ],
    weights: Annotated[
        str | None,
        typer.Option("--weights", metavar="rain=1", help="Blend to merge into an ONNX file; the bare base without it."),
    ] = None,
    official_names: Annotated[
        bool,
        typer.Option(
            "--official-names",
            help="Write only the weights, as the official implementation names them, to .pth or .safetensors.",
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Turn a checkpoint into a model file, a model and a blend into one ONNX file, or into official weights.

    Needs the extra 'train'.
    """
    ending = output.suffix.lower()
    if official_names and ending not in (".safetensors", ".pth"):
        raise InvalidRequest(f"-o {shown(output)}: official weights end in .pth or .safetensors")
    if not official_names and ending not in (".safetensors", ".onnx"):
        raise InvalidRequest(
            f"-o {shown(output)}: the file must end in .safetensors (a model file) or .onnx; "
            ".pth needs --official-names"
        )
    if ending == ".safetensors" and weights is not None and not official_names:
        raise InvalidRequest("--weights merges a blend into an .onnx file; a model file keeps all its adapters")
    given = None if weights is None else arguments.parse_weights(weights, "--weights")
    if output.exists() and not overwrite:
        raise OutputExists(output, "exists already; give --overwrite to replace it, or another name with -o")

    from unveil import models

    with needs_extra("'unveil export'", "train"):
        from unveil import export

        from_run = Path(source).is_dir() or Path(source).suffix.lower() in CHECKPOINTS
        if official_names and from_run and given is None:
            # Tracing graphs, which take a minute, would be for nothing.
            export.write_official(export.trained_network(Path(source)), output)
            Terminal().line(f"{shown(source)} -> {shown(output)}")
            return
        model = export.model_from_checkpoint(Path(source)) if from_run else models.read(models.find(source))
        arguments.require_known(given or (), model.card.degradations, "--weights", f"the model {model.card.name}")
        output.parent.mkdir(parents=True, exist_ok=True)
        if official_names:
            export.write_official(export.network_of(model, weights=given), output)
        elif ending == ".safetensors":
            models.write(model if from_run else export.retraced(model), output)
        else:
            export.write_onnx(model, output, weights=given)
    Terminal().line(f"{shown(source)} -> {shown(output)}")
