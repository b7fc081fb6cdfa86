"""What `Restorer.run` can be told: its types, and what contradicts each other or the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypedDict

from unveil.errors import InvalidRequest
from unveil.models import Card
from unveil.restoration import blending
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


def check(
    card: Card,
    *,
    strength: float,
    weights: Mapping[str, float] | None,
    only: list[str] | None,
    blend: str | None,
    rounds: int | None = None,
) -> None:
    """Refuse what contradicts itself or the model.

    Raises:
        InvalidRequest: says what.
    """
    if rounds is not None and rounds < 1:
        raise InvalidRequest(f"rounds is {rounds}, expected at least 1.")
    if not 0 <= strength <= 1:
        raise InvalidRequest(f"strength is {strength}, expected 0 to 1.")
    if weights is not None and (only is not None or blend is not None):
        raise InvalidRequest("Give either weights, which are used as they are, or only and blend, which choose them.")
    rule = blending.read_rule(blend or card.blend)
    if weights is not None:
        blending.check_weights(weights, card.degradations)
    if only is not None:
        blending.check_names(only, card.degradations)
    if rule.name == "oracle":
        blending.oracle(rule.degradation, card.degradations)
    if card.prompts and card.estimator is None and not weights and not rule.is_blind:
        names = ", ".join(card.prompts)
        raise InvalidRequest(
            f"The model {card.name!r} cannot tell by itself what is wrong; say it with a prompt: {names}."
        )
    informed = blend is not None and rule.name != "none"
    if card.estimator is None and not rule.is_blind and (only is not None or informed):
        raise InvalidRequest(f"The model {card.name!r} has no estimator; give weights, or neither only nor blend.")
