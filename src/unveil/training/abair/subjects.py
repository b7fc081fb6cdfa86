"""A finished run of ABAIR as something to measure in PyTorch: the base, and every way to blend its adapters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from unveil.errors import RecipeError
from unveil.evaluation.damage import Pixels
from unveil.evaluation.sets import EvaluationSet
from unveil.evaluation.subjects import Answer, Subject, Tick
from unveil.methods.abair.adapters import Adapter
from unveil.methods.abair.estimator import Estimator
from unveil.models.card import CLEAN
from unveil.restoration import blending, diagnosis, exposure
from unveil.training.abair.recipe import AbairRecipe
from unveil.training.chain import record, restored
from unveil.training.fitting import part

if TYPE_CHECKING:
    from unveil.training.abair.chain import AbairChain


def of(chain: AbairChain) -> list[Subject]:
    """`base`, and where there are adapters `oracle`, `sum`, `average`; with an estimator `oh` and `sw` too.

    Adapters that cannot be merged cannot be mixed either: of them `oracle` and `oh` are left.

    Raises:
        RecipeError: parts of the run are those of another model's file.
    """
    if adopted := [f"adapters.{name}" for name, stage in chain.recipe.adapters.items() if stage.adopt]:
        raise RecipeError(f"{', '.join(adopted)}: adopted, not trained; export the run and measure its model file")
    from unveil.training.abair.chain import fresh_adapter

    network = chain.trained()
    adapters: dict[str, Adapter] = {}
    exposing: set[str] = set()
    for degradation in chain.recipe.adapters:
        path = chain.folder / "adapters" / degradation / "final.ckpt"
        if not path.exists():
            continue
        stage = AbairRecipe.from_dict(record(path)["recipe"]).adapters[degradation]
        adapter = fresh_adapter(network, stage)
        adapter.load_state_dict(part(path, "adapter."))
        adapters[degradation] = adapter.eval()
        if stage.exposure:
            exposing.add(degradation)
    rules = ["base"]
    mergeable = all(adapter.is_mergeable for adapter in adapters.values())
    rules += ["oracle", *(["sum", "average"] if mergeable else [])] if adapters else []
    eyes = None
    if (chain.folder / "estimation" / "calibration.pt").exists():
        eyes = Eyes.read(chain)
        rules += ["oh", "sw"] if mergeable else ["oh"]
    return [AbairSubject(rule, network, adapters, eyes, frozenset(exposing)) for rule in rules]


@dataclass(frozen=True, slots=True)
class Eyes:
    """The estimator of a run and how it looks at a picture."""

    estimator: Estimator
    classes: tuple[str, ...]
    side: int
    crops: int
    global_weight: float
    temperature: float
    bias: torch.Tensor

    @classmethod
    def read(cls, chain: AbairChain) -> Eyes:
        path = chain.folder / "estimation" / "final.ckpt"
        recipe = AbairRecipe.from_dict(record(path)["recipe"])
        stage, classes = recipe.estimation, recipe.classes
        estimator = Estimator(classes=len(classes), tones=stage.tones, signs=stage.signs)
        estimator.load_state_dict(part(path, "estimator."))
        found = torch.load(chain.folder / "estimation" / "calibration.pt", weights_only=True)
        temperature = float(found["temperature"]) * stage.sharpening
        leaning = torch.tensor([chain.recipe.estimation.leaning.get(name, 0.0) for name in classes])
        bias = torch.tensor(found["bias"]) * found["temperature"] / temperature + leaning
        return cls(estimator.eval(), classes, stage.side, stage.crops, stage.global_weight, temperature, bias)

    def probabilities(self, picture: Pixels) -> dict[str, float]:
        """What is wrong with a picture `H W 3`."""
        seen = diagnosis.views(picture, side=self.side, crops=self.crops)
        with torch.inference_mode():
            logits = self.estimator(torch.from_numpy(seen)).float().numpy()
        scores = torch.from_numpy(diagnosis.average(logits, global_weight=self.global_weight))
        values = (scores / self.temperature + self.bias).softmax(0).tolist()
        return dict(zip(self.classes, values, strict=True))


@dataclass(slots=True)
class AbairSubject:
    """The base with its adapters blended by one rule.

    Rules: `base` (no adapter), `oracle` (the adapter of what the set is known to have; it says nothing of mixtures),
    `sum` (all at weight 1), `average` (all at 1/N), `oh`, `sw`.
    """

    name: str
    network: nn.Module
    adapters: dict[str, Adapter]
    eyes: Eyes | None
    exposing: frozenset[str] = frozenset()
    checksum: str = field(default="", init=False)

    def applies(self, benchmark: EvaluationSet) -> bool:
        return self.name != "oracle" or benchmark.degradation in (*self.adapters, CLEAN)

    def restore(self, degraded: Pixels, benchmark: EvaluationSet, tick: Tick) -> Answer:
        said, weights = None, dict[str, float]()
        match self.name:
            case "oracle":
                weights = {benchmark.degradation: 1.0} if benchmark.degradation in self.adapters else {}
            case "sum" | "average":
                weights = dict.fromkeys(self.adapters, 1.0 if self.name == "sum" else 1 / len(self.adapters))
            case "oh" | "sw":
                assert self.eyes is not None
                probabilities = self.eyes.probabilities(degraded)
                said = max(probabilities, key=lambda name: probabilities[name])
                weights = blending.weigh(self.name, probabilities, tuple(self.adapters))
        degraded = exposure.of_blend(degraded, weights, self.exposing)(degraded)
        alone = next((self.adapters[name] for name in weights if not self.adapters[name].is_mergeable), None)
        if alone is not None:
            return Answer(restored(Adapted(self.network, alone), degraded), said, weights)
        merged = self._merged(weights)
        return Answer(restored(self.network, degraded, weights=merged), said, weights)

    def _merged(self, weights: dict[str, float]) -> dict[str, torch.Tensor]:
        merged = {name: value.detach() for name, value in self.network.named_parameters()}
        for degradation, weight in weights.items():
            for name, change in self.adapters[degradation].changes().items():
                merged[name] = merged[name] + weight * change.detach().reshape(merged[name].shape)
        return merged


class Adapted(nn.Module):
    """A network and one adapter at full weight, as one network: the way to run what cannot be merged."""

    def __init__(self, network: nn.Module, adapter: Adapter) -> None:
        super().__init__()
        self.network, self.adapter = network, adapter

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.adapter.run(self.network, image)
