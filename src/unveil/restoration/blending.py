"""Rules that turn the probabilities of a diagnosis into weights of adapters (ABAIR, Phase III).

OH, SW, the sum and the average of all adapters are the paper's; `auto`, `topk`, `threshold` and `oracle` are ours.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from unveil.errors import InvalidRequest
from unveil.models.card import CLEAN

# Finer differences cannot be seen in a picture, and pictures of one kind then share a session.
DIGITS = 3

SURE = 0.9
"""The probability above which `auto` takes the likeliest adapter alone."""

RULES = {
    "sw": "every adapter at the probability of its degradation",
    "oh": "the adapter of the likeliest class alone",
    "auto": f"oh where a class is likelier than {SURE}, else sw",
    "topk:2": "the two likeliest adapters, scaled to what all of them had; any number",
    "threshold:0.02": "adapters below 0.02 are left out, the others scaled to what all of them had; any share",
    "oracle:rain": "the adapter of the degradation that is named, without a diagnosis; oracle:clean is the base",
    "sum": "all adapters at 1, without a diagnosis",
    "average": "all adapters at one part of their number, without a diagnosis",
    "none": "no adapter: the base network alone",
}
"""Every rule as it is written, and what it gives."""

BLIND = ("oracle", "sum", "average")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was read: its name and what followed the colon, a number or the name of a degradation."""

    name: str
    number: float = 0.0
    degradation: str = ""

    @property
    def is_blind(self) -> bool:
        """Whether it says what to do without a diagnosis."""
        return self.name in BLIND


def read_rule(text: str) -> Rule:
    """A rule from its text: `sw`, `topk:2`, `threshold:0.02`, `oracle:rain`, ...

    Raises:
        InvalidRequest: there is no such rule, or its number is missing or out of range.
    """
    name, colon, value = (part.strip() for part in text.partition(":"))
    if name == "oracle" and value:
        return Rule(name, degradation=value)
    if name in ("topk", "threshold"):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if name == "topk" and not (number >= 1 and number.is_integer()):
            raise InvalidRequest(f"The rule {text!r} wants how many adapters to keep, such as topk:2.")
        if name == "threshold" and not 0 <= number <= 1:
            raise InvalidRequest(f"The rule {text!r} wants a probability from 0 to 1, such as threshold:0.02.")
        return Rule(name, number)
    if text in RULES and not colon:
        return Rule(name)
    raise InvalidRequest(f"No blending rule is called {text!r}; known are {', '.join(RULES)}.")


def weigh(
    rule: str, probabilities: Mapping[str, float], adapters: Collection[str], *, only: Iterable[str] | None = None
) -> dict[str, float]:
    """The weights of adapters that a rule gives; adapters of weight zero are left out.

    Args:
        rule: one of `RULES`.
        probabilities: of all classes of the estimator; rules that need no diagnosis do not look at them.
        adapters: the degradations that have an adapter. `clean` has none, so weights may sum to less than one. An
            adapter whose degradation the estimator does not know gets no weight, unless `only` names it.
        only: keep these adapters, scaled to the sum that all adapters had.

    Raises:
        InvalidRequest: an unknown rule, or a name in the rule or in `only` that has no adapter.
    """
    wanted = read_rule(rule)
    if only is not None:
        kept = list(dict.fromkeys(only))
        probabilities = keep(probabilities, adapters, kept)
        adapters = kept
    match wanted.name:
        case "sw":
            weights = sw(probabilities, adapters)
        case "oh":
            weights = oh(probabilities, adapters)
        case "auto":
            sure = max(probabilities.values()) > SURE
            weights = oh(probabilities, adapters) if sure else sw(probabilities, adapters)
        case "topk":
            ranked = sorted(sw(probabilities, adapters).items(), key=lambda entry: -entry[1])
            weights = _scaled(dict(ranked[: int(wanted.number)]), math.fsum(weight for _, weight in ranked))
        case "threshold":
            all_weights = sw(probabilities, adapters)
            large = {name: weight for name, weight in all_weights.items() if weight >= wanted.number}
            weights = _scaled(large, math.fsum(all_weights.values()))
        case "oracle":
            weights = oracle(wanted.degradation, adapters)
        case "sum":
            weights = dict.fromkeys(adapters, 1.0)
        case "average":
            weights = dict.fromkeys(adapters, 1 / max(len(adapters), 1))
        case _:
            weights = {}
    rounded = {name: round(weight, DIGITS) for name, weight in weights.items()}
    return {name: weight for name, weight in rounded.items() if weight}


def sw(probabilities: Mapping[str, float], adapters: Collection[str]) -> dict[str, float]:
    """Softmax-weighted: every adapter at the probability of its degradation."""
    return {name: probabilities[name] for name in adapters if name in probabilities}


def oh(probabilities: Mapping[str, float], adapters: Collection[str]) -> dict[str, float]:
    """One-hot: the adapter of the likeliest class alone; none if that class has no adapter."""
    likeliest = max(probabilities, key=lambda name: probabilities[name])
    return {likeliest: 1.0} if likeliest in adapters else {}


def whole(weights: Mapping[str, float], classes: Collection[str]) -> dict[str, float]:
    """The same weights, but a single one, of one of these classes, at 1.

    At a part of its weight an adapter leaves the base to do a part of what it does by itself, which is not nothing. An
    adapter that has learnt from pictures with ever less damage does the little that a faint one wants at its full
    weight.
    """
    return {name: 1.0 if len(weights) == 1 and name in classes else weight for name, weight in weights.items()}


def oracle(degradation: str, adapters: Collection[str]) -> dict[str, float]:
    """The adapter of a degradation that is known to be there; none for `clean`."""
    if degradation == CLEAN:
        return {}
    check_names([degradation], adapters)
    return {degradation: 1.0}


def _scaled(weights: Mapping[str, float], total: float) -> dict[str, float]:
    """Weights scaled to a sum, so that the share of `clean` stays what it was."""
    # Exact, so that the order of adapters changes nothing.
    share = math.fsum(weights.values())
    return {name: total * weight / share for name, weight in weights.items()} if share > 0 else {}


def keep(probabilities: Mapping[str, float], adapters: Collection[str], only: Iterable[str]) -> dict[str, float]:
    """The probabilities with all adapters but those of `only` at zero and these scaled to the sum that all had.

    One that the estimator does not know counts as certain: whoever names it knows that it is there.
    """
    kept = list(dict.fromkeys(only))
    check_names(kept, adapters)
    if not kept:
        raise InvalidRequest(f"'only' is empty; name at least one of {', '.join(adapters) or '(this model has none)'}.")
    total = sum(probabilities.get(name, 0.0) for name in adapters)
    known = [name for name in kept if name in probabilities]
    share = sum(probabilities[name] for name in known)
    result = {name: 0.0 if name in adapters else value for name, value in probabilities.items()}
    for name in kept:
        if name not in probabilities:
            result[name] = 1.0
        else:
            # An estimator so sure that the kept ones vanish leaves no ratio to keep, hence equal parts.
            result[name] = total * probabilities[name] / share if share > 0 else total / len(known)
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
