"""A training run as a model file; a model and a blend as one ONNX file, or under the official names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors.torch import save_file

from unveil import graphs, models, networks, packing, training
from unveil.errors import InvalidRequest
from unveil.methods.abair.pretraining import SegmentationHead
from unveil.models import Model


def model_from_checkpoint(path: Path | str) -> Model:
    """A model from the folder of a run (what it has finished), or from one checkpoint (the network alone).

    Raises:
        RecipeError: too little is finished, or the file is no checkpoint of ours.
    """
    return training.opened(path).model()


def trained_network(path: Path | str) -> networks.Network:
    """The network that a run has trained, in evaluation mode: of the run's folder, or of one checkpoint.

    Raises:
        RecipeError: as `model_from_checkpoint`.
    """
    return training.opened(path).trained()


def retraced(model: Model) -> Model:
    """The same model with graphs as this version writes them, which engines may run faster; the weights stay as
    stored. Its footprint is counted anew too.

    The graph of the estimator stays as it is.
    """
    network = network_of(model)
    _, written = packing.trace_roles(cast("networks.Network", network), half=False)
    if model.card.map:
        head = SegmentationHead(cast("networks.Network", network).features, len(model.card.map))
        written["map"] = graphs.mapping(network, head.eval()).data
    card = replace(model.card, footprint=packing.counted_footprint(network))
    return replace(model, path=None, card=card, graphs={**model.graphs, **written})


def write_onnx(model: Model, path: Path | str, *, weights: Mapping[str, float] | None = None) -> Path:
    """Write one self-contained ONNX file of the restoring network with a blend merged in.

    Args:
        model: the model.
        path: the file to write; written under a temporary name first.
        weights: adapter to weight; `None` is the base alone.

    Raises:
        InvalidRequest: the network needs a code beside the picture, or an adapter the whole picture's exposure.
    """
    import onnx
    from onnx import numpy_helper

    path = Path(path)
    if model.card.codes:
        raise InvalidRequest(
            f"{model.card.name} computes a code on the whole picture first, which one ONNX file for tiles cannot hold; "
            "use the model file, whose graphs are ONNX too (docs/reference/model-file.md)."
        )
    if exposing := [name for name in model.card.exposing if (weights or {}).get(name)]:
        raise InvalidRequest(
            f"The adapter {exposing[0]!r} of {model.card.name} wants pictures exposed as a whole first, which one ONNX "
            "file for tiles cannot hold; use the model file, or leave the adapter out of --weights."
        )
    proto = onnx.load_from_string(model.graphs["restore"])
    blended = models.blend(model.weights["restore"], model.adapters, weights or {})
    for index, tensor in enumerate(proto.graph.initializer):
        if tensor.name in blended:
            filled = numpy_helper.from_array(np.ascontiguousarray(blended[tensor.name], np.float32), tensor.name)
            proto.graph.initializer[index].CopyFrom(filled)
    temporary = path.with_name(f".{path.name}.part")
    try:
        onnx.save(proto, str(temporary))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_official(network: networks.Published, path: Path | str) -> Path:
    """Write a network's weights as the official implementation names and expects them, float32.

    Buffers that only a strict load elsewhere asks for are included.

    Args:
        network: a published network.
        path: `.pth` (a container `params`, as BasicSR has it) or `.safetensors` (the tensors alone).

    Raises:
        InvalidRequest: the network is our own.
    """
    path = Path(path)
    published = {entry.load(): name for name, entry in networks.NETWORKS.items() if not entry.paper.startswith("ours")}
    if type(network) not in published:
        raise InvalidRequest(
            f"a {type(network).__name__} is in no official implementation; official names exist for "
            f"{', '.join(published.values())}."
        )
    state = {**networks.official_state(network), **network.geometry()}
    state = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
    temporary = path.with_name(f".{path.name}.part")
    try:
        if path.suffix.lower() == ".safetensors":
            save_file(state, temporary, metadata={"format": "pt"})
        else:
            torch.save({"params": state}, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def network_of(model: Model, *, weights: Mapping[str, float] | None = None) -> networks.Published:
    """The network that restores in a model, in PyTorch and evaluation mode, with a blend merged in.

    Args:
        model: the model.
        weights: adapter to weight; `None` is the base alone.
    """
    network = networks.build(model.card.network["name"], **model.card.network["config"])
    found = {key: value for role in ("encode", "prompt") for key, value in model.weights.get(role, {}).items()}
    found |= models.blend(model.weights["restore"], model.adapters, weights or {})
    state = {key: torch.from_numpy(np.array(value, np.float32)) for key, value in found.items()}
    # What the published network never uses is in no model file, nor are tables that follow from sizes.
    network.load_state_dict(state, strict=False)
    return cast("networks.Published", network.eval())
