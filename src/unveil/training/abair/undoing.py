"""Undoing one degradation of training pictures by an adapter, for a second look at them or to teach another one."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from unveil.errors import RecipeError
from unveil.methods.abair.adaptation import exposed
from unveil.models.merging import Merging
from unveil.training.abair import beginnings

if TYPE_CHECKING:
    from unveil.methods.abair.adaptation import Undo
    from unveil.models import Model
    from unveil.training.abair.chain import AbairChain


def of(chain: AbairChain) -> Undo:
    """What restores with one adapter of a run, as its model file would: trained ones and adopted ones alike.

    Raises:
        RecipeError: an adapter of the recipe is not trained yet.
    """
    network, model = chain.trained(), chain.model()
    if missing := [name for name in chain.recipe.adapters if name not in model.adapters]:
        raise RecipeError(
            f"estimation.undone wants all adapters, but {', '.join(missing)} is not trained; run the phase 'adapt' "
            "first, or adopt it from another model"
        )
    return _by(network, model)


def teacher(name: str, degradation: str) -> Undo:
    """What restores as the adapter of a model file does.

    Raises:
        RecipeError: the model has no adapter for this degradation.
    """
    from unveil import export

    model = beginnings.find(name)
    if degradation not in model.adapters:
        has = ", ".join(model.adapters) or "none"
        raise RecipeError(
            f"adapters.{degradation}.teacher: {model.card.name} has no adapter for {degradation} (it has {has}); name "
            "a model that has one, or leave teacher out"
        )
    return _by(export.network_of(model), model)


def _by(network: nn.Module, model: Model) -> Undo:
    """What restores with a network, which is that of a model's base, and one of the model's adapters."""
    merging = Merging(model.weights["restore"], model.adapters)

    @cache
    def merged(degradation: str, device: torch.device) -> dict[str, Tensor]:
        return {name: torch.from_numpy(value).to(device) for name, value in merging({degradation: 1.0}).items()}

    def undo(degradation: str, pictures: Tensor) -> Tensor:
        if degradation in model.card.exposing:
            pictures = torch.stack([exposed(picture) for picture in pictures])
        given = pictures.contiguous(memory_format=torch.channels_last)
        return torch.func.functional_call(network.to(pictures.device), merged(degradation, pictures.device), (given,))

    return undo
