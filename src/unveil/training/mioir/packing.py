"""A finished run of MiOIR as a model file: the network, and for explicit prompts their table and the classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray

import unveil
from unveil import graphs, models
from unveil.methods.mioir.classifier import Classifier
from unveil.methods.mioir.tasks import TASKS, printed
from unveil.models import Card, EstimatorCard, Model
from unveil.models.file import PROMPTS
from unveil.packing import arrays, counted_footprint, measured_halo, trace_roles

if TYPE_CHECKING:
    from unveil.training.mioir.chain import MioirChain


def model(chain: MioirChain) -> Model:
    """What a run has finished, as a model: at least the network; without the classifier it must be told the prompt.

    Raises:
        RecipeError: the curriculum is not finished.
    """
    recipe = chain.recipe
    network = chain.trained()
    weights, traced = trace_roles(network, half=True)
    checksum = models.base_checksum(weights["restore"])
    estimator = None
    learnt = [task for task in TASKS if task in recipe.plan.order] if recipe.is_explicit else []
    rows = [TASKS.index(task) for task in learnt]
    tables: dict[str, NDArray[Any]] = {PROMPTS: chain.prompts()[rows].numpy()} if learnt else {}
    if (classifier := chain.classifier()) is not None:
        with torch.no_grad():
            # Tasks that were never shown have no prompt, and must not be chosen.
            classifier.linear.bias[[row for row in range(len(TASKS)) if row not in rows]] = -1e4
        estimator, weights["estimate"], traced["estimate"] = _estimator(classifier)
    card = Card(
        name=recipe.name,
        network={"name": chain.network_name, "config": {k: v for k, v in recipe.network.items() if k != "name"}},
        size_multiple=network.size_multiple,
        stride=network.size_multiple,
        halo=measured_halo(network),
        footprint=counted_footprint(network),
        base_checksum=checksum,
        degradations={task: printed(task) for task in learnt},
        adapters={},
        estimator=estimator,
        blend="oh" if estimator else "none",
        codes=("code",) if network.code else (),
        prompts=tuple(learnt),
        ensemble=recipe.card.ensemble,
        summary=recipe.card.summary,
        licence=recipe.card.licence,
        training_data=recipe.card.training_data,
        code_version=unveil.__version__,
        recipe=recipe.shareable(),
    )
    return Model(path=None, card=card, weights=weights, adapters={}, graphs=traced, tables=tables)


def _estimator(classifier: Classifier) -> tuple[EstimatorCard, dict[str, NDArray[Any]], bytes]:
    graph = graphs.classifying(classifier)
    config = Classifier.read_sizes({classifier.official(k): tuple(v.shape) for k, v in classifier.state_dict().items()})
    card = EstimatorCard(name="mioir-classifier", config=config, classes=TASKS, side=0, crops=0)
    return card, arrays(classifier, graph.weights), graph.data
