"""Recipes of ABAIR: base, adapters, estimator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from unveil.errors import InvalidRequest, RecipeError
from unveil.models.card import CLEAN
from unveil.restoration import blending
from unveil.training.recipe import CardSection, PhotographsSection, Recipe, Stage, section

STORAGES = ("float16", "int8")
"""How a model file may hold an adapter."""
UNTRAINED: Mapping[str, Any] = {"iterations": 1, "batch": 1, "patch": 1, "learning_rate": 0.0}
"""Steps of a phase that only adopts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingStage(Stage):
    """Phase I. `degradations`: relative frequencies in CutMix, with `clean` for regions left alone.

    `pairs`: degradation -> pairs as of an adapter, to train on ready pairs, without CutMix (a row of the
    paper's ablation: the restoration sets instead of on-the-fly synthesis).
    """

    degradations: Mapping[str, float] = field(default_factory=dict[str, float])
    regions: tuple[float, ...] = (0.3, 0.5, 0.2)
    head_weight: float = 0.01
    map: bool = False
    """Put the head into the model file, as the graph that tells the damage of every region."""
    pairs: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    various: bool = False
    """Draw every phenomenon in all its varieties (`degradations/varieties.py`)."""
    start: str = ""
    """A model file with whose base training begins; `shipped` is the model that comes with unveil."""
    adopt: str = ""
    """A model file whose base is taken as it is; nothing is trained then, and its adapters fit."""

    def __post_init__(self) -> None:
        super(PretrainingStage, self).__post_init__()
        if self.adopt and self.map:
            raise RecipeError("pretraining.map wants a head that is trained here; leave out pretraining.adopt")
        if bool(self.degradations) == bool(self.pairs) and not self.adopt:
            raise RecipeError(
                "pretraining needs either degradations, made on the fly, or pairs of folders; or a model to adopt"
            )
        if self.map and self.head_weight == 0:
            raise RecipeError("pretraining.map wants a head that has learnt; set pretraining.head_weight above 0")
        _check_pairs("pretraining.pairs", self.pairs.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterStage(Stage):
    """Phase II for one degradation: made by its generator, or from `pairs`.

    `pairs` are two folders, `{degraded: FOLDER, clean: FOLDER}`, or a public set below `$UNVEIL_DATA` (`data` by
    default) as `unveil prepare` arranges it, `{set: gopro/train}`. What a generator spoils comes from `photographs`,
    folders of its own, or else from the recipe's.

    `various` draws the phenomenon in all its varieties, `company` gives that share of samples a second, milder damage.
    `start` is a model file (or `shipped`) with whose adapter of this degradation training begins, cut to the rank where
    that is lower; one that it does not have starts afresh. Its base may be another: then it is a good guess.

    `adopt` is a model file whose adapter is taken as it is, on the same base; nothing is trained then.

    `teacher` is a model file whose adapter of this degradation undoes the same samples, a larger network's as a rule.
    The distance to its pictures is `taught` of the loss, that to the clean ones the rest.

    `storage` is how a model file holds the factors, trained or adopted: `float16`, or `int8`, which is half as large
    and off by about one per cent of what the adapter changes.

    `exposure` exposes every picture fully before the network sees it, in training and in use, as a whole.

    `variant` is `lora`, `vera` or `conv_lora`; the last one cannot be part of a model file.
    """

    variant: str = "lora"
    rank: int = 4
    alpha: float | None = None
    mode: str = "compact"
    vectors: bool = False
    clean_share: float = 0.05
    severities: tuple[float, float] | None = None
    pairs: Mapping[str, str] = field(default_factory=dict[str, str])
    photographs: tuple[str, ...] = ()
    various: bool = False
    company: float = 0.0
    exposure: bool = False
    start: str = ""
    adopt: str = ""
    storage: str = STORAGES[0]
    teacher: str = ""
    taught: float = 0.5

    def __post_init__(self) -> None:
        super(AdapterStage, self).__post_init__()
        _check_pairs("adapters.pairs", [self.pairs] if self.pairs else [])
        if self.start and self.variant != "lora":
            raise RecipeError(f"adapters: start reads adapters of the variant lora, not {self.variant}")
        if not 0 <= self.company <= 1:
            raise RecipeError(f"adapters: company is a share, 0 to 1, got {self.company}")
        if self.storage not in STORAGES:
            raise RecipeError(f"adapters: storage is {' or '.join(STORAGES)}, got {self.storage!r}")
        if not 0 < self.taught <= 1:
            raise RecipeError(f"adapters: taught is a share of the loss, above 0 and up to 1, got {self.taught}")
        if self.pairs and self.photographs:
            raise RecipeError("an adapter learns from pairs or from photographs that its generator spoils; give one")


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimationStage(Stage):
    """Phase III. `patch` is the side of a view in training, `side` of one in use; `batch` counts pictures."""

    iterations: int = 12000
    batch: int = 12
    patch: int = 128
    learning_rate: float = 1e-3
    adopt: str = ""
    """A model file whose estimator is taken as it is, with its calibration; `shipped` is the model that comes with
    unveil. An estimator sees pictures alone, so it serves any base with the same adapters; nothing is trained then."""
    side: int = 224
    tones: int = 12
    signs: int = 0
    composed: float = 0.2
    cut: float = 0.05
    clean_weight: float = 4.0
    emphasis: Mapping[str, float] = field(default_factory=dict[str, float])
    """How much more often a degradation is drawn than another, in training; calibration draws all evenly."""
    training_crops: int = 2
    start: str = ""
    """A model file whose estimator training begins with; `shipped` is the model that comes with unveil. Classes that it
    does not know start afresh. Fresh weights otherwise."""
    onsets: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    yielding: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    undone: tuple[float, float] = (0.0, 0.0)
    """Of training pictures with two degradations, and with one, the shares whose last degradation the run's adapters
    undo before the estimator sees them, as on a second look (`again`). Wants base and adapters, trained or adopted."""
    crops: int = 4
    global_weight: float = 1.0
    clean_threshold: float = 0.5
    again: tuple[str, ...] = ()
    trace: Mapping[str, float] = field(default_factory=dict[str, float])
    """For a class, the probability at the first look without which it is not looked for again, instead of 0.02; 0 where
    `undone` has taught the estimator what adapters leave, and a mistake would not change the whole picture."""
    blend: str = "sw"
    """The model's own rule of blending."""
    whole: tuple[str, ...] = ()
    """Classes whose adapter acts in full where that rule leaves it alone."""
    sharpening: float = 1.0
    """The temperature in use as a share of the fitted one: below 1, blends are more decided than honest."""
    leaning: Mapping[str, float] = field(default_factory=dict[str, float])
    """By how much a class is favoured beyond the fitted calibration, in logits over the temperature in use."""
    held_out: int = 0
    """Every so manieth photograph is kept from the estimator's training, for its calibration; 0 keeps none."""
    calibration: int = 300
    """Pictures that the temperature is fitted on after training."""

    def __post_init__(self) -> None:
        super(EstimationStage, self).__post_init__()
        try:
            blending.read_rule(self.blend)
        except InvalidRequest as error:
            raise RecipeError(f"estimation.blend: {error}") from None
        if CLEAN in (*self.again, *self.whole):
            raise RecipeError(f"estimation.again and estimation.whole name degradations, got {CLEAN!r}")
        for name, trace in self.trace.items():
            if name not in self.again or not 0 <= trace <= 1:
                raise RecipeError(f"estimation.trace.{name} is a probability, of a class of again, got {trace}")
        for name, entry in self.yielding.items():
            pair = entry if isinstance(entry, tuple | list) and len(entry) == 2 else (0, 0)
            if not (0 < pair[0] <= 1 and 0 <= pair[1] <= 1):
                raise RecipeError(f"estimation.yielding.{name} is [share above 0, severity], both up to 1, got {entry}")
        if len(self.undone) != 2 or not all(0 <= share <= 1 for share in self.undone):
            raise RecipeError(f"estimation.undone is two shares, of pairs and of single ones, got {self.undone}")
        for name, factor in self.emphasis.items():
            if factor <= 0:
                raise RecipeError(f"estimation.emphasis.{name} says how many times as often, above 0, got {factor}")
        for name, onset in self.onsets.items():
            if len(onset) != 2 or not 0 <= onset[0] <= onset[1] <= 1:
                raise RecipeError(f"estimation.onsets.{name} must be two ascending severities in 0..1, got {onset}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AbairRecipe(Recipe):
    """A whole chain: base, adapters, estimator.

    `adaptation` holds the defaults of all adapters, `adapters` one entry a degradation with what differs.
    """

    sections: ClassVar[Mapping[str, type[Any]]] = {
        "pretraining": PretrainingStage,
        "estimation": EstimationStage,
        "photographs": PhotographsSection,
        "card": CardSection,
    }

    pretraining: PretrainingStage
    adaptation: AdapterStage
    adapters: Mapping[str, AdapterStage]
    estimation: EstimationStage

    def __post_init__(self) -> None:
        for key in ("again", "whole"):
            if foreign := [name for name in getattr(self.estimation, key) if name not in self.adapters]:
                raise RecipeError(
                    f"estimation.{key} names {', '.join(foreign)}, for which there is no adapter (there are "
                    f"{', '.join(self.adapters) or 'none'}); leave that out, or add an adapter"
                )

    @property
    def classes(self) -> tuple[str, ...]:
        """What the estimator tells apart: one entry an adapter, `clean` last."""
        return (*self.adapters, CLEAN)

    @classmethod
    def prepared(cls, found: Mapping[str, Any]) -> dict[str, Any]:
        pretraining = found.get("pretraining")
        if isinstance(pretraining, Mapping) and pretraining.get("adopt"):
            # What is not trained has no steps to be told.
            found = {**found, "pretraining": {**UNTRAINED, **pretraining}}
        values = super(AbairRecipe, cls).prepared(found)
        shared = dict(values.get("adaptation") or {})
        values["adaptation"] = section(AdapterStage, shared, "adaptation")
        values["adapters"] = {
            name: section(AdapterStage, {**shared, **(own or {})}, f"adapters.{name}")
            for name, own in dict(values.get("adapters") or {}).items()
        }
        return values

    def shareable(self) -> dict[str, Any]:
        values = super(AbairRecipe, self).shareable()
        adapters = (values["adaptation"], *values["adapters"].values())
        for stage in (values["pretraining"], values["estimation"], *adapters):
            stage["start"], stage["adopt"] = (Path(stage[key]).name for key in ("start", "adopt"))
        for stage in adapters:
            stage["teacher"] = Path(stage["teacher"]).name
            stage["pairs"] = _names(stage["pairs"])
            stage["photographs"] = [Path(folder).name for folder in stage["photographs"]]
        pairs = values["pretraining"]["pairs"]
        values["pretraining"]["pairs"] = {name: _names(folders) for name, folders in pairs.items()}
        return values


def _check_pairs(where: str, folders: Iterable[Mapping[str, str]]) -> None:
    for entry in folders:
        if set(entry) not in ({"degraded", "clean"}, {"set"}):
            raise RecipeError(
                f"{where}: pairs read {{degraded: FOLDER, clean: FOLDER}} or {{set: gopro/train}}, found {dict(entry)}"
            )


def _names(folders: Mapping[str, str]) -> dict[str, str]:
    return {key: folder if key == "set" else Path(folder).name for key, folder in folders.items()}
