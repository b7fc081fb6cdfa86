"""Training that goes on from a model file: its base, its adapters, its estimator."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from unveil import models, networks
from unveil.errors import RecipeError
from unveil.methods.abair.adapters import Adapter
from unveil.methods.abair.estimator import Estimator
from unveil.models import Model
from unveil.models.blend import plain

SHIPPED = "shipped"
GROWN_ALIKE = 1e-4
"""How far the pictures of a network and of the smaller one that it grew from may differ before training."""


def find(start: str) -> Model:
    """The model that a recipe names: a file, the name of a model, or `shipped`."""
    return models.read(models.find(models.DEFAULT if start == SHIPPED else start))


def base(network: nn.Module, model: Model) -> None:
    """Give a network the weights of a model's base.

    The network may have more blocks than the base, if they change nothing as they are: then training goes on from what
    the smaller one had reached. NAFNet's blocks begin so, their residual scales at zero.

    Raises:
        RecipeError: the model's network is another one, or the network's further blocks do something already.
    """
    found = {name: torch.from_numpy(value.astype(np.float32)) for name, value in model.weights["restore"].items()}
    wanted = dict(network.named_parameters())
    if any(name not in wanted or wanted[name].shape != value.shape for name, value in found.items()):
        raise RecipeError(
            f"start: {model.card.name} has {len(found)} weights of {dict(model.card.network)}, which do not fit the "
            f"{len(wanted)} of the recipe's network; name a model with this network, or with one of fewer blocks"
        )
    with torch.no_grad():
        for name, value in found.items():
            wanted[name].copy_(value)
    if len(found) < len(wanted) and (off := _farthest(network, model, found)) > GROWN_ALIKE:
        raise RecipeError(
            f"start: the recipe's network has {len(wanted) - len(found)} weights that {model.card.name} lacks, and "
            f"does not begin as that does: their pictures differ by {off:.3g}. Only blocks that change nothing at "
            "first can be added (more blocks of a FastNAF or NAFNet)"
        )


def _farthest(network: nn.Module, model: Model, weights: dict[str, Tensor]) -> float:
    """How far a network's picture is from that of a model's base, for a random one."""
    base = networks.build(model.card.network["name"], **model.card.network["config"])
    base.load_state_dict(weights, strict=False)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        grown, former = network.eval()(picture), base.eval()(picture)
    network.train()
    return float((grown - former).abs().max())


def adapter(fresh: Adapter, model: Model, degradation: str) -> None:
    """Give a new adapter the factors of a model's, if it has one for this degradation.

    Factors of another rank are made anew from the change of the weight: its largest singular values, as many as the
    rank has room for; what is left of the rank stays as it was drawn, at no effect.
    """
    former = model.adapters.get(degradation)
    if former is None:
        return
    for name, factors in fresh.grouped().items():
        theirs = {factor: torch.from_numpy(value) for factor, value in plain(former.factors.get(name, {})).items()}
        if theirs.keys() != factors.keys():
            continue
        if "delta" in factors:
            _copy(factors["delta"], theirs["delta"])
            continue
        scale = (former.alpha / former.rank) / (fresh.alpha / fresh.rank)
        up, down = _of_rank(fresh.rank, theirs["up"] * scale, theirs["down"])
        with torch.no_grad():
            factors["up"][:, : up.shape[1]] = up
            factors["down"][: len(down)] = down


def _of_rank(rank: int, up: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of at most a rank, whose product is as near as may be to that of `up (out, r)` and `down (r, ...)`."""
    if up.shape[1] <= rank:
        return up, down
    left, values, right = torch.linalg.svd(up @ down.flatten(1), full_matrices=False)
    # A layer of few outputs has fewer than the rank.
    root = values[:rank].sqrt()
    return left[:, :rank] * root, (root[:, None] * right[:rank]).reshape(len(root), *down.shape[1:])


def estimator(fresh: Estimator, model: Model, classes: tuple[str, ...]) -> None:
    """Give a new estimator the weights of a model's, of the classes that it has.

    Inputs that the former did not have start at zero; layers and classes that it did not know keep fresh weights.

    Raises:
        RecipeError: the model has no estimator.
    """
    if model.card.estimator is None:
        raise RecipeError(f"estimation.start: {model.card.name} has no estimator; name a model with one")
    found = model.card.estimator.classes
    known = [place for place, name in enumerate(classes) if name in found]
    rows = [found.index(classes[place]) for place in known]
    with torch.no_grad():
        for name, parameter in fresh.named_parameters():
            if name not in model.weights["estimate"]:
                continue
            former = torch.from_numpy(model.weights["estimate"][name].astype(np.float32))
            if name.startswith("head."):
                parameter[known] = former[rows]
            else:
                grown = [0, parameter.shape[-1] - former.shape[-1]] if name == "hidden.weight" else [0, 0]
                parameter.copy_(nn.functional.pad(former, grown))


def _copy(parameter: Tensor, value: Tensor) -> None:
    with torch.no_grad():
        cast("nn.Parameter", parameter).copy_(value.reshape(parameter.shape))
