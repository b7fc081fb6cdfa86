"""Recipes of ConStyle: an encoder (stage 1 of v2), a restoration network, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from unveil.errors import RecipeError
from unveil.methods.constyle.averaging import NORMS
from unveil.methods.constyle.damage import Mixture
from unveil.methods.constyle.memory import MOMENTUM, QUEUE, TEMPERATURE
from unveil.methods.constyle.restoring import KEYS
from unveil.training.recipe import CardSection, PhotographsSection, Recipe, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragedStage(Stage):
    """What both stages have: the published optimisation, the average, the unsupervised losses and their memory.

    `hold` steps at the peak come before the cosine. `contrast`, `content` and `style` are weights of losses, and 0
    turns one off. `queue` is a multiple of the batch; 0 takes the negatives from the batch, and then there is no style
    loss. `normalised` brings codes to length 1 before they are compared (ours).
    """

    weight_decay: float = 1e-4
    warm_up: int = 0
    clip: float = 0.0
    hold: int = 0
    decay: float = 0.999
    norms: str = "averaged"
    contrast: float = 1.0
    content: float = 1.0
    style: float = 1.0
    queue: int = QUEUE
    momentum: float = MOMENTUM
    temperature: float = TEMPERATURE
    normalised: bool = False

    def __post_init__(self) -> None:
        super(AveragedStage, self).__post_init__()
        if self.norms not in NORMS:
            raise RecipeError(f"norms is {self.norms!r}, expected one of {', '.join(NORMS)}")
        if not 0 <= self.decay < 1:
            raise RecipeError(f"decay is {self.decay}, expected 0 (no average) to below 1")

    def averaging(self) -> dict[str, Any]:
        """The arguments of `AveragedPhase`."""
        return {"decay": self.decay, "norms": self.norms, "hold": self.hold, **self.optimisation()}

    def remembering(self) -> dict[str, Any]:
        """The arguments of `Memory`."""
        names = ("queue", "momentum", "temperature", "normalised")
        return {name: getattr(self, name) for name in names}

    def check_memory(self, where: str) -> None:
        """Check what only matters where an encoder is trained.

        Raises:
            RecipeError: batch, queue, style and parts do not go together.
        """
        if self.batch < 2:
            raise RecipeError(f"{where}: the encoder's norms need batches of at least 2, got {self.batch}")
        if self.parts > 1:
            raise RecipeError(f"{where}: there is one queue, so an encoder is trained by one process; set parts to 1")
        if self.queue % self.batch or 0 < self.queue < 2 * self.batch:
            raise RecipeError(
                f"{where}: a queue of {self.queue} codes does not hold whole batches of {self.batch}, two at least; "
                f"{QUEUE} is published and goes with 8, 12, 16, 24, 30, 32 and 96"
            )
        if self.style and not self.queue:
            raise RecipeError(f"{where}: without a queue there is nothing for the style loss; set style to 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderStage(AveragedStage):
    """Stage 1 of v2. `patch` is the side of a crop.

    `classes`: `folders` takes the first folder below each folder of photographs for the class of a picture; `none` does
    without the class pretext. `outputs` of the class head are as many as there are classes, or this many without.
    `crops`: `two` different ones for query and key, as published, or `one`. `resize`: length of the shorter side before
    cropping, 0 for none. `scale`: share of the area that a crop has. `snow`: share of pictures that get contrast and
    snow instead of the two rounds. `mixture`: kinds of our own damage instead of both.
    """

    classification: float = 1.0
    classification_until: int = 50000
    distillation: float = 1.0
    distillation_until: int = 999999
    classes: str = "folders"
    outputs: int = 1000
    crops: str = "two"
    resize: int = 256
    scale: tuple[float, float] = (0.08, 1.0)
    snow: float = 0.4
    mixture: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        super(EncoderStage, self).__post_init__()
        self.check_memory("encoder")
        for name, value, known in (
            ("classes", self.classes, ("folders", "none")),
            ("crops", self.crops, ("two", "one")),
        ):
            if value not in known:
                raise RecipeError(f"encoder.{name} is {value!r}, expected one of {', '.join(known)}")
        if self.mixture:
            Mixture(self.mixture)
        if not any(self.losses().values()):
            raise RecipeError("encoder: every loss is off; nothing would be learnt")

    def losses(self) -> dict[str, float]:
        """Weights of the losses."""
        names = ("contrast", "content", "style", "classification", "distillation")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorationStage(AveragedStage):
    """Training of the restoration network: `Original`, v1, or stage 2 of v2.

    What it sees is one of three: `pairs`, two folders {degraded, clean}, or {set} for those of a public set
    (`ots/train`); `noise`, the lowest and highest sigma of Gaussian noise in 255ths that is added and not clipped; or
    `mixture`, kinds of our own damage and their shares.

    `encoder_until`: steps in which the encoder inside a guided network learns along (`ConStyle_iter`); 0 freezes it
    from the start. `encoder`: file or run that its weights come from; by default the recipe's own first stage, if it
    has one. `key`, `maps`, `query`: switches of the guidelines: see `RestorationTraining` and `Steered.sever`.
    """

    pairs: Mapping[str, str] = field(default_factory=dict[str, str])
    noise: tuple[float, ...] = ()
    mixture: Mapping[str, float] = field(default_factory=dict[str, float])
    encoder_until: int = 0
    encoder: str = ""
    key: str = "clean"
    maps: bool = True
    query: bool = True

    def __post_init__(self) -> None:
        super(RestorationStage, self).__post_init__()
        if sum(map(bool, (self.pairs, self.noise, self.mixture))) != 1:
            raise RecipeError("restoration needs one of pairs, noise and mixture")
        if self.pairs and set(self.pairs) not in ({"degraded", "clean"}, {"set"}):
            raise RecipeError(
                "restoration.pairs reads {degraded: FOLDER, clean: FOLDER}, or {set: NAME} for a public set, "
                f"found {dict(self.pairs)}"
            )
        if self.noise and (len(self.noise) != 2 or not 0 <= self.noise[0] <= self.noise[1]):
            raise RecipeError(f"restoration.noise must be two ascending sigmas in 255ths, got {self.noise}")
        if self.mixture:
            Mixture(self.mixture)
        if self.key not in KEYS:
            raise RecipeError(f"restoration.key is {self.key!r}, expected one of {', '.join(KEYS)}")
        if self.encoder_until > 0:
            self.check_memory("restoration")

    def losses(self) -> dict[str, float]:
        """Weights of the encoder's losses."""
        return {name: getattr(self, name) for name in ("contrast", "content", "style")}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConStyleRecipe(Recipe):
    """An encoder, a restoration network, or one after the other. `network` is that of the restoration."""

    sections: ClassVar[Mapping[str, type[Any]]] = {
        "encoder": EncoderStage,
        "restoration": RestorationStage,
        "photographs": PhotographsSection,
        "card": CardSection,
    }

    network: Mapping[str, Any] = field(default_factory=dict[str, Any])
    encoder: EncoderStage | None = None
    restoration: RestorationStage | None = None

    def __post_init__(self) -> None:
        if self.encoder is None and self.restoration is None:
            raise RecipeError("a recipe of constyle has a section encoder, restoration, or both")
        if self.restoration is not None and not self.network:
            raise RecipeError("restoration needs a network, such as {name: constyle-nafnet}")

    @classmethod
    def prepared(cls, found: Mapping[str, Any]) -> dict[str, Any]:
        # Written out, or left out by an override, an absent stage is None.
        absent = {name for name in ("encoder", "restoration") if name in found and found[name] is None}
        return super(ConStyleRecipe, cls).prepared({key: value for key, value in found.items() if key not in absent})

    def shareable(self) -> dict[str, Any]:
        values = super(ConStyleRecipe, self).shareable()
        if stage := values["restoration"]:
            named = stage["pairs"].items()
            stage["pairs"] = {key: found if key == "set" else Path(found).name for key, found in named}
            stage["encoder"] = Path(stage["encoder"]).name
        return values
