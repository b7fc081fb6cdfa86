"""The card of a model file: what the model is, what it can undo, and how it wants to be run.

The keys are those of docs/reference/model-file.md. Keys that this version does not know are ignored; a larger format
number is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from unveil.errors import InvalidModel, ModelTooNew

FORMAT = 2
"""The newest format that can be read. What is written has the oldest that serves."""
PLAIN = 1
WHOLE_NUMBERS = 2
"""The format in which factors of adapters may be int8, with a scale."""
RULES = re.compile(r"sw|oh|auto|none|topk:[1-9][0-9]{0,2}|threshold:0?\.[0-9]{1,6}")
"""Rules of blending that a card may name (`unveil.restoration.blending`): those that need nothing but a diagnosis."""
TRACE = 0.02
"""The probability at the first look without which a later one finds nothing, where the card does not say another."""
CLEAN = "clean"
ENSEMBLES = (1, 2, 4, 8)
"""How many views of a tile can be averaged over."""

# No network comes near these; a card beyond them is damaged or hostile, and would only fail later by exhausting memory.
LARGEST_STEP = 4096
LARGEST_TILE = 4096
LARGEST_VIEWS = 1 << 24
LARGEST_SIDE = 4096
MOST_CROPS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterCard:
    """What is known of one adapter. Its factors are scaled by `alpha / rank`.

    `exposure`: it was trained on pictures exposed fully as a whole (`unveil.restoration.exposure`) and wants them so.
    """

    rank: int
    alpha: float
    mode: str
    base_checksum: str
    training_data: str = ""
    code_version: str = ""
    exposure: bool = False

    @classmethod
    def from_fields(cls, values: Fields) -> AdapterCard:
        return cls(
            rank=values.integer("rank", 1, LARGEST_STEP),
            alpha=values.number("alpha"),
            mode=values.text("mode"),
            base_checksum=values.text("base_checksum"),
            training_data=values.text("training_data"),
            code_version=values.text("code_version") if "code_version" in values.values else "",
            exposure=values.switch("exposure") if "exposure" in values.values else False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorCard:
    """How the estimator looks at a picture: `crops` crops of `side` x `side` pixels and one view of the whole picture.

    An estimator of side 0 looks at the whole picture as it is, whatever its size, and `crops` is 0. `classes` are in
    the order of the logits; the last one may be `clean`. Logits are averaged, the view of the whole picture weighing
    `global_weight` and a crop 1, and divided by `temperature` before the softmax. A picture whose probability of
    `clean` reaches `clean_threshold` is left untouched.

    A restored picture is looked at again, and what is then seen of the classes in `again` is undone too, if it had at
    least the probability that `trace` says of its class (`TRACE` where it says nothing) at first: what a restoration
    leaves may look like damage. An estimator that has learnt from restored pictures needs less of a trace.

    Where the card's own rule leaves a single adapter, of a class in `whole`, it acts in full, however much the picture
    may be `clean` (`unveil.restoration.blending.whole`).

    Of pictures held back from training, `accuracy` is the share whose class it named rightly, `confusion` how many of
    the class of a row it called the class of a column, and `ece` the expected calibration error, if that was measured.
    """

    name: str
    config: dict[str, Any]
    classes: tuple[str, ...]
    side: int
    crops: int = 4
    global_weight: float = 0.5
    temperature: float = 1.0
    clean_threshold: float = 0.5
    again: tuple[str, ...] = ()
    trace: dict[str, float] = field(default_factory=dict[str, float])
    whole: tuple[str, ...] = ()
    accuracy: float | None = None
    ece: float | None = None
    confusion: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def from_fields(cls, values: Fields) -> EstimatorCard:
        classes = values.names("classes")
        if not classes:
            raise values.wrong("classes", "an empty list", "the names of the logits")
        if CLEAN in classes[:-1]:
            raise values.wrong("classes", f"{CLEAN!r} before the end", f"{CLEAN!r} last, or not at all")
        side, crops = values.integer("side", 0, LARGEST_SIDE), values.integer("crops", 0, MOST_CROPS)
        if (crops + 1) * side * side > LARGEST_VIEWS:
            found, most = f"{side} with {crops} crops", f"{LARGEST_VIEWS / 1e6:.0f} megapixels"
            raise values.wrong("side", found, f"no more than {most} of views")
        again = values.names("again") if "again" in values.values else ()
        whole = values.names("whole") if "whole" in values.values else ()
        for field_name, named in (("again", again), ("whole", whole)):
            if strangers := sorted(set(named) - set(classes[:-1] if CLEAN in classes else classes)):
                raise values.wrong(field_name, repr(strangers[0]), "classes of degradations")
        traces = Fields(values.mapping("trace") if "trace" in values.values else {}, f"{values.prefix}trace.")
        if strangers := sorted(set(traces.values) - set(again)):
            raise values.wrong("trace", f"about {strangers[0]!r}", "about classes of again")
        return cls(
            name=values.text("name"),
            config=values.mapping("config"),
            classes=classes,
            side=side,
            crops=crops,
            global_weight=values.number("global_weight", 0.0),
            temperature=values.number("temperature", 1e-6),
            clean_threshold=values.number("clean_threshold", 0.0),
            again=again,
            trace={key: traces.number(key, 0.0) for key in traces.values},
            whole=whole,
            accuracy=values.optional("accuracy"),
            ece=values.optional("ece"),
            confusion=values.table("confusion", len(classes)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything about a model that is not an array. `network` has the keys `name` and `config`.

    `ensemble` is the number of views that every tile is averaged over, unless the user says otherwise.

    `footprint` is how many bytes of working memory the restoring network needs for a pixel, in float32 and counted, not
    measured; 0 where nobody counted. `codes` are inputs of the restoring network beside the image, computed once per
    picture. With `prompts`, the names of the rows of the table `prompts`, they come from a prompt; otherwise from the
    picture. `map` names the classes of the network that tells the damage of every region, if there is one.
    """

    name: str
    network: dict[str, Any]
    size_multiple: int
    stride: int
    halo: int
    base_checksum: str
    degradations: dict[str, str]
    adapters: dict[str, AdapterCard]
    estimator: EstimatorCard | None = None
    blend: str = "sw"
    ensemble: int = 1
    footprint: int = 0
    codes: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    map: tuple[str, ...] = ()
    summary: str = ""
    licence: str = ""
    training_data: str = ""
    code_version: str = ""
    recipe: dict[str, Any] = field(default_factory=dict[str, Any])
    metrics: tuple[dict[str, Any], ...] = ()
    format: int = PLAIN

    @property
    def exposing(self) -> tuple[str, ...]:
        """Adapters that want pictures exposed as a whole first."""
        return tuple(name for name, entry in self.adapters.items() if entry.exposure)

    @property
    def undiagnosed(self) -> tuple[str, ...]:
        """What the model can undo and its estimator does not know: adapters that were added later."""
        known = self.estimator.classes if self.estimator else ()
        return tuple(name for name in self.degradations if name not in known)

    def to_json(self) -> str:
        """The card as the JSON text that stands in the header of a model file.

        Raises:
            InvalidModel: it holds NaN, an infinity, or what is no value of JSON.
        """
        return written(asdict(self), self.name)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read a card.

        Raises:
            ModelTooNew: the format number is larger than this version's.
            InvalidModel: not a JSON object, or a key is missing or of the wrong kind; the message names the key.
        """
        try:
            loaded: object = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidModel(f"The card is not JSON ({error}); the file is damaged, fetch it again.") from error
        if not isinstance(loaded, dict):
            raise InvalidModel(f"The card is a {_kind(loaded)}, expected a JSON object; the file is damaged.")
        values = Fields(cast(dict[str, Any], loaded), "")
        number = values.integer("format", 1, None)
        if number > FORMAT:
            raise ModelTooNew(
                f"The model file has format {number}; this version of unveil reads up to format {FORMAT}. "
                "Update unveil: pip install --upgrade unveil"
            )
        return cls._from_fields(values)

    @classmethod
    def _from_fields(cls, values: Fields) -> Card:
        network = values.nested("network")
        blend = values.text("blend")
        if not RULES.fullmatch(blend):
            raise values.wrong("blend", repr(blend), "sw, oh, auto, none, topk:1 or threshold:0.02")
        degradations = values.mapping("degradations")
        for degradation, printed in degradations.items():
            if not isinstance(printed, str):
                raise values.wrong(f"degradations.{degradation}", _kind(printed), "a text")
            values.check_letters("degradations", degradation + printed)
        estimator = None if values.take("estimator") is None else EstimatorCard.from_fields(values.nested("estimator"))
        adapters = values.nested("adapters")
        multiple, stride = (values.integer(key, 1, LARGEST_STEP) for key in ("size_multiple", "stride"))
        halo = values.integer("halo", 0, LARGEST_STEP)
        if (least := 4 * halo + multiple + stride) > LARGEST_TILE:
            raise values.wrong("halo", f"{halo}, which makes tiles of {least} pixels", f"at most {LARGEST_TILE}")
        return cls(
            name=values.text("name"),
            network={"name": network.text("name"), "config": network.mapping("config")},
            size_multiple=multiple,
            stride=stride,
            halo=halo,
            base_checksum=values.text("base_checksum"),
            format=values.integer("format", 1, None),
            degradations=degradations,
            adapters={name: AdapterCard.from_fields(adapters.nested(name)) for name in adapters.values},
            estimator=estimator,
            blend=blend,
            ensemble=values.choice("ensemble", ENSEMBLES) if "ensemble" in values.values else 1,
            footprint=values.integer("footprint", 0, None) if "footprint" in values.values else 0,
            codes=values.names("codes"),
            prompts=values.names("prompts") if "prompts" in values.values else (),
            map=values.names("map") if "map" in values.values else (),
            summary=values.text("summary"),
            licence=values.text("licence"),
            training_data=values.text("training_data"),
            code_version=values.text("code_version"),
            recipe=values.mapping("recipe"),
            metrics=values.mappings("metrics"),
        )


@dataclass(frozen=True, slots=True)
class Fields:
    """Typed access to a JSON object; every complaint names the key by its full path."""

    values: Mapping[str, Any]
    prefix: str

    def wrong(self, key: str, found: str, expected: str) -> InvalidModel:
        return InvalidModel(f"The card's key '{self.prefix}{key}' is {found}, expected {expected}.")

    def take(self, key: str) -> Any:
        if key not in self.values:
            raise InvalidModel(f"The card has no key '{self.prefix}{key}'; it is damaged or not written by unveil.")
        return self.values[key]

    def text(self, key: str) -> str:
        value = self.take(key)
        if not isinstance(value, str):
            raise self.wrong(key, _kind(value), "a text")
        self.check_letters(key, value)
        return value

    def check_letters(self, key: str, text: str) -> None:
        """Refuse what a terminal would obey or no file can hold: a card's texts are printed, and come from anywhere."""
        if not all(letter.isprintable() or letter in "\n\t" for letter in text):
            raise self.wrong(key, repr(text)[:80], "a text without control characters")

    def integer(self, key: str, low: int, high: int | None) -> int:
        value = self.take(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(key, _kind(value), "an integer")
        if value < low or (high is not None and value > high):
            raise self.wrong(key, str(value), f"at least {low}" if high is None else f"{low} to {high}")
        return value

    def choice(self, key: str, known: tuple[int, ...]) -> int:
        value = self.integer(key, min(known), max(known))
        if value not in known:
            raise self.wrong(key, str(value), f"one of {', '.join(map(str, known))}")
        return value

    def switch(self, key: str) -> bool:
        value = self.take(key)
        if not isinstance(value, bool):
            raise self.wrong(key, _kind(value), "true or false")
        return value

    def number(self, key: str, low: float = -math.inf) -> float:
        value = self.take(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.wrong(key, _kind(value), "a number")
        if not math.isfinite(value) or value < low:
            raise self.wrong(key, str(value), "a finite number" if low == -math.inf else f"a number from {low:g}")
        return float(value)

    def optional(self, key: str) -> float | None:
        """A number from 0 that may be missing or null."""
        return None if self.values.get(key) is None else self.number(key, 0.0)

    def table(self, key: str, side: int) -> tuple[tuple[int, ...], ...]:
        """So many rows and columns of counts, which may be missing or empty."""
        found = tuple(self._counts(key, row) for row in self.items(key)) if key in self.values else ()
        if found and [len(row) for row in found] != [side] * side:
            raise self.wrong(key, f"of rows of {[len(row) for row in found]}", f"{side} rows of {side} counts")
        return found

    def _counts(self, key: str, row: object) -> tuple[int, ...]:
        counts = cast(list[object], row) if isinstance(row, list) else []
        numbers = tuple(n for n in counts if isinstance(n, int) and not isinstance(n, bool) and n >= 0)
        if not counts or len(numbers) != len(counts):
            raise self.wrong(key, "a list with other things", "rows of counts from 0")
        return numbers

    def names(self, key: str) -> tuple[str, ...]:
        names = tuple(name for name in self.items(key) if isinstance(name, str))
        if len(names) != len(self.items(key)):
            raise self.wrong(key, "a list with other things", "a list of texts")
        if len(set(names)) != len(names):
            raise self.wrong(key, f"{', '.join(names)}, with a name twice", "every name once")
        self.check_letters(key, "".join(names))
        return names

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.take(key)
        if not isinstance(value, dict):
            raise self.wrong(key, _kind(value), "an object")
        return cast(dict[str, Any], value)

    def mappings(self, key: str) -> tuple[dict[str, Any], ...]:
        entries = tuple(cast(dict[str, Any], entry) for entry in self.items(key) if isinstance(entry, dict))
        if len(entries) != len(self.items(key)):
            raise self.wrong(key, "a list with other things", "a list of objects")
        return entries

    def items(self, key: str) -> list[object]:
        value: object = self.take(key)
        if not isinstance(value, list):
            raise self.wrong(key, _kind(value), "a list")
        return cast(list[object], value)

    def nested(self, key: str) -> Fields:
        return Fields(self.mapping(key), f"{self.prefix}{key}.")


def written(card: Mapping[str, Any], name: str) -> str:
    """The fields of a card as JSON. Raises InvalidModel, which speaks of the `name`, for what JSON cannot hold."""
    try:
        return json.dumps(card, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidModel(
            f"the card of {name!r} cannot be written ({error}); expected texts, finite numbers, lists and objects."
        ) from error


def _kind(value: object) -> str:
    kinds = ((dict, "an object"), (list, "a list"), (str, "a text"), (bool, "a truth value"), (type(None), "null"))
    return next((name for kind, name in kinds if isinstance(value, kind)), f"the number {value}")
