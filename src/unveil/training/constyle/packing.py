"""A finished run of ConStyle as a model file. The code is computed once a picture, the maps in each tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import unveil
from unveil import models
from unveil.models import Card, Model
from unveil.packing import counted_footprint, measured_halo, trace_roles

if TYPE_CHECKING:
    from unveil.training.constyle.chain import ConStyleChain


def model(chain: ConStyleChain) -> Model:
    """The restoration network, its encoder inside if it has one.

    Raises:
        RecipeError: it is not trained yet.
    """
    recipe, network = chain.recipe, chain.trained()
    weights, traced = trace_roles(network, half=True)
    card = Card(
        name=recipe.name,
        network={"name": recipe.network["name"], "config": {k: v for k, v in recipe.network.items() if k != "name"}},
        size_multiple=network.size_multiple,
        stride=network.size_multiple,
        halo=measured_halo(network),
        footprint=counted_footprint(network),
        base_checksum=models.base_checksum(weights["restore"]),
        degradations={},
        adapters={},
        blend="none",
        codes=("code",) if network.code else (),
        ensemble=recipe.card.ensemble,
        summary=recipe.card.summary,
        licence=recipe.card.licence,
        training_data=recipe.card.training_data,
        code_version=unveil.__version__,
        recipe=recipe.shareable(),
    )
    return Model(path=None, card=card, weights=weights, graphs=traced)
