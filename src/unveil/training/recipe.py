"""Recipes: YAML files whose keys are the parameter names of what they configure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from unveil.errors import RecipeError
from unveil.models.card import CLEAN

Section = TypeVar("Section")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What every phase has: steps, batches and AdamW (see `unveil.methods.phase.Phase`)."""

    iterations: int
    batch: int
    patch: int
    learning_rate: float
    weight_decay: float = 0.0
    warm_up: int = 200
    floor: float = 1e-3
    clip: float = 1.0

    def __post_init__(self) -> None:
        for name in ("iterations", "batch", "patch"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} must be at least 1, got {getattr(self, name)}")

    def optimisation(self) -> dict[str, Any]:
        """The arguments of `Phase`."""
        names = ("iterations", "learning_rate", "weight_decay", "warm_up", "floor")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingStage(Stage):
    """Phase I. `degradations`: relative frequencies in CutMix, with `clean` for regions left alone."""

    degradations: Mapping[str, float]
    regions: tuple[float, ...] = (0.3, 0.5, 0.2)
    head_weight: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterStage(Stage):
    """Phase II for one degradation."""

    rank: int = 4
    alpha: float | None = None
    mode: str = "compact"
    vectors: bool = False
    clean_share: float = 0.05
    severities: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimationStage(Stage):
    """Phase III. `patch` is the side of a view in training, `side` of one in use; `batch` counts pictures."""

    side: int = 224

    tones: int = 12
    composed: float = 0.2
    cut: float = 0.05
    clean_weight: float = 4.0
    training_crops: int = 2
    start: str = ""
    """A model file whose estimator, of the same classes, training begins with; fresh weights otherwise."""
    onsets: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    crops: int = 4
    global_weight: float = 1.0
    clean_threshold: float = 0.5
    sharpening: float = 1.0
    """The temperature in use as a share of the fitted one: below 1, blends are more decided than honest."""
    held_out: int = 0
    """Every so manieth photograph is kept from the estimator's training, for its calibration; 0 keeps none."""
    calibration: int = 300
    """Pictures that the temperature is fitted on after training."""

    def __post_init__(self) -> None:
        super(EstimationStage, self).__post_init__()
        for name, onset in self.onsets.items():
            if len(onset) != 2 or not 0 <= onset[0] <= onset[1] <= 1:
                raise RecipeError(f"estimation.onsets.{name} must be two ascending severities in 0..1, got {onset}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotographsSection:
    """Where clean photographs come from; `--data` replaces `folders`."""

    folders: tuple[str, ...] = ()
    halve: float = 0.3
    memory: int = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSection:
    """Text for people, written into the model file's card."""

    summary: str = ""
    licence: str = "Apache-2.0"
    training_data: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A whole chain: base, adapters, estimator.

    `adaptation` holds the defaults of all adapters, `adapters` one entry a degradation with what differs.
    """

    name: str
    network: Mapping[str, Any]
    pretraining: PretrainingStage
    adaptation: AdapterStage
    adapters: Mapping[str, AdapterStage]
    estimation: EstimationStage
    photographs: PhotographsSection = field(default_factory=PhotographsSection)
    card: CardSection = field(default_factory=CardSection)
    seed: int = 0
    precision: str = "bf16-mixed"

    @property
    def classes(self) -> tuple[str, ...]:
        """What the estimator tells apart: one entry an adapter, `clean` last."""
        return (*self.adapters, CLEAN)

    @classmethod
    def read(cls, path: Path | str, *, overrides: Iterable[str] = (), folders: Iterable[str] = ()) -> Self:
        """Read a YAML recipe.

        Args:
            path: the file.
            overrides: `key.key=value` with YAML values, applied on top.
            folders: replace the recipe's folders of photographs.

        Raises:
            RecipeError: the file is missing, no YAML, or has unknown, missing or impossible keys.
        """
        import yaml

        try:
            found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RecipeError(f"{path}: no such recipe") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path} is not a YAML file: {error}") from None
        if not isinstance(found, dict):
            raise RecipeError(f"{path}: a recipe is a mapping of keys to values, found {type(found).__name__}")
        for override in overrides:
            _override(found, override)
        if given := [str(folder) for folder in folders]:
            found["photographs"] = {**(found.get("photographs") or {}), "folders": given}
        return cls.from_dict(found)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Build a recipe from plain values, as YAML gives them or `as_dict` returned them."""
        values = dict(found)
        shared = dict(values.get("adaptation") or {})
        sections: dict[str, type[Any]] = {
            "pretraining": PretrainingStage,
            "estimation": EstimationStage,
            "photographs": PhotographsSection,
            "card": CardSection,
        }
        for key, section in sections.items():
            if key in values:
                values[key] = _section(section, values[key] or {}, key)
        values["adaptation"] = _section(AdapterStage, shared, "adaptation")
        values["adapters"] = {
            name: _section(AdapterStage, {**shared, **(own or {})}, f"adapters.{name}")
            for name, own in dict(values.get("adapters") or {}).items()
        }
        return _section(cls, values, "")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they travel in checkpoints and cards."""
        return asdict(self)


def _section(kind: type[Section], values: Mapping[str, Any], where: str) -> Section:
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    prefix = f"{where}." if where else ""
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            raise RecipeError(f"unknown key {prefix}{key}{hint}")
    tidy = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    try:
        return kind(**tidy)
    except TypeError as error:
        missing = [name for name in known if name not in values and f"'{name}'" in str(error)]
        raise RecipeError(
            f"missing {', '.join(prefix + name for name in missing)}" if missing else f"{prefix}: {error}"
        ) from None


def _override(values: dict[str, Any], override: str) -> None:
    import yaml

    path, separator, text = override.partition("=")
    if not separator:
        raise RecipeError(f"an override reads key.key=value, found {override!r}")
    *parents, last = path.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise RecipeError(f"{override!r}: {parent} is not a section")
    values[last] = yaml.safe_load(text)
