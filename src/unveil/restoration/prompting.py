"""Prompts as a user says them: the name of a degradation, a mixture of several, or `auto`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from unveil.errors import InvalidRequest
from unveil.models import Card
from unveil.restoration import blending

Prompt: TypeAlias = str | Mapping[str, float]
"""`"rain"`, or `{"dark": 0.6, "rain": 0.4}`; `"auto"` leaves the choice to the model's classifier."""

Mixing: TypeAlias = Literal["prompts", "codes"]
"""What is averaged in a mixture. A prompt network is not linear, so the two ways differ between their ends (ours)."""

AUTO = "auto"


def weights_of(prompt: Prompt, card: Card, *others: object) -> dict[str, float] | None:
    """How much of each prompt of a model is wished; None where the model is to choose.

    Args:
        prompt: see `Prompt`. Only the ratio of a mixture counts.
        card: of the model.
        others: options that a prompt contradicts, None where they were not given.

    Raises:
        InvalidRequest: the model takes no prompts or not these, nothing is left of them, or an option contradicts it.
    """
    check_model(card)
    if any(other is not None for other in others):
        raise InvalidRequest("Give either a prompt, or weights, only and blend; a prompt says all that they say.")
    if prompt == AUTO:
        if card.estimator is None:
            raise InvalidRequest(
                f"The model {card.name!r} has no classifier to choose a prompt; name one: {', '.join(card.prompts)}."
            )
        return None
    weights = blending.check_weights({prompt: 1.0} if isinstance(prompt, str) else prompt, card.prompts)
    if not weights:
        raise InvalidRequest(f"The prompt holds nothing; give a weight above zero to one of {', '.join(card.prompts)}.")
    return weights


def codes_of(
    weights: Mapping[str, float],
    card: Card,
    table: NDArray[Any],
    mixing: Mixing,
    summarise: Callable[[NDArray[np.float32]], Mapping[str, NDArray[Any]]],
) -> dict[str, NDArray[Any]]:
    """The codes of a prompt: of one row of the table, or of a mixture in the ratio of the weights.

    Args:
        weights: by the names of the rows.
        card: of the model.
        table: `rows side side`.
        mixing: what is averaged.
        summarise: the model's prompt network: `B side side` to codes by name, `B ...`.

    Raises:
        InvalidRequest: no weight is above zero.
    """
    total = sum(weights.values())
    if total <= 0:
        names = ", ".join(card.prompts)
        raise InvalidRequest(f"The model {card.name!r} needs at least one weight above zero, of {names}.")
    rows = table[[card.prompts.index(name) for name in weights]].astype(np.float32)
    shares = np.array([weight / total for weight in weights.values()], np.float32)
    if mixing == "prompts":
        return dict(summarise(np.tensordot(shares, rows, 1)[None]))
    return {name: np.tensordot(shares, code, 1)[None] for name, code in summarise(rows).items()}


def check_mixing(mixing: str) -> None:
    """Raises InvalidRequest for a way of mixing that is not known."""
    if mixing not in get_args(Mixing):
        raise InvalidRequest(f"mixing is {mixing!r}; expected {' or '.join(get_args(Mixing))}.")


def check_model(card: Card) -> None:
    """Say what to use instead where a model takes no prompts; raises InvalidRequest."""
    if card.prompts:
        return
    instead = "it restores every picture in the same way, so leave the prompt out."
    if card.degradations:
        instead = f"say with weights how much of each adapter it shall use: {', '.join(card.degradations)}."
    elif card.codes:
        instead = "the picture itself is its prompt, so leave it out."
    raise InvalidRequest(f"The model {card.name!r} takes no prompts; {instead}")
