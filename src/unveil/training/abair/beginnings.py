"""Training that goes on from a model file: its base, its adapters, its estimator."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from unveil import models
from unveil.errors import RecipeError
from unveil.methods.abair.adapters import Adapter
from unveil.methods.abair.estimator import Estimator
from unveil.models import Model

SHIPPED = "shipped"


def find(start: str) -> Model:
    """The model that a recipe names: a file, or `shipped`."""
    return models.read(models.find(models.DEFAULT) if start == SHIPPED else Path(start))


def base(network: nn.Module, model: Model) -> None:
    """Give a network the weights of a model's base.

    Raises:
        RecipeError: the model's network is another one.
    """
    found = {name: torch.from_numpy(value.astype(np.float32)) for name, value in model.weights["restore"].items()}
    wanted = dict(network.named_parameters())
    if (theirs := {name: value.shape for name, value in found.items()}) != {n: v.shape for n, v in wanted.items()}:
        raise RecipeError(
            f"start: {model.card.name} has {len(theirs)} weights of {model.card.network}, which do not fit the "
            f"{len(wanted)} of the recipe's network; name a model with this network"
        )
    with torch.no_grad():
        for name, parameter in wanted.items():
            parameter.copy_(found[name])


def adapter(fresh: Adapter, model: Model, degradation: str) -> None:
    """Give a new adapter the factors of a model's, if it has one for this degradation.

    Factors of another rank are made anew from the change of the weight: its largest singular values, as many as the
    rank has room for; what is left of the rank stays as it was drawn, at no effect.
    """
    former = model.adapters.get(degradation)
    if former is None:
        return
    for name, factors in fresh.grouped().items():
        theirs = {
            factor: torch.from_numpy(value.astype(np.float32)) for factor, value in former.factors.get(name, {}).items()
        }
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
    root = values[:rank].sqrt()
    return left[:, :rank] * root, (root[:, None] * right[:rank]).reshape(rank, *down.shape[1:])


def estimator(fresh: Estimator, model: Model, classes: tuple[str, ...]) -> None:
    """Give a new estimator the weights of a model's, of the classes that it has.

    Inputs that the former did not have start at zero; classes that it did not know keep fresh weights.

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
            former = torch.from_numpy(model.weights["estimate"][name].astype(np.float32))
            if name.startswith("head."):
                parameter[known] = former[rows]
            else:
                grown = [0, parameter.shape[-1] - former.shape[-1]] if name == "hidden.weight" else [0, 0]
                parameter.copy_(nn.functional.pad(former, grown))


def _copy(parameter: Tensor, value: Tensor) -> None:
    with torch.no_grad():
        cast("nn.Parameter", parameter).copy_(value.reshape(parameter.shape))
