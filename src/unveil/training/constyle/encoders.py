"""Where an encoder's weights can come from: an encoder file, a run, official weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from unveil.errors import InvalidModel, RecipeError, UnknownNetwork
from unveil.methods.constyle.encoder import Encoder
from unveil.methods.constyle.encoder_file import read_encoder
from unveil.methods.constyle.guidance import Steered

ENCODER_FILE = "encoder.safetensors"


def find_encoder(path: Path | str) -> Encoder:
    """An encoder in evaluation mode.

    Args:
        path: an encoder file; a run of constyle (its folder, or a checkpoint), also one that trained its encoder along;
            or weights of the authors, of an encoder or of a guided network.

    Raises:
        RecipeError: there is no encoder in it.
    """
    path = Path(path)
    if path.is_dir() and (path / ENCODER_FILE).exists():
        path = path / ENCODER_FILE
    if path.is_dir() or path.suffix == ".ckpt":
        from unveil.training.run import opened

        found: nn.Module = opened(path).trained()
    elif path.suffix == ".safetensors":
        try:
            return read_encoder(path)
        except InvalidModel as error:
            found = _official(path, error)
    else:
        found = _official(path, None)
    if isinstance(found, Steered):
        found = found.encoder
    if not isinstance(found, Encoder):
        raise RecipeError(f"{path} holds a {type(found).__name__}, which has no encoder of ConStyle inside")
    return found.eval()


def _official(path: Path, earlier: InvalidModel | None) -> nn.Module:
    from unveil import conversion

    try:
        return conversion.recognise(path).build()
    except (InvalidModel, UnknownNetwork) as error:
        raise RecipeError(f"{path} holds no encoder: {earlier or error}") from None
