"""Networks to weightless ONNX graphs, and runs to model files.

A graph names every weight of its network but holds none: the weights come from the model file when a session is
opened, so that one graph serves every blend of adapters.
"""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import unveil
from unveil import models, networks
from unveil.degradations import DEGRADATIONS
from unveil.errors import InvalidRequest, RecipeError
from unveil.methods.abair.estimator import Estimator
from unveil.models import Adapter, AdapterCard, Card, EstimatorCard, Model
from unveil.training.recipe import Recipe
from unveil.training.run import fresh_adapter, part

if TYPE_CHECKING:
    import onnx

OPSET = 18
WEIGHTS_FILE = "weights.bin"


def restoring_graph(network: nn.Module) -> bytes:
    """The role `restore`: `image` (batch, 3, m*rows, m*columns) -> `restored`, m being the network's size multiple."""
    multiple = int(cast("networks.Network", network).size_multiple)
    side = multiple * max(2, -(-64 // multiple))
    dims = {
        0: torch.export.Dim("batch", min=1, max=1024),
        2: multiple * torch.export.Dim("rows", min=1, max=65536 // multiple),
        3: multiple * torch.export.Dim("columns", min=1, max=65536 // multiple),
    }
    example = torch.rand(2, 3, side, side + multiple)
    return weightless_graph(network, example, inputs=["image"], outputs=["restored"], dims=dims)


def estimating_graph(estimator: nn.Module, side: int) -> bytes:
    """The role `estimate`: `views` (batch, 3, side, side) -> `logits` (batch, classes)."""
    dims = {0: torch.export.Dim("batch", min=1, max=1024)}
    return weightless_graph(estimator, torch.rand(2, 3, side, side), inputs=["views"], outputs=["logits"], dims=dims)


def weightless_graph(
    network: nn.Module, example: torch.Tensor, *, inputs: list[str], outputs: list[str], dims: Mapping[int, Any]
) -> bytes:
    """Export a network of one input as an ONNX graph whose weights are external and absent.

    Raises:
        InvalidRequest: the exporter lost a weight (folded it into a constant), so a blend could not reach it.
    """
    from onnxscript import optimizer

    was_training = network.training
    network.eval()
    with _silence(), torch.no_grad():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            optimize=False,
            opset_version=OPSET,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=(dict(dims),),
            verbose=False,
        )
        assert program is not None
        network.train(was_training)
        proto = program.model_proto
        names = set(network.state_dict())
        weights = [tensor for tensor in proto.graph.initializer if tensor.name in names]
        _as_inputs(proto, weights)
        proto = cast("onnx.ModelProto", optimizer.optimize(proto))
    _as_external(proto, weights)
    _strip(proto)
    used = {name for node in proto.graph.node for name in node.input}
    lost = sorted(names - {tensor.name for tensor in weights} | {w.name for w in weights if w.name not in used})
    if lost:
        raise InvalidRequest(f"the exported graph does not use the weights {', '.join(lost[:5])} ({len(lost)} in all)")
    return proto.SerializeToString()


def _as_inputs(proto: onnx.ModelProto, weights: list[onnx.TensorProto]) -> None:
    """Turn weights into graph inputs, so that the optimiser cannot fold them away."""
    from onnx import helper

    for tensor in weights:
        proto.graph.initializer.remove(tensor)
        proto.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))


def _as_external(proto: onnx.ModelProto, weights: list[onnx.TensorProto]) -> None:
    """Turn those inputs back into initialisers whose data lie elsewhere."""
    from onnx import TensorProto

    names = {tensor.name for tensor in weights}
    kept = [value for value in proto.graph.input if value.name not in names]
    del proto.graph.input[:]
    proto.graph.input.extend(kept)
    offset = 0
    for tensor in weights:
        length = 4 * int(np.prod(tensor.dims, dtype=np.int64))
        external = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        external.data_location = TensorProto.EXTERNAL
        for key, value in (("location", WEIGHTS_FILE), ("offset", str(offset)), ("length", str(length))):
            external.external_data.add(key=key, value=value)
        proto.graph.initializer.append(external)
        offset += length


def _strip(proto: onnx.ModelProto) -> None:
    """Remove what the exporter leaves for debugging: it is many times larger than the graph."""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.graph.value_info[:]
    proto.doc_string = proto.graph.doc_string = ""
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*proto.graph.input, *proto.graph.output, *proto.graph.initializer]:
        del value.metadata_props[:]
        value.doc_string = ""


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The exporter warns about its own insides; nothing there is for a user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def arrays(module: nn.Module, *, half: bool = True) -> dict[str, NDArray[Any]]:
    """The weights of a module as arrays, float16 unless that would overflow or `half` is off."""
    return {name: _array(value, half=half) for name, value in module.state_dict().items()}


def _array(value: torch.Tensor, *, half: bool) -> NDArray[Any]:
    array = value.detach().cpu().float().contiguous().numpy()
    return array.astype(np.float16) if half and float(np.abs(array).max(initial=0)) < 6e4 else array


def model_from_checkpoint(path: Path | str) -> Model:
    """A model from a checkpoint of Phase I (the base alone) or from the folder of a run (what it has finished).

    Raises:
        RecipeError: there is no finished Phase I, or the file is no checkpoint of ours.
    """
    path = Path(path)
    base = path / "pretraining" / "final.ckpt" if path.is_dir() else path
    if not base.exists():
        raise RecipeError(f"{base} is missing: a model file needs a finished Phase I (unveil train --phase pretrain)")
    recipe = _recipe(path, base)
    config = dict(recipe.network)
    name = config.pop("name")
    network = networks.build(name, **config)
    network.load_state_dict(part(base, "network."))
    network.eval()
    weights = {"restore": arrays(network)}
    graphs = {"restore": restoring_graph(network)}
    checksum = models.base_checksum(weights["restore"])
    adapters = _adapters(path, recipe, network, checksum) if path.is_dir() else {}
    estimator = None
    if path.is_dir() and (path / "estimation" / "calibration.pt").exists():
        estimator, weights["estimate"], graphs["estimate"] = _estimator(path)
    multiple = int(cast("networks.Network", network).size_multiple)
    card = Card(
        name=recipe.name,
        network={"name": name, "config": config},
        size_multiple=multiple,
        stride=multiple,
        halo=_halo(network, multiple),
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
        summary=recipe.card.summary,
        licence=recipe.card.licence,
        training_data=recipe.card.training_data,
        code_version=unveil.__version__,
        recipe=_shareable(recipe),
    )
    return Model(path=None, card=card, weights=weights, adapters=adapters, graphs=graphs, tables={})


def _shareable(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values, without where on somebody's disk the photographs lay."""
    values = json.loads(json.dumps(recipe.as_dict()))
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


def _adapters(folder: Path, recipe: Recipe, network: nn.Module, checksum: str) -> dict[str, Adapter]:
    """The finished adapters of a run, in the order of the recipe, each in the form it was trained in."""
    found: dict[str, Adapter] = {}
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
        found[degradation] = Adapter(
            degradation=degradation,
            rank=factors.rank,
            alpha=factors.alpha,
            mode=factors.mode,
            base_checksum=checksum,
            factors={
                name: {factor: _array(value, half=True) for factor, value in group.items()}
                for name, group in factors.named_factors().items()
            },
        )
    return found


def _estimator(folder: Path) -> tuple[EstimatorCard, dict[str, NDArray[Any]], bytes]:
    """The estimator of a run, with the classes that it was trained on."""
    path = folder / "estimation" / "final.ckpt"
    recipe = Recipe.from_dict(_record(path)["recipe"])
    stage, classes = recipe.estimation, recipe.classes
    estimator = Estimator(classes=len(classes))
    estimator.load_state_dict(part(path, "estimator."))
    calibration = torch.load(folder / "estimation" / "calibration.pt", weights_only=True)
    card = EstimatorCard(
        name="abair",
        config={"classes": len(classes)},
        classes=classes,
        side=stage.side,
        crops=stage.crops,
        global_weight=stage.global_weight,
        temperature=float(calibration["temperature"]),
        clean_threshold=stage.clean_threshold,
    )
    return card, arrays(estimator), estimating_graph(estimator, stage.side)


def _halo(network: nn.Module, multiple: int) -> int:
    """The halo of a tile: what the trained network really looks at, in whole strides, within reason."""
    radius = networks.receptive_radius(network)
    return min(64, max(multiple, -(-radius // multiple) * multiple))


def write_onnx(model: Model, path: Path | str, *, weights: Mapping[str, float] | None = None) -> Path:
    """Write one self-contained ONNX file of the restoring network with a blend merged in.

    Args:
        model: the model.
        path: the file to write; written under a temporary name first.
        weights: adapter to weight; `None` is the base alone.
    """
    import onnx
    from onnx import numpy_helper

    path = Path(path)
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
