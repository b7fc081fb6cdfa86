"""A finished run of ABAIR as a model file: base, adapters, estimator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray

import unveil
from unveil import graphs, models, networks
from unveil.degradations import DEGRADATIONS
from unveil.errors import RecipeError
from unveil.methods.abair.estimator import Estimator
from unveil.methods.abair.pretraining import SegmentationHead
from unveil.models import Adapter, AdapterCard, Card, EstimatorCard, Model
from unveil.packing import arrays, counted_footprint, measured_halo, to_array, trace_roles
from unveil.training.abair import beginnings
from unveil.training.abair.chain import fresh_adapter
from unveil.training.abair.recipe import AbairRecipe, AdapterStage
from unveil.training.chain import record
from unveil.training.fitting import part

if TYPE_CHECKING:
    from unveil.training.abair.chain import AbairChain


def model(chain: AbairChain) -> Model:
    """What a run has finished, as a model: at least the base.

    Raises:
        RecipeError: there is no finished Phase I, or parts of different runs lie together.
    """
    path, recipe = chain.folder, chain.recipe
    network = chain.trained()
    weights, traced = trace_roles(network, half=True)
    checksum = models.base_checksum(weights["restore"])
    adapters = _adapters(path, recipe, network, weights["restore"])
    exposed = {name for name in adapters if _is_exposed(path, recipe, name)}
    regions = _map(chain, network, weights, traced) if recipe.pretraining.map else ()
    estimator = None
    if recipe.estimation.adopt:
        estimator, weights["estimate"], traced["estimate"] = _adopted(recipe)
    elif (path / "estimation" / "calibration.pt").exists():
        estimator, weights["estimate"], traced["estimate"] = _estimator(chain)
    card = Card(
        name=recipe.name,
        network={"name": recipe.network["name"], "config": {k: v for k, v in recipe.network.items() if k != "name"}},
        size_multiple=network.size_multiple,
        stride=network.size_multiple,
        halo=measured_halo(network),
        footprint=counted_footprint(network),
        base_checksum=checksum,
        degradations={degradation: printed(degradation) for degradation in adapters},
        adapters={
            degradation: AdapterCard(
                rank=adapter.rank,
                alpha=adapter.alpha,
                mode=adapter.mode,
                base_checksum=checksum,
                training_data=recipe.card.training_data,
                exposure=degradation in exposed,
            )
            for degradation, adapter in adapters.items()
        },
        estimator=estimator,
        blend=recipe.estimation.blend if estimator else "none",
        codes=("code",) if network.code else (),
        map=regions,
        ensemble=recipe.card.ensemble,
        summary=recipe.card.summary,
        licence=recipe.card.licence,
        training_data=recipe.card.training_data,
        code_version=unveil.__version__,
        recipe=recipe.shareable(),
    )
    return Model(path=None, card=card, weights=weights, adapters=adapters, graphs=traced, tables={})


def printed(degradation: str) -> str:
    """The name of a degradation for people; what has no generator is called as its adapter is."""
    return DEGRADATIONS[degradation].printed if degradation in DEGRADATIONS else degradation


def _is_exposed(folder: Path, recipe: AbairRecipe, degradation: str) -> bool:
    """Whether an adapter was trained on exposed pictures."""
    if adopted := recipe.adapters[degradation].adopt:
        return beginnings.find(adopted).card.adapters[degradation].exposure
    done = record(folder / "adapters" / degradation / "final.ckpt")["recipe"]
    return AbairRecipe.from_dict(done).adapters[degradation].exposure


def _adapters(
    folder: Path, recipe: AbairRecipe, network: networks.Network, restoring: Mapping[str, NDArray[Any]]
) -> dict[str, Adapter]:
    """The finished and the adopted adapters of a run, in the order of the recipe, each in the form it was trained in.

    What they change of weights that the network never uses is left out.
    """
    found: dict[str, Adapter] = {}
    checksum = models.base_checksum(restoring)
    base = network.state_dict()
    for degradation, stage in recipe.adapters.items():
        if stage.adopt:
            found[degradation] = _stored(_adopted_adapter(stage.adopt, degradation, checksum), stage)
            continue
        path = folder / "adapters" / degradation / "final.ckpt"
        if not path.exists():
            continue
        if any(not torch.equal(base[name], value) for name, value in part(path, "network.").items()):
            raise RecipeError(
                f"{path} was trained on another base than {folder / 'pretraining'}; remove it and train it again"
            )
        factors = fresh_adapter(network, AbairRecipe.from_dict(record(path)["recipe"]).adapters[degradation])
        if not factors.is_mergeable:
            raise RecipeError(
                f"{path} is of the variant {factors.variant}: what it changes depends on the picture, so it can be "
                "neither blended nor part of a model file, and runs in PyTorch alone (unveil.methods.abair). Measure "
                "the run itself, or train the variant lora."
            )
        factors.load_state_dict(part(path, "adapter."))
        groups = {name: group for name, group in factors.named_factors().items() if not name.startswith(network.idle())}
        if foreign := sorted(set(groups) - set(restoring)):
            raise RecipeError(
                f"{path} changes {foreign[0]}, which gives the code of the whole picture; a model file blends adapters "
                "into the restoring part alone. Train adapters on a network without a code."
            )
        adapter = Adapter(
            degradation=degradation,
            rank=factors.rank,
            alpha=factors.alpha,
            mode=factors.form,
            base_checksum=checksum,
            factors={
                name: {factor: to_array(value, half=True) for factor, value in group.items()}
                for name, group in groups.items()
            },
        )
        found[degradation] = _stored(adapter, stage)
    return found


def _stored(adapter: Adapter, stage: AdapterStage) -> Adapter:
    """An adapter as its stage wants it stored."""
    return models.rounded(adapter) if stage.storage == "int8" else adapter


def _map(
    chain: AbairChain, network: networks.Network, weights: dict[str, dict[str, NDArray[Any]]], traced: dict[str, bytes]
) -> tuple[str, ...]:
    """Put the head of Phase I beside the base, and return its classes."""
    path = chain.base_path()
    stage = AbairRecipe.from_dict(record(path)["recipe"]).pretraining
    classes = tuple(stage.pairs or stage.degradations)
    head = SegmentationHead(network.features, len(classes))
    head.load_state_dict(part(path, "head."))
    traced["map"] = graphs.mapping(network, head.eval()).data
    weights["map"] = {f"map_head.{name}": to_array(value, half=True) for name, value in head.state_dict().items()}
    return classes


def _estimator(chain: AbairChain) -> tuple[EstimatorCard, dict[str, NDArray[Any]], bytes]:
    """The estimator of a run, with its own classes; how it leans and looks again is as the recipe says now."""
    folder = chain.folder
    path = folder / "estimation" / "final.ckpt"
    recipe = AbairRecipe.from_dict(record(path)["recipe"])
    stage, classes, now = recipe.estimation, recipe.classes, chain.recipe.estimation
    config: dict[str, Any] = {"classes": len(classes), "tones": stage.tones, "signs": stage.signs}
    estimator = Estimator(**config)
    estimator.load_state_dict(part(path, "estimator."))
    calibration = torch.load(folder / "estimation" / "calibration.pt", weights_only=True)
    temperature = float(calibration["temperature"]) * stage.sharpening
    leaning = torch.tensor([now.leaning.get(name, 0.0) for name in classes])
    # The card knows a temperature alone; a bias of the classes is as well one of the last layer.
    with torch.no_grad():
        estimator.head.bias += calibration["temperature"] * torch.tensor(calibration["bias"]) + temperature * leaning
    card = EstimatorCard(
        name="abair",
        config=config,
        classes=classes,
        side=stage.side,
        crops=stage.crops,
        global_weight=stage.global_weight,
        temperature=temperature,
        clean_threshold=stage.clean_threshold,
        again=now.again,
        trace=dict(now.trace),
        whole=now.whole,
        # Calibrations of earlier versions know no more than the accuracy.
        accuracy=_known(calibration["accuracy"]),
        ece=_known(calibration.get("ece", math.nan)),
        confusion=tuple(map(tuple, calibration.get("confusion", ()))),
    )
    graph = graphs.estimating(estimator, stage.side)
    return card, arrays(estimator, graph.weights), graph.data


def _adopted_adapter(adopt: str, degradation: str, checksum: str) -> Adapter:
    """The adapter of another model, as it is there.

    Raises:
        RecipeError: that one has none for this degradation, or has it for another base.
    """
    other = beginnings.find(adopt)
    found = other.adapters.get(degradation)
    if found is None or found.base_checksum != checksum:
        what = "is for another base" if found else f"is not there (it has {', '.join(other.adapters) or 'none'})"
        raise RecipeError(
            f"adapters.{degradation}.adopt: that of {other.card.name} {what}; adopt the base from the same file "
            "(pretraining.adopt), or train this adapter"
        )
    return found


def _adopted(recipe: AbairRecipe) -> tuple[EstimatorCard, dict[str, NDArray[Any]], bytes]:
    """The estimator of another model, as it is there, but for what the recipe says of `whole`.

    Raises:
        RecipeError: that one has none, or tells other degradations apart.
    """
    other = beginnings.find(recipe.estimation.adopt)
    card = other.card.estimator
    classes = card.classes if card else ()
    if card is None or set(classes) != set(recipe.classes):
        raise RecipeError(
            f"estimation.adopt: the estimator of {other.card.name} tells {', '.join(classes) or 'nothing'} apart, "
            f"but the recipe has adapters for {', '.join(recipe.adapters)}; adopt one that knows these, or train one"
        )
    if recipe.estimation.whole:
        card = replace(card, whole=recipe.estimation.whole)
    return card, other.weights["estimate"], other.graphs["estimate"]


def _known(figure: float) -> float | None:
    """What was measured of no pictures is not known."""
    return None if math.isnan(figure) else figure
