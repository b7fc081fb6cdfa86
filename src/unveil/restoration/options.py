"""What `Restorer.run` can be told, as types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypedDict

from unveil.restoration.prompting import Mixing, Prompt
from unveil.restoration.stitching import Progress


class Choices(TypedDict, total=False):
    """What to undo and how far: the options that depend neither on the image nor on who asks."""

    strength: float
    weights: Mapping[str, float] | None
    only: Iterable[str] | None
    blend: str | None
    rounds: int | None
    ensemble: int | None


class Options(Choices, total=False):
    """The options of `Restorer.run`."""

    prompt: Prompt | None
    mixing: Mixing
    context: object
    progress: Progress | None
