"""Recipes: YAML files whose keys are the parameter names of what they configure.

What the recipes of all methods share stands here; each method adds its own sections (`training/abair/recipe.py`, ...).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, Self, TypeVar, cast, get_args, get_origin, get_type_hints

from unveil.errors import RecipeError
from unveil.models.card import ENSEMBLES
from unveil.training import table

Section = TypeVar("Section")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What every phase has: steps, batches and AdamW (see `unveil.methods.phase.Phase`).

    `batch` counts the samples of one optimiser step, on all processes together. It is drawn in `parts` of equal size,
    each with random numbers of its own, and the processes share the parts out: so what is trained depends on the recipe
    and not on their number, which must divide `parts`.

    `skip_steps` bad steps, whose loss or gradients are no numbers, are left out before one ends the phase.
    """

    iterations: int
    batch: int
    patch: int
    learning_rate: float
    weight_decay: float = 0.0
    warm_up: int = 200
    floor: float = 1e-3
    clip: float = 1.0
    parts: int = 1
    skip_steps: int = 0

    def __post_init__(self) -> None:
        for name in ("iterations", "batch", "patch", "parts"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.batch % self.parts:
            raise RecipeError(f"a batch of {self.batch} cannot be drawn in {self.parts} equal parts")

    def optimisation(self) -> dict[str, Any]:
        """The arguments of `Phase`."""
        names = ("iterations", "learning_rate", "weight_decay", "warm_up", "floor")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotographsSection:
    """Where clean photographs come from; `--data` replaces `folders`."""

    folders: tuple[str, ...] = ()
    halve: float = 0.3
    memory: int = 2 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSection:
    """What the model file's card says: text for people, and over how many views of a tile is averaged in use."""

    summary: str = ""
    licence: str = "Apache-2.0"
    training_data: str = ""
    ensemble: int = 1

    def __post_init__(self) -> None:
        if self.ensemble not in ENSEMBLES:
            raise RecipeError(f"card.ensemble is {self.ensemble}, expected one of {', '.join(map(str, ENSEMBLES))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What the recipes of all methods have. A recipe without `method` is one of ABAIR's."""

    sections: ClassVar[Mapping[str, type[Any]]] = {"photographs": PhotographsSection, "card": CardSection}

    name: str
    network: Mapping[str, Any]
    method: str = "abair"
    photographs: PhotographsSection = field(default_factory=PhotographsSection)
    card: CardSection = field(default_factory=CardSection)
    seed: int = 0
    precision: str = "bf16-mixed"

    @classmethod
    def read(cls, path: Path | str, *, overrides: Iterable[str] = (), folders: Iterable[str] = ()) -> Self:
        """Read a YAML recipe: one of the class that its `method` asks for.

        Args:
            path: the file.
            overrides: `key.key=value` with YAML values, applied on top.
            folders: replace the recipe's folders of photographs.

        Raises:
            RecipeError: the file is missing, no YAML, or has unknown, missing or impossible keys.
        """
        found = read_mapping(path)
        for override in overrides:
            _override(found, override)
        if given := [str(folder) for folder in folders]:
            found["photographs"] = {**(found.get("photographs") or {}), "folders": given}
        return cls.from_dict(found)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Self:
        """Build a recipe from plain values, as YAML gives them or `as_dict` returned them."""
        kind = table.method(str(found.get("method", "abair"))).recipe
        if not issubclass(kind, cls):
            raise RecipeError(f"expected a recipe of {cls.__name__}, found one of the method {found.get('method')}")
        return cast("Self", section(kind, kind.prepared(found), ""))

    @classmethod
    def prepared(cls, found: Mapping[str, Any]) -> dict[str, Any]:
        """The values with every section made an object of its class; methods add what is nested deeper."""
        values = dict(found)
        for key, kind in cls.sections.items():
            if key in values:
                values[key] = section(kind, values[key] or {}, key)
        return values

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they travel in checkpoints and cards."""
        return asdict(self)

    def shareable(self) -> dict[str, Any]:
        """Plain values as JSON has them, without where on somebody's disk photographs lay."""
        import json

        values = json.loads(json.dumps(self.as_dict()))
        values["photographs"]["folders"] = [Path(folder).name for folder in values["photographs"]["folders"]]
        return values


def read_mapping(path: Path | str) -> dict[str, Any]:
    """A YAML file that holds a mapping.

    Raises:
        RecipeError: the file is missing, or holds something else.
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
    return found


def section(kind: type[Section], values: Mapping[str, Any], where: str) -> Section:
    """An object of a dataclass from plain values; `where` names the section in complaints.

    Raises:
        RecipeError: unknown, missing or impossible keys.
    """
    if not isinstance(values, Mapping):
        raise RecipeError(f"{where} is a mapping of keys to values, found {values!r}")
    known = {entry.name: entry for entry in fields(kind)}  # type: ignore[arg-type]
    prefix = f"{where}." if where else ""
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            raise RecipeError(f"unknown key {prefix}{key}{hint}")
    tidy = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    hints = get_type_hints(kind)
    for key, value in tidy.items():
        _check_plain(f"{prefix}{key}", hints[key], value)
    try:
        return kind(**tidy)
    except TypeError as error:
        missing = [name for name in known if name not in values and f"'{name}'" in str(error)]
        raise RecipeError(
            f"missing {', '.join(prefix + name for name in missing)}" if missing else f"{prefix}: {error}"
        ) from None


def _check_plain(where: str, hint: Any, value: Any) -> None:
    """Numbers, words, switches, lists and mappings are what their field says; what is deeper looks after itself.

    Raises:
        RecipeError: something else was found.
    """
    if get_origin(hint) is UnionType:
        if value is None and NoneType in get_args(hint):
            return
        hint, *_ = set(get_args(hint)) - {NoneType}
    kind = cast("type", get_origin(hint) or hint)
    if kind is Mapping and isinstance(value, Mapping):
        for key, entry in cast("Mapping[str, Any]", value).items():
            _check_plain(f"{where}.{key}", get_args(hint)[1], entry)
        return
    accepted: tuple[type, ...] | None = _ACCEPTED.get(kind)
    if accepted is None or (isinstance(value, accepted) and (kind is bool or not isinstance(value, bool))):
        return
    advice = "; YAML takes a number without a point for text, write 5.0e-4" if _is_number(value) else ""
    raise RecipeError(f"{where} is {_KINDS[kind]}, found {value!r}{advice}")


_KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    tuple: "a list",
    Mapping: "a mapping of keys to values",
}
_ACCEPTED: Mapping[type, tuple[type, ...]] = {
    int: (int,),
    float: (int, float),
    bool: (bool,),
    str: (str,),
    tuple: (tuple, list),
    Mapping: (Mapping,),
}


def _is_number(value: Any) -> bool:
    """Whether a text would be a number to anyone but YAML."""
    try:
        return isinstance(value, str) and math.isfinite(float(value))
    except ValueError:
        return False


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
