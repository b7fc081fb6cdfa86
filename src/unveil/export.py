"""What a training run has finished, as a model file; a model and a blend, as one ONNX file."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import nn

import unveil
from unveil import graphs, models, networks
from unveil.degradations import DEGRADATIONS
from unveil.errors import InvalidRequest, RecipeError
from unveil.methods.abair.estimator import Estimator
from unveil.models import Adapter, AdapterCard, Card, EstimatorCard, Model
from unveil.networks.base import CodedNetwork
from unveil.training.recipe import Recipe
from unveil.training.run import fresh_adapter, part

LARGEST_HALO = 64


def arrays(module: nn.Module, names: Collection[str], *, half: bool = True) -> dict[str, NDArray[Any]]:
    """Weights of a module as arrays, float16 unless that would overflow or `half` is off."""
    state = module.state_dict()
    return {name: _array(state[name], half=half) for name in names}


def _array(value: torch.Tensor, *, half: bool) -> NDArray[Any]:
    array = value.detach().cpu().float().contiguous().numpy()
    return array.astype(np.float16) if half and float(np.abs(array).max(initial=0)) < 6e4 else array


def model_from_checkpoint(path: Path | str) -> Model:
    """A model from a checkpoint of Phase I (the base alone) or from the folder of a run (what it has finished).

    Raises:
        RecipeError: there is no finished Phase I, or the file is no checkpoint of ours.
    """
    path = Path(path)
    network, recipe = trained_network(path)
    weights, traced = trace_roles(network, half=True)
    checksum = models.base_checksum(weights["restore"])
    adapters = _adapters(path, recipe, network, weights["restore"]) if path.is_dir() else {}
    estimator = None
    if path.is_dir() and (path / "estimation" / "calibration.pt").exists():
        estimator, weights["estimate"], traced["estimate"] = _estimator(path)
    card = Card(
        name=recipe.name,
        network={"name": recipe.network["name"], "config": {k: v for k, v in recipe.network.items() if k != "name"}},
        size_multiple=network.size_multiple,
        stride=network.size_multiple,
        halo=measured_halo(network),
        base_checksum=checksum,
        degradations={degradation: DEGRADATIONS[degradation].printed for degradation in adapters},
        adapters={
            degradation: AdapterCard(
                rank=adapter.rank,
                alpha=adapter.alpha,
                mode=adapter.mode,
                base_checksum=checksum,
                training_data=recipe.card.training_data,
            )
            for degradation, adapter in adapters.items()
        },
        estimator=estimator,
        blend="sw" if estimator else "none",
        codes=("code",) if network.code else (),
        summary=recipe.card.summary,
        licence=recipe.card.licence,
        training_data=recipe.card.training_data,
        code_version=unveil.__version__,
        recipe=_shareable(recipe),
    )
    return Model(path=None, card=card, weights=weights, adapters=adapters, graphs=traced, tables={})


def trained_network(path: Path | str) -> tuple[networks.Network, Recipe]:
    """The network of a finished Phase I, in evaluation mode, and the recipe: of a checkpoint, or of a run's folder.

    Raises:
        RecipeError: as `model_from_checkpoint`.
    """
    path = Path(path)
    base = path / "pretraining" / "final.ckpt" if path.is_dir() else path
    if not base.exists():
        raise RecipeError(f"{base} is missing: a model file needs a finished Phase I (unveil train --phase pretrain)")
    recipe = _recipe(path, base)
    network = networks.build(**recipe.network)
    network.load_state_dict(part(base, "network."))
    return cast("networks.Network", network.eval()), recipe


def trace_roles(
    network: networks.Network, *, half: bool
) -> tuple[dict[str, dict[str, NDArray[Any]]], dict[str, bytes]]:
    """Weights and graphs of the roles that a network needs: to restore, and where it has one, to give its code."""
    traced = {"restore": graphs.restoring(network)}
    if isinstance(network, CodedNetwork):
        side = network.prompt_side
        role = "prompt" if side else "encode"
        traced[role] = graphs.prompting(network, side) if side else graphs.summarising(network)
    weights = {role: arrays(network, graph.weights, half=half) for role, graph in traced.items()}
    return weights, {role: graph.data for role, graph in traced.items()}


def _shareable(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, without where on somebody's disk photographs and models lay."""
    values = json.loads(json.dumps(recipe.as_dict()))
    values["estimation"]["start"] = Path(values["estimation"]["start"]).name
    values["photographs"]["folders"] = [Path(folder).name for folder in values["photographs"]["folders"]]
    return values


def _recipe(path: Path, base: Path) -> Recipe:
    """The recipe that a run was last given, which may have gained adapters since its base was trained."""
    trained = Recipe.from_dict(_record(base)["recipe"])
    kept = path / "recipe.json"
    if not path.is_dir() or not kept.exists():
        return trained
    recipe = Recipe.from_dict(json.loads(kept.read_text(encoding="utf-8"))["recipe"])
    if recipe.network != trained.network:
        raise RecipeError(f"{kept} names the network {recipe.network}, but {base} was trained as {trained.network}")
    return recipe


def _record(path: Path) -> dict[str, Any]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        record = found["unveil"]
    except Exception as error:
        raise RecipeError(f"{path} is not a checkpoint written by unveil train ({error})") from None
    return record


def _adapters(
    folder: Path, recipe: Recipe, network: networks.Network, restoring: Mapping[str, NDArray[Any]]
) -> dict[str, Adapter]:
    """The finished adapters of a run, in the order of the recipe, each in the form it was trained in.

    What they change of weights that the network never uses is left out.
    """
    found: dict[str, Adapter] = {}
    checksum = models.base_checksum(restoring)
    base = network.state_dict()
    for degradation in recipe.adapters:
        path = folder / "adapters" / degradation / "final.ckpt"
        if not path.exists():
            continue
        if any(not torch.equal(base[name], value) for name, value in part(path, "network.").items()):
            raise RecipeError(
                f"{path} was trained on another base than {folder / 'pretraining'}; remove it and train it again"
            )
        factors = fresh_adapter(network, Recipe.from_dict(_record(path)["recipe"]).adapters[degradation])
        factors.load_state_dict(part(path, "adapter."))
        groups = {name: group for name, group in factors.named_factors().items() if not name.startswith(network.idle())}
        if foreign := sorted(set(groups) - set(restoring)):
            raise RecipeError(
                f"{path} changes {foreign[0]}, which gives the code of the whole picture; a model file blends adapters "
                "into the restoring part alone. Train adapters on a network without a code."
            )
        found[degradation] = Adapter(
            degradation=degradation,
            rank=factors.rank,
            alpha=factors.alpha,
            mode=factors.mode,
            base_checksum=checksum,
            factors={
                name: {factor: _array(value, half=True) for factor, value in group.items()}
                for name, group in groups.items()
            },
        )
    return found


def _estimator(folder: Path) -> tuple[EstimatorCard, dict[str, NDArray[Any]], bytes]:
    """The estimator of a run, with the classes that it was trained on."""
    path = folder / "estimation" / "final.ckpt"
    recipe = Recipe.from_dict(_record(path)["recipe"])
    stage, classes = recipe.estimation, recipe.classes
    config: dict[str, Any] = {"classes": len(classes), "tones": stage.tones}
    estimator = Estimator(**config)
    estimator.load_state_dict(part(path, "estimator."))
    calibration = torch.load(folder / "estimation" / "calibration.pt", weights_only=True)
    # The card knows a temperature alone; a bias of the classes is as well one of the last layer.
    with torch.no_grad():
        estimator.head.bias += calibration["temperature"] * torch.tensor(calibration["bias"])
    card = EstimatorCard(
        name="abair",
        config=config,
        classes=classes,
        side=stage.side,
        crops=stage.crops,
        global_weight=stage.global_weight,
        temperature=float(calibration["temperature"]) * stage.sharpening,
        clean_threshold=stage.clean_threshold,
    )
    graph = graphs.estimating(estimator, stage.side)
    return card, arrays(estimator, graph.weights), graph.data


def measured_halo(network: nn.Module) -> int:
    """The halo of a tile: what the network really looks at, in whole strides, within reason."""
    multiple = cast("networks.Network", network).size_multiple
    # Four times the largest halo tells whether the network looks further; it need not be known how far.
    side = max(4 * LARGEST_HALO, 3 * multiple)
    radius = networks.receptive_radius(network, side=side)
    return min(max(LARGEST_HALO, multiple), max(multiple, -(-radius // multiple) * multiple))


def write_onnx(model: Model, path: Path | str, *, weights: Mapping[str, float] | None = None) -> Path:
    """Write one self-contained ONNX file of the restoring network with a blend merged in.

    Args:
        model: the model.
        path: the file to write; written under a temporary name first.
        weights: adapter to weight; `None` is the base alone.

    Raises:
        InvalidRequest: the network needs a code beside the picture.
    """
    import onnx
    from onnx import numpy_helper

    path = Path(path)
    if model.card.codes:
        raise InvalidRequest(
            f"{model.card.name} computes a code on the whole picture first, which one ONNX file for tiles cannot hold; "
            "use the model file, whose graphs are ONNX too (docs/reference/model-file.md)."
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
