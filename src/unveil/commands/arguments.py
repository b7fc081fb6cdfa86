"""Options that several commands share, and small languages inside arguments: `rain,noise`, `rain=.6`, `rain:0.5`."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Annotated

import typer

from unveil.errors import InvalidRequest


class EngineName(StrEnum):
    """What runs the network."""

    auto = "auto"
    onnx = "onnx"
    openvino = "openvino"
    torch = "torch"
    compiled = "torch-compiled"


class ClusterName(StrEnum):
    """Where many pictures are restored at once."""

    ray = "ray"


class PrecisionName(StrEnum):
    """What the network computes in."""

    fp32 = "fp32"
    bf16 = "bf16"


Precision = Annotated[
    PrecisionName,
    typer.Option(
        "--precision",
        help="bf16 is about twice as fast on processors that have it, and moves values by a grey level or so; "
        "needs the extra 'fast'.",
    ),
]

Engine = Annotated[EngineName, typer.Option("--engine", help="What runs the network; torch-compiled begins late.")]

ModelName = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Model to use, by name or by file; see 'unveil models'."),
]

Strength = Annotated[
    float,
    typer.Option("--strength", metavar="0..1", min=0, max=1, help="0 keeps the input, 1 is the whole restoration."),
]

Only = Annotated[
    str | None, typer.Option("--only", metavar="rain,noise", help="Undo these degradations and no others.")
]

Weights = Annotated[
    str | None,
    typer.Option("--weights", metavar="rain=.6,noise=.4", help="Say yourself what is wrong, and how much."),
]

Blend = Annotated[
    str | None,
    typer.Option(
        "--blend",
        metavar="RULE",
        help="How a diagnosis becomes weights: sw, oh, auto, topk:2, threshold:0.02, oracle:rain, sum, average, none.",
    ),
]
"""The option of the blending rule; `unveil.restoration.blending.RULES` says what each gives."""


class Stripped(StrEnum):
    """What is left out of a result's metadata."""

    none = "none"
    location = "location"
    all = "all"


Strip = Annotated[
    Stripped,
    typer.Option("--strip", help="Metadata to leave out: where it was taken, or all but the colour profile."),
]

Prompt = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        metavar="dark=.6,rain=.4",
        help="For models with prompts: which ones, or auto, the default: the model chooses.",
    ),
]

Threads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", min=1, help="Processor threads to use; all of them by default."),
]

PixelLimit = Annotated[
    float,
    typer.Option(
        "--pixel-limit", metavar="MEGAPIXELS", min=0.001, help="Refuse larger pictures before they are decoded."
    ),
]
"""The option that bounds what is read, in megapixels."""

LARGEST_PICTURE = 250.0


def pixels(megapixels: float) -> int:
    """A `PixelLimit` as a number of pixels."""
    return round(megapixels * 1e6)


def parse_names(text: str, flag: str) -> list[str]:
    """`"rain,noise"` -> `["rain", "noise"]`."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InvalidRequest(f"{flag} is empty; write degradations separated by commas, such as {flag} rain,noise")
    return names


def parse_weights(text: str, flag: str) -> dict[str, float]:
    """`"rain=.6,noise=.4"` -> `{"rain": 0.6, "noise": 0.4}`; weights are finite and not negative."""
    return _pairs(text.split(","), "=", flag, example=f"{flag} rain=.6,noise=.4")


def parse_prompt(text: str, flag: str = "--prompt") -> dict[str, float] | None:
    """`"rain"` -> `{"rain": 1.0}`, `"dark=.6,rain=.4"` -> `{"dark": 0.6, "rain": 0.4}`, `"auto"` -> None."""
    if text.strip() == "auto":
        return None
    return parse_weights(text if "=" in text else f"{text}=1", flag)


def parse_severities(words: Iterable[str], flag: str) -> dict[str, float]:
    """`["rain:0.5", "jpeg:0.3"]` -> `{"rain": 0.5, "jpeg": 0.3}`, in the order given; severities lie in 0..1."""
    severities = _pairs(words, ":", flag, example=f"{flag} rain:0.5 {flag} jpeg:0.3")
    for name, severity in severities.items():
        if severity > 1:
            raise InvalidRequest(f"{flag} {name}:{severity:g} is out of range; severities go from 0 to 1")
    return severities


def parse_blend(blend: str | None, weights: object) -> Collection[str]:
    """The degradations that a rule names: one for `oracle:rain`, none for most.

    Raises:
        InvalidRequest: there is no such rule, or it stands beside weights.
    """
    if blend is None:
        return ()
    if weights is not None:
        raise InvalidRequest("--blend and --weights contradict each other; give one of them")
    from unveil.restoration import blending

    named = blending.read_rule(blend).degradation
    return (named,) if named not in ("", "clean") else ()


def require_known(names: Iterable[str], known: Collection[str], flag: str, owner: str) -> None:
    """Raise InvalidRequest for the first of `names` that is not in `known`, which are those of `owner`."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean '{near[0]}'? " if near else ""
            raise InvalidRequest(f"{flag}: '{name}' is unknown to {owner}; {advice}It knows {', '.join(known)}")


def _pairs(words: Iterable[str], sign: str, flag: str, *, example: str) -> dict[str, float]:
    pairs: dict[str, float] = {}
    for word in words:
        name, found, number = (part.strip() for part in word.partition(sign))
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not name or not found or not math.isfinite(value) or value < 0:
            raise InvalidRequest(f"{flag}: cannot read '{word}'; write it like {example}")
        if name in pairs:
            raise InvalidRequest(f"{flag}: '{name}' is given twice; give it once")
        pairs[name] = value
    return pairs
