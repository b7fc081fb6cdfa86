"""Adapters as files of their own, and in and out of model files. An adapter fits one base, known by its checksum."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from numpy.typing import NDArray

from unveil.errors import InvalidModel, InvalidRequest, ModelError, ModelTooNew
from unveil.models.card import CLEAN, FORMAT, AdapterCard, Fields, written
from unveil.models.file import Adapter, Model, check, check_arrays, format_of, load, store

KEY = "unveil-adapter"

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True, eq=False)
class AdapterFile:
    """One adapter outside of a model: what a model file says of it, and the network that it was trained on.

    `printed` is the name of the degradation for people, `network` has the keys `name` and `config`.
    """

    path: Path | None
    adapter: Adapter
    printed: str
    network: dict[str, Any]
    training_data: str = ""
    code_version: str = ""
    exposure: bool = False

    @property
    def parameters(self) -> int:
        return self.adapter.parameters

    def __repr__(self) -> str:
        return f"AdapterFile({self.adapter.degradation!r}, {self.parameters:,} numbers, for {self.network['name']})"


def read_adapter(path: str | os.PathLike[str]) -> AdapterFile:
    """Read an adapter file; nothing in it is executed. Whether it fits a model is told when it is added to one.

    Raises:
        ModelNotFound: no file lies at the path.
        InvalidModel: no adapter file (a model file, say), or damaged.
        ModelTooNew: a format that this version does not know.
    """
    path = Path(path)
    text, tensors = load(path, KEY, _advice)
    try:
        return _assemble(path, text, tensors)
    except (InvalidModel, ModelTooNew) as error:
        raise type(error)(f"{path}: {error}") from error


def is_adapter(path: str | os.PathLike[str]) -> bool:
    """Whether a file looks like an adapter file; False for what cannot be read."""
    try:
        load(Path(path), KEY, _advice, arrays=False)
    except ModelError:
        return False
    return True


def write_adapter(file: AdapterFile, path: str | os.PathLike[str]) -> Path:
    """Write an adapter file under a temporary name and rename it.

    Raises:
        InvalidModel: its name or its factors are none that a model could take, or its card none that JSON could hold;
            nothing is written.
        ModelError: the file cannot be written there.
    """
    adapter = file.adapter
    _check(adapter)
    card = {
        "format": format_of([adapter]),
        "degradation": adapter.degradation,
        "printed": file.printed,
        "network": file.network,
        **asdict(_card_of(file)),
    }
    return store(Path(path), adapter.tensors(), {KEY: written(card, adapter.degradation)}, kind="adapter")


def take_adapter(model: Model, degradation: str) -> AdapterFile:
    """An adapter of a model, to be written as a file of its own. Its arrays are the model's, bit for bit.

    Raises:
        InvalidRequest: the model has no such adapter.
    """
    card = model.card
    if degradation not in model.adapters:
        raise InvalidRequest(f"{card.name} has no adapter {degradation!r}; it has: {_names(model)}.")
    entry = card.adapters[degradation]
    return AdapterFile(
        path=None,
        adapter=model.adapters[degradation],
        printed=card.degradations[degradation],
        network=card.network,
        training_data=entry.training_data,
        code_version=entry.code_version or card.code_version,
        exposure=entry.exposure,
    )


def add_adapter(model: Model, file: AdapterFile) -> Model:
    """The model with one adapter more. Everything that it had before stays bit for bit what it was.

    The estimator does not know the new degradation until it is trained again: until then it is undone where weights or
    `only` name it.

    Raises:
        InvalidModel: the adapter was trained on another base, with both checksums, or does not fit it.
        InvalidRequest: the model has an adapter of that name already, or takes none.
    """
    card, adapter = model.card, file.adapter
    name = adapter.degradation
    if card.prompts:
        raise InvalidRequest(f"{card.name} is steered by prompts and takes no adapters.")
    if name in model.adapters:
        raise InvalidRequest(f"{card.name} has an adapter {name!r} already; remove that one first.")
    if adapter.base_checksum != card.base_checksum:
        raise InvalidModel(
            f"the adapter {name!r} was trained on the base {adapter.base_checksum} ({file.network['name']}), but "
            f"{card.name} has the base {card.base_checksum} ({card.network['name']}); an adapter fits no other base "
            "than its own. Train it again on this one."
        )
    changed = replace(
        card,
        degradations={**card.degradations, name: file.printed},
        adapters={**card.adapters, name: _card_of(file)},
    )
    added = replace(model, path=None, card=changed, adapters={**model.adapters, name: adapter})
    check(added)
    return added


def remove_adapter(model: Model, degradation: str) -> Model:
    """The model without one adapter; all others stay bit for bit what they were.

    The estimator keeps its weights, but a class that the model cannot undo is left out of the diagnosis before the
    softmax, which is the same as cutting its row from the last layer. With the last adapter that it knows it goes.

    Raises:
        InvalidRequest: the model has no such adapter.
    """
    card = model.card
    if degradation not in model.adapters:
        raise InvalidRequest(f"{card.name} has no adapter {degradation!r}; it has: {_names(model)}.")
    adapters = {name: adapter for name, adapter in model.adapters.items() if name != degradation}
    changed = replace(
        card,
        degradations={name: printed for name, printed in card.degradations.items() if name != degradation},
        adapters={name: entry for name, entry in card.adapters.items() if name != degradation},
    )
    left = replace(model, path=None, card=changed, adapters=adapters)
    if card.estimator is not None and not set(card.estimator.classes) & set(adapters):
        left = replace(
            left,
            card=replace(changed, estimator=None, blend="none"),
            weights={role: named for role, named in model.weights.items() if role != "estimate"},
            graphs={role: graph for role, graph in model.graphs.items() if role != "estimate"},
        )
    check(left)
    return left


def _assemble(path: Path, text: str, tensors: dict[str, NDArray[Any]]) -> AdapterFile:
    try:
        loaded: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidModel(f"its card is not JSON ({error}); the file is damaged, fetch it again.") from error
    if not isinstance(loaded, dict):
        raise InvalidModel("its card is no JSON object; the file is damaged, fetch it again.")
    values = Fields(cast(dict[str, Any], loaded), "")
    if (number := values.integer("format", 1, None)) > FORMAT:
        raise ModelTooNew(
            f"the adapter file has format {number}; this version of unveil reads up to format {FORMAT}. "
            "Update unveil: pip install --upgrade unveil"
        )
    entry, network, name = AdapterCard.from_fields(values), values.nested("network"), values.text("degradation")
    factors: dict[str, dict[str, NDArray[Any]]] = {}
    for full, array in tensors.items():
        match full.split("/"):
            case ["adapters", owner, weight, factor] if owner == name:
                factors.setdefault(weight, {})[factor] = array
            case _:
                raise InvalidModel(f"'{full}' is no tensor of an adapter file of {name!r}.")
    adapter = Adapter(name, entry.rank, entry.alpha, entry.mode, entry.base_checksum, factors)
    _check(adapter)
    return AdapterFile(
        path=path,
        adapter=adapter,
        printed=values.text("printed"),
        network={"name": network.text("name"), "config": network.mapping("config")},
        training_data=entry.training_data,
        code_version=entry.code_version,
        exposure=entry.exposure,
    )


def _check(adapter: Adapter) -> None:
    if not _NAME.fullmatch(adapter.degradation) or adapter.degradation == CLEAN:
        raise InvalidModel(
            f"an adapter cannot be called {adapter.degradation!r}: expected small letters, digits, '-' and '_', a "
            f"letter first, 40 at most, and not {CLEAN!r}."
        )
    if not adapter.factors:
        raise InvalidModel(f"the adapter {adapter.degradation!r} changes no weight.")
    check_arrays(adapter.tensors())


def _card_of(file: AdapterFile) -> AdapterCard:
    adapter = file.adapter
    return AdapterCard(
        rank=adapter.rank,
        alpha=adapter.alpha,
        mode=adapter.mode,
        base_checksum=adapter.base_checksum,
        training_data=file.training_data,
        code_version=file.code_version,
        exposure=file.exposure,
    )


def _advice(metadata: dict[str, str]) -> str:
    if "unveil" in metadata:
        return "a model file, not an adapter; 'unveil adapters extract' takes adapters out of it."
    return "a safetensors file, but without the card of an adapter of unveil."


def _names(model: Model) -> str:
    return ", ".join(model.adapters) or "none"
