"""An encoder in a file of its own, for any network to be guided by: arrays and a card, nothing that is executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import unveil
from unveil import networks
from unveil.errors import InvalidModel, ModelTooNew
from unveil.methods.constyle.encoder import Encoder
from unveil.models.file import check_arrays, load, store

KEY = "unveil-encoder"
FORMAT = 1

MOST_CLASSES = 100_000
"""A card that speaks of more is damaged or hostile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderCard:
    """What is known of an encoder. `network` has the keys `name` and `config`, as in a model's card."""

    name: str
    network: Mapping[str, Any]
    summary: str = ""
    licence: str = ""
    training_data: str = ""
    code_version: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    format: int = FORMAT


def write_encoder(
    encoder: Encoder,
    path: Path | str,
    *,
    name: str,
    recipe: Mapping[str, Any] | None = None,
    summary: str = "",
    licence: str = "",
    training_data: str = "",
) -> Path:
    """Write an encoder, float32, with its norms' statistics.

    Args:
        encoder: of v1 (`ConStyle`), of v2 (`ConStyleV2`), or one inside a guided network.
        path: the file, `.safetensors`; written under a temporary name first.
        name, summary, licence, training_data, recipe: for the card.

    Raises:
        ModelError: it cannot be written there.
    """
    classes = encoder.state_dict().get("classifier.3.weight")
    network = {"name": "constyle", "config": {}}
    if classes is not None:
        network = {"name": "constyle-v2", "config": {"classes": len(classes)}}
    card = EncoderCard(
        name=name,
        network=network,
        summary=summary,
        licence=licence,
        training_data=training_data,
        code_version=unveil.__version__,
        recipe=recipe or {},
    )
    state = {key: value for key, value in encoder.state_dict().items() if value.is_floating_point()}
    tensors = {f"weights/encode/{key}": value.detach().cpu().float().numpy() for key, value in state.items()}
    return store(Path(path), tensors, {KEY: json.dumps(asdict(card))}, kind="encoder")


def read_encoder(path: Path | str) -> Encoder:
    """Read an encoder file: `ConStyle` or `ConStyleV2`, in evaluation mode.

    Raises:
        ModelNotFound: no file lies at the path.
        InvalidModel: it is no encoder file, or has parts that are missing or foreign.
        ModelTooNew: a format that this version does not know.
    """
    path = Path(path)
    text, tensors = load(path, KEY, _advice)
    try:
        card = json.loads(text)
        number, network = int(card["format"]), card["network"]
        kind, config = str(network["name"]), {key: int(value) for key, value in network["config"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidModel(f"{path}: its card cannot be read ({error}); fetch the file again.") from error
    if number > FORMAT:
        raise ModelTooNew(
            f"{path}: an encoder file of format {number}; this version reads up to {FORMAT}. Update unveil."
        )
    if kind not in ("constyle", "constyle-v2") or not all(0 < value <= MOST_CLASSES for value in config.values()):
        raise InvalidModel(f"{path}: holds a {kind!r} of {config}, expected constyle or constyle-v2.")
    check_arrays(tensors)
    try:
        encoder = networks.build(kind, **config)
        state = {
            name.removeprefix("weights/encode/"): torch.from_numpy(np.array(array)) for name, array in tensors.items()
        }
        counters = {name: value for name, value in encoder.state_dict().items() if not value.is_floating_point()}
        encoder.load_state_dict({**counters, **state})
    except (RuntimeError, TypeError, ValueError) as error:
        raise InvalidModel(f"{path}: its weights do not make a {kind} ({error}).") from error
    assert isinstance(encoder, Encoder)
    return encoder.eval()


def _advice(metadata: dict[str, str]) -> str:
    if "unveil" in metadata:
        return (
            "a model, not an encoder alone; guide a network with an encoder file, or give this model as a run's start."
        )
    return "a safetensors file, but no encoder of unveil's; official weights of one are read by `unveil convert`."
