"""Blending adapters into base weights: W + sum_i w_i change_i. Products are blended, never factors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unveil.errors import InvalidModel, InvalidRequest

if TYPE_CHECKING:
    from unveil.models.file import Adapter

FORMS = (
    frozenset({"down", "up"}),
    frozenset({"down", "up", "scale"}),
    frozenset({"delta"}),
    frozenset({"lora_a", "lora_b"}),
)


def change(
    factors: Mapping[str, NDArray[Any]], shape: tuple[int, ...], alpha: float, rank: int, *, weight: float = 1.0
) -> NDArray[np.float32]:
    """What one adapter at this weight adds to one base weight of this shape, in float32; an array of its own.

    The forms are those of docs/reference/model-file.md: `down`/`up` for dense and 1x1 layers, `down`/`up` with a
    spatial `down` for k x k layers, either of them with a `scale`, `delta`, and loralib's `lora_a`/`lora_b`.

    Raises:
        InvalidModel: the factors are of no known form, or do not fit the shape or the rank.
    """
    check_factors(factors, shape, rank)
    arrays = plain(factors)
    if "delta" in arrays:
        return np.multiply(arrays["delta"], weight, dtype=np.float32).reshape(shape)
    left, right = ("lora_b", "lora_a") if "lora_a" in arrays else ("up", "down")
    # A factor is scaled, which is smaller than the product.
    scaled = np.multiply(arrays[left], weight * alpha / rank, dtype=np.float32)
    return (scaled @ arrays[right].reshape(len(arrays[right]), -1)).reshape(shape)


def plain(factors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """Factors in float32, and without a `scale`: that is shared out between `up` and `down`, its root to each."""
    arrays = {name: np.asarray(factor, dtype=np.float32) for name, factor in factors.items()}
    if "scale" in arrays:
        root = np.sqrt(arrays.pop("scale"))
        arrays["up"] = arrays["up"] * root
        arrays["down"] = arrays["down"] * root.reshape(-1, *(1,) * (arrays["down"].ndim - 1))
    return arrays


def check_factors(factors: Mapping[str, NDArray[Any]], shape: tuple[int, ...], rank: int) -> None:
    """Compare the shapes of factors with those that a base weight of this shape asks for.

    Raises:
        InvalidModel: with the shapes found and the shapes expected.
    """
    if frozenset(factors) not in FORMS:
        raise InvalidModel(
            f"factors {sorted(factors)} are of no known form, expected down and up, with or without scale, delta, or "
            "lora_a and lora_b"
        )
    if "scale" in factors and not (factors["scale"] >= 0).all():
        raise InvalidModel("a scale below 0; the file is damaged")
    whole = [name for name, factor in factors.items() if factor.dtype == np.int8]
    if whole and ("scale" not in factors or "scale" in whole):
        raise InvalidModel(f"{', '.join(whole)} in whole numbers (int8), but no scale in floating point beside them")
    expected = _expected(factors, shape, rank)
    found = {name: tuple(factor.shape) for name, factor in factors.items()}
    if found != expected:
        raise InvalidModel(f"factors of shapes {found} do not fit a weight of shape {shape} at rank {rank}")


def _expected(factors: Mapping[str, NDArray[Any]], shape: tuple[int, ...], rank: int) -> dict[str, tuple[int, ...]]:
    """The shapes that the factors must have; empty where this form cannot serve this weight."""
    if "delta" in factors:
        return {"delta": shape}
    if "lora_a" in factors:
        if len(shape) != 4 or shape[2] != shape[3]:
            return {}
        side = shape[2]
        # The groups of a convolution cannot be seen in its weight, so the width of lora_a tells the number of inputs.
        inputs, rest = divmod(factors["lora_a"].shape[-1], side) if factors["lora_a"].ndim == 2 else (0, 1)
        groups, uneven = divmod(inputs, shape[1])
        if rest or uneven or groups < 1 or shape[0] % groups:
            return {}
        return {"lora_a": (rank * side, inputs * side), "lora_b": (shape[0] // groups * side, rank * side)}
    scale = {"scale": (rank,)} if "scale" in factors else {}
    if len(shape) == 2 or (len(shape) == 4 and shape[2:] == (1, 1) and factors["down"].ndim == 2):
        return {"down": (rank, shape[1]), "up": (shape[0], rank), **scale}
    if len(shape) == 4:
        return {"down": (rank, *shape[1:]), "up": (shape[0], rank), **scale}
    return {}


def blend(
    base: Mapping[str, NDArray[Any]],
    adapters: Mapping[str, Adapter],
    weights: Mapping[str, float],
) -> dict[str, NDArray[np.float32]]:
    """The base weights with every adapter added at its weight, in float32.

    Arrays of the base that no adapter touches and that are float32 already are shared, not copied; the base is never
    written to. A weight of zero costs nothing.

    Raises:
        InvalidRequest: a weight for an adapter that does not exist, or one that is not a finite number.
    """
    check_weights(weights, adapters)
    blended = {name: np.asarray(array, dtype=np.float32) for name, array in base.items()}
    for degradation, weight in weights.items():
        if weight == 0:
            continue
        adapter = adapters[degradation]
        for name, factors in adapter.factors.items():
            array = blended[name]
            added = change(factors, array.shape, adapter.alpha, adapter.rank, weight=weight)
            blended[name] = np.add(array, added, out=added)
    return blended


def check_weights(weights: Mapping[str, float], adapters: Mapping[str, Adapter]) -> None:
    """Raises InvalidRequest for a weight of an adapter that does not exist, or one that is not a finite number."""
    for degradation, weight in weights.items():
        if degradation not in adapters:
            known = ", ".join(adapters) or "none"
            raise InvalidRequest(f"No adapter is called {degradation!r}; this model has: {known}.")
        if not math.isfinite(weight):
            raise InvalidRequest(f"The weight of {degradation!r} is {weight}, expected a finite number.")
