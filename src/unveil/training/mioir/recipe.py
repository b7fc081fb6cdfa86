"""Recipes of MiOIR: a backbone, a curriculum, prompts, and the classifier that chooses among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from unveil.errors import RecipeError
from unveil.methods.mioir.curriculum import Curriculum, Learning
from unveil.training.recipe import CardSection, PhotographsSection, Recipe, Stage

FORMS = {"none": "", "explicit": "-ep", "adaptive": "-ap"}
"""Forms of prompts, and what they add to the name of a backbone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurriculumSection:
    """What `Curriculum` takes; its steps are `restoration.iterations`."""

    learning: Learning = "sequential"
    order: str | Sequence[str] = "sbnjrhd"
    shares: tuple[float, ...] = ()
    cycles: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptsSection:
    """`form` is `none`, `explicit` or `adaptive`. Explicit prompts are read from `file`, or drawn with `seed`."""

    form: str = "none"
    file: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise RecipeError(f"prompts.form is {self.form!r}, expected one of {', '.join(FORMS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorationStage(Stage):
    """The whole curriculum. `floor` is a share of the peak; `betas` and `weight_decay` are those of AdamW."""

    warm_up: int = 0
    floor: float = 5e-4
    clip: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    decay: float = 0.999
    """Of the running average of the weights; 0 keeps none."""
    averaged: bool = False
    """Use the averaged weights at the end; the published tests use the trained ones."""

    def __post_init__(self) -> None:
        super(RestorationStage, self).__post_init__()
        if self.warm_up:
            raise RecipeError("restoration.warm_up: the curriculum's learning rate has no warm-up; leave it out")
        if self.averaged and not self.decay:
            raise RecipeError("restoration.averaged needs an average; give decay a value such as 0.999")

    def optimisation(self) -> dict[str, Any]:
        """The arguments of `Learning`."""
        names = ("learning_rate", "weight_decay", "floor", "betas")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationStage(RestorationStage):
    """The classifier's training; `dim` and `out` are its channels. `twice`: see `Classification`."""

    twice: bool = False
    dim: int = 128
    out: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class MioirRecipe(Recipe):
    """One network for seven tasks. `classification` is needed for explicit prompts only."""

    sections: ClassVar[Mapping[str, type[Any]]] = {
        "photographs": PhotographsSection,
        "card": CardSection,
        "curriculum": CurriculumSection,
        "prompts": PromptsSection,
        "restoration": RestorationStage,
        "classification": ClassificationStage,
    }

    restoration: RestorationStage
    classification: ClassificationStage | None = None
    curriculum: CurriculumSection = field(default_factory=CurriculumSection)
    prompts: PromptsSection = field(default_factory=PromptsSection)

    @classmethod
    def prepared(cls, found: Mapping[str, Any]) -> dict[str, Any]:
        given = {key: value for key, value in found.items() if (key, value) != ("classification", None)}
        return super(MioirRecipe, cls).prepared(given)

    @property
    def plan(self) -> Curriculum:
        """Which tasks are learnt when.

        Raises:
            RecipeError: order, shares and cycles do not fit together.
        """
        section = self.curriculum
        return Curriculum(
            section.order,
            self.restoration.iterations,
            shares=section.shares,
            cycles=section.cycles,
            learning=section.learning,
        )

    @property
    def is_explicit(self) -> bool:
        return self.prompts.form == "explicit"

    def shareable(self) -> dict[str, Any]:
        values = super(MioirRecipe, self).shareable()
        values["prompts"]["file"] = Path(values["prompts"]["file"]).name
        return values
