"""Looking again at what has been restored: one damage may have hidden another."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from unveil.models import Card
from unveil.models.card import CLEAN, TRACE
from unveil.restoration import blending, diagnosis
from unveil.restoration.diagnosis import Diagnosis

MOSTLY = 0.5
"""The weight from which a degradation counts as undone, and the probability from which a second look believes it."""


def usual(card: Card) -> int:
    """How often to look at most, where nobody says it."""
    return 2 if card.estimator and card.estimator.again else 1


def undone(blends: Sequence[Mapping[str, float]]) -> set[str]:
    """What counts as undone after these blends."""
    return {name for blend in blends for name, weight in blend.items() if weight >= MOSTLY}


def sought(card: Card, first: Diagnosis, done: Collection[str]) -> list[str]:
    """What to look for in a picture that has been restored.

    What the card says, as far as it has not been undone and had left a trace in the first diagnosis, as large as the
    card wants it. Nothing once the picture has been sharpened.
    """
    if card.estimator is None or diagnosis.SHARPENING & set(done):
        return []
    wanted = [name for name in card.estimator.again if name in card.degradations and name not in done]
    return [name for name in wanted if first.probabilities[name] >= card.estimator.trace.get(name, TRACE)]


def weigh(rule: str, found: Diagnosis, wanted: Collection[str]) -> dict[str, float]:
    """The weights of adapters after a later look; none unless the likeliest of all is among what was wanted."""
    if found.main not in wanted or found.probabilities[found.main] < MOSTLY:
        return {}
    seen = {name: share for name, share in found.probabilities.items() if name in wanted or name == CLEAN}
    return blending.weigh(rule, seen, wanted)
