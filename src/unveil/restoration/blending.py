"""Rules that turn the probabilities of a diagnosis into weights of adapters (ABAIR, Phase III)."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping

from unveil.errors import InvalidRequest

# Finer differences cannot be seen in a picture, and pictures of one kind then share a session.
DIGITS = 3


def weigh(
    rule: str, probabilities: Mapping[str, float], adapters: Collection[str], *, only: Iterable[str] | None = None
) -> dict[str, float]:
    """The weights of adapters that a rule gives; adapters of weight zero are left out.

    Args:
        rule: `sw` (softmax-weighted), `oh` (one-hot) or `none`.
        probabilities: of all classes of the estimator.
        adapters: the degradations that have an adapter. `clean` has none, so weights may sum to less than one.
        only: keep these adapters, scaled to the sum that all adapters had.

    Raises:
        InvalidRequest: an unknown rule, or a name in `only` that has no adapter.
    """
    if only is not None:
        probabilities = keep(probabilities, adapters, only)
    match rule:
        case "sw":
            weights = sw(probabilities, adapters)
        case "oh":
            weights = oh(probabilities, adapters)
        case "none":
            weights = {}
        case _:
            raise InvalidRequest(f"No blending rule is called {rule!r}; known are sw, oh and none.")
    rounded = {name: round(weight, DIGITS) for name, weight in weights.items()}
    return {name: weight for name, weight in rounded.items() if weight}


def sw(probabilities: Mapping[str, float], adapters: Collection[str]) -> dict[str, float]:
    """Softmax-weighted: every adapter at the probability of its degradation."""
    return {name: probabilities[name] for name in adapters if name in probabilities}


def oh(probabilities: Mapping[str, float], adapters: Collection[str]) -> dict[str, float]:
    """One-hot: the adapter of the likeliest class alone; none if that class has no adapter."""
    likeliest = max(probabilities, key=lambda name: probabilities[name])
    return {likeliest: 1.0} if likeliest in adapters else {}


def keep(probabilities: Mapping[str, float], adapters: Collection[str], only: Iterable[str]) -> dict[str, float]:
    """The probabilities with all adapters but those of `only` at zero and these scaled to the sum that all had."""
    kept = list(dict.fromkeys(only))
    check_names(kept, adapters)
    if not kept:
        raise InvalidRequest(f"'only' is empty; name at least one of {', '.join(adapters) or '(this model has none)'}.")
    total = sum(probabilities.get(name, 0.0) for name in adapters)
    share = sum(probabilities.get(name, 0.0) for name in kept)
    result = {name: 0.0 if name in adapters else value for name, value in probabilities.items()}
    for name in kept:
        # An estimator so sure that the kept ones vanish leaves no ratio to keep, hence equal parts.
        result[name] = total * probabilities.get(name, 0.0) / share if share > 0 else total / len(kept)
    return result


def check_weights(weights: Mapping[str, float], adapters: Collection[str]) -> dict[str, float]:
    """Weights given by hand, used as they are.

    Raises:
        InvalidRequest: an unknown name, or a weight that is negative or no finite number.
    """
    check_names(weights, adapters)
    for name, weight in weights.items():
        if not math.isfinite(weight) or weight < 0:
            raise InvalidRequest(f"The weight of {name!r} is {weight}, expected a number from 0.")
    return {name: float(weight) for name, weight in weights.items() if weight}


def check_names(names: Iterable[str], adapters: Collection[str]) -> None:
    """Raises InvalidRequest for a name without an adapter."""
    if unknown := [name for name in names if name not in adapters]:
        known = ", ".join(adapters) or "none"
        raise InvalidRequest(f"This model cannot undo {', '.join(map(repr, unknown))}; it has: {known}.")
