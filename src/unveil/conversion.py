"""Weights of other projects to model files: read without executing anything, recognised, traced, and given a card."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import nn

import unveil
from unveil import graphs, models, networks
from unveil.errors import InvalidModel, InvalidRequest, ModelNotFound, UnknownNetwork
from unveil.methods.mioir.prompts import read_prompts
from unveil.methods.mioir.tasks import TASKS, printed
from unveil.models import Card, EstimatorCard, Model
from unveil.models.file import KEY, PROMPTS
from unveil.networks import NETWORKS, Recognition, gathering, locality
from unveil.networks.base import Network
from unveil.packing import arrays, counted_footprint, measured_halo, trace_roles

Report = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a file is converted.

    Attributes:
        name: of the model; the file's own name by default.
        prompts: file with the table of explicit prompts (`.npy`, one row a task), for MiOIR's explicit-prompt forms.
        classifier: file with the weights of MiOIR's classifier, which then chooses the prompt for each picture.
        gather: make tiles of large pictures agree, by gathering beforehand what the network takes of the whole picture.
        local: make them agree by taking it of windows of this side in pixels instead (TLC); 0 leaves it.
        half: store float16: half the size, weights off by up to 0.05 %.
        licence, training_data, summary: texts for the card.
    """

    name: str | None = None
    prompts: Path | None = None
    classifier: Path | None = None
    gather: bool = False
    local: int = 0
    half: bool = False
    licence: str = "that of the original weights; unveil does not know it"
    training_data: str = ""
    summary: str = ""


def read_weights(path: Path | str) -> dict[str, Any]:
    """Read a file of weights without executing anything that it holds.

    Args:
        path: `.safetensors`, `.npz`, or what `torch.save` writes (`.pth`, `.pt`, `.ckpt`, `.bin`).

    Returns:
        Tensors by name, or containers of such.

    Raises:
        ModelNotFound: there is no such file.
        InvalidModel: it would run code when opened, is cut short, or is no file of weights.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelNotFound(f"{path}: no such file.")
    ending = path.suffix.lower()
    if ending == ".safetensors":
        return _read_safetensors(path)
    if ending == ".npz":
        return _read_arrays(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InvalidModel(_refusal(path, str(error))) from None
    except PermissionError as error:
        raise InvalidModel(f"{path}: cannot be read ({error}).") from error
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InvalidModel(
            f"{path}: cut short, or not written by PyTorch ({first}); fetch it again, and compare its size."
        ) from None
    if not isinstance(found, Mapping):
        raise InvalidModel(f"{path}: holds {_kind(found)}, expected weights by name, as state_dict() gives them.")
    return {str(name): value for name, value in cast("Mapping[Any, Any]", found).items()}


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as opened:
            if KEY in (opened.metadata() or {}):
                raise InvalidModel(f"{path}: is a model file of unveil already; use it with --model.")
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise InvalidModel(f"{path}: no safetensors file, or cut short ({error}); fetch it again.") from error


def _read_arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as opened:
            return {name: opened[name] for name in opened.files}
    except Exception as error:
        raise InvalidModel(f"{path}: no file of arrays, or cut short ({error}).") from error


def _refusal(path: Path, complaint: str) -> str:
    """What is wrong with a pickle that asks for more than tensors, or is no whole pickle."""
    wanted = re.search(r"GLOBAL ([\w.]+)", complaint) or re.search(r"global[:\s]+([\w.]+)", complaint)
    if wanted:
        return (
            f"{path}: refused, since opening it would run code: it asks for '{wanted[1]}'. A file of weights needs "
            "nothing but tensors. Get it from where it was first published; if you made it yourself, save the "
            "network's state_dict() alone, best as .safetensors."
        )
    return (
        f"{path}: refused: no file of tensors as torch.save writes it. Either it is cut short, or opening it might run "
        "code. Fetch it again from where it was first published, and compare its size."
    )


def recognise(path: Path | str, container: str | None = None) -> Recognition:
    """What a file of weights is.

    Raises:
        ModelNotFound, InvalidModel: as `read_weights`.
        UnknownNetwork: no network of the table fits.
    """
    try:
        return networks.recognise(read_weights(path), container=container)
    except UnknownNetwork as error:
        raise UnknownNetwork(f"{path}: {error}") from None


def convert(
    found: Recognition, path: Path | str, options: Options | None = None, *, report: Report | None = None
) -> Model:
    """A model file from weights of other projects.

    Args:
        found: what `recognise` gave for the file.
        path: the file, for the card and for messages.
        options: see `Options`.
        report: called with a line of text before what takes long.

    Raises:
        InvalidRequest: it is no restoration network, it needs prompts that were not given, or its statistics of the
            whole picture cannot be gathered or made local as `options` want it.
        ModelNotFound, InvalidModel, UnknownNetwork: the files of prompts and classifier, as `recognise`.
    """
    path, options, report = Path(path), options or Options(), report or (lambda line: None)
    entry = NETWORKS[found.name]
    if not entry.restores:
        raise InvalidRequest(f"{path}: this is {_what(found)}, which restores nothing by itself. {ADVICE[entry.form]}")
    if (options.prompts or options.classifier) and entry.form != "explicit":
        raise InvalidRequest(f"{path}: {_what(found)} takes no explicit prompts; leave out --prompts and --classifier.")
    # What is missing is said before a minute of tracing, not after.
    table = _read_prompts(path, options.prompts) if entry.form == "explicit" else None
    chooser = _recognise_classifier(options.classifier)
    network, config = cast("Network", found.build()), dict(found.config)
    if options.gather and options.local:
        raise InvalidRequest(f"{path}: statistics are gathered or local, not both; give --gather or --local.")
    try:
        if options.gather:
            network, config["gathered"] = gathering.gathered(network), True
        if options.local:
            network, config["local"] = locality.localised(network, options.local), options.local
    except ValueError as error:
        raise InvalidRequest(f"{path}: {error}.") from None
    report("tracing the network; a large one takes minutes")
    weights, traced = trace_roles(network, half=options.half)
    degradations: dict[str, str] = {}
    estimator = None
    if table is not None:
        degradations = {task: printed(task) for task in TASKS}
        if chooser is not None:
            estimator, weights["estimate"], traced["estimate"] = _classifier(chooser, half=options.half)
    card = Card(
        name=options.name or path.name.split(".")[0],
        network={"name": found.name, "config": config},
        size_multiple=network.size_multiple,
        stride=network.step or network.size_multiple,
        halo=measured_halo(network),
        footprint=counted_footprint(network),
        base_checksum=models.base_checksum(weights["restore"]),
        degradations=degradations,
        adapters={},
        estimator=estimator,
        blend="oh" if estimator else "none",
        codes=("code",) if network.code else (),
        prompts=tuple(degradations) if table is not None else (),
        summary=options.summary or f"{entry.paper}, converted from {path.name}",
        licence=options.licence,
        training_data=options.training_data,
        code_version=unveil.__version__,
        recipe={"converted": {"file": path.name, "found": found.describe()}},
    )
    return Model(None, card, weights, {}, traced, {} if table is None else {PROMPTS: table})


ADVICE = {
    "encoder": "Convert the network that it guides; an encoder is part of that network's file.",
    "classifier": "Give it with --classifier when you convert an explicit-prompt network.",
}


def _what(found: Recognition) -> str:
    return f"{found.name} ({NETWORKS[found.name].purpose})"


def _read_prompts(path: Path, prompts: Path | None) -> NDArray[np.float32]:
    if prompts is None:
        raise InvalidRequest(
            f"{path}: an explicit-prompt network needs the table of prompts that it was trained with, which is not in "
            "its weights. Give it with --prompts: the authors' table is data/type7.npy of their repository."
        )
    return read_prompts(prompts).numpy()


def _recognise_classifier(path: Path | None) -> Recognition | None:
    if path is None:
        return None
    found = recognise(path)
    if NETWORKS[found.name].form != "classifier":
        raise InvalidRequest(f"{path}: --classifier wants MiOIR's classifier; this is {_what(found)}.")
    return found


def _classifier(found: Recognition, *, half: bool) -> tuple[EstimatorCard, dict[str, NDArray[Any]], bytes]:
    classifier: nn.Module = found.build()
    graph = graphs.classifying(classifier)
    card = EstimatorCard(name=found.name, config=found.config, classes=TASKS, side=0, crops=0)
    return card, arrays(classifier, graph.weights, half=half), graph.data


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"
