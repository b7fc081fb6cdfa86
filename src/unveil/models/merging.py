"""Merging adapters into a base again and again: `blend`, laid out so that hundreds of products become a few.

What takes time in a blend of a small network is not its arithmetic but the number of calls that ask for it. Weights
whose change is a product of the same shape lie behind one another here, so that all of them are one batched product,
in which the factors of several adapters stand side by side: `[w1 up1, w2 up2] @ [down1; down2]`. Changes that are no
products are one vector.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from unveil.errors import InvalidModel
from unveil.models.blend import blend, check_factors, check_weights, plain

if TYPE_CHECKING:
    from unveil.models.file import Adapter

Side: TypeAlias = tuple[int, int]
Factors: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]

DELTA: Side = (0, 0)
"""The place of changes that are no products: all in one vector."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Weights that are merged in one step: `base` is `count rows columns`, or the vector of all that are no products.

    `names` gives the weights in their order.
    """

    names: tuple[str, ...]
    base: NDArray[np.float32]


class Merging:
    """A base and its adapters, ready to be blended many times. What it gives is what `blend` gives, to rounding.

    Args:
        base: the base weights, float16 or float32; never written to.
        adapters: by their degradation. The factors of each are kept in float32 from its first use on.
    """

    def __init__(self, base: Mapping[str, NDArray[Any]], adapters: Mapping[str, Adapter]) -> None:
        self._adapters = adapters
        self.base = blend(base, {}, {})
        places = _places(self.base, adapters)
        self._stacks = {
            side: self._stack(side, tuple(name for name, place in places.items() if place == side))
            for side in sorted({place for place in places.values() if place is not None})
        }
        # Adapters do not agree on how these are changed.
        self._odd = frozenset(name for name, place in places.items() if place is None)
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._factors: dict[tuple[str, Side], Factors | None] = {}

    def __call__(self, weights: Mapping[str, float]) -> dict[str, NDArray[np.float32]]:
        """The base weights with every adapter added at its weight, in float32.

        Arrays that no adapter of any weight touches are those of `base`.

        Raises:
            InvalidRequest: a weight for an adapter that does not exist, or one that is not a finite number.
        """
        check_weights(weights, self._adapters)
        chosen = {name: weight for name, weight in weights.items() if weight != 0}
        merged = dict(self.base)
        for side, stack in self._stacks.items():
            added = self._vector(stack, chosen) if side == DELTA else self._product(side, stack, chosen)
            if added is not None:
                np.add(added, stack.base, out=added)
                merged |= self._apart(stack.names, added)
        if self._odd and chosen:
            merged |= blend({name: self.base[name] for name in self._odd}, self._only_odd(), chosen)
        return merged

    def _stack(self, side: Side, names: tuple[str, ...]) -> Stack:
        """Move weights of the base to where they lie behind one another."""
        arrays = [self.base[name].reshape(-1) for name in names]
        base = np.concatenate(arrays) if side == DELTA else np.stack(arrays).reshape(-1, *side)
        self.base |= self._apart(names, base)
        return Stack(names, base)

    def _apart(self, names: tuple[str, ...], stacked: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Views of the weights in a stack."""
        flat, at, found = stacked.reshape(-1), 0, dict[str, NDArray[np.float32]]()
        for name in names:
            array = self.base[name]
            found[name] = flat[at : at + array.size].reshape(array.shape)
            at += array.size
        return found

    def _vector(self, stack: Stack, weights: Mapping[str, float]) -> NDArray[np.float32] | None:
        total: NDArray[np.float32] | None = None
        for degradation, weight in weights.items():
            if degradation not in self._vectors:
                factors = self._adapters[degradation].factors
                parts = [
                    np.asarray(factors[name]["delta"], np.float32).reshape(-1)
                    if name in factors
                    else np.zeros(self.base[name].size, np.float32)
                    for name in stack.names
                ]
                self._vectors[degradation] = np.concatenate(parts)
            scaled = np.multiply(self._vectors[degradation], weight, dtype=np.float32)
            total = scaled if total is None else np.add(total, scaled, out=total)
        return total

    def _product(self, side: Side, stack: Stack, weights: Mapping[str, float]) -> NDArray[np.float32] | None:
        lefts: list[NDArray[np.float32]] = []
        rights: list[NDArray[np.float32]] = []
        for degradation, weight in weights.items():
            adapter = self._adapters[degradation]
            if (degradation, side) not in self._factors:
                self._factors[degradation, side] = _stacked(adapter, stack.names, side)
            if (factors := self._factors[degradation, side]) is None:
                continue
            # A factor is scaled, which is smaller than the product.
            lefts.append(np.multiply(factors[0], weight * adapter.alpha / adapter.rank, dtype=np.float32))
            rights.append(factors[1])
        if not lefts:
            return None
        return np.matmul(
            lefts[0] if len(lefts) == 1 else np.concatenate(lefts, 2),
            rights[0] if len(rights) == 1 else np.concatenate(rights, 1),
        )

    def _only_odd(self) -> dict[str, Adapter]:
        return {
            key: replace(adapter, factors={n: f for n, f in adapter.factors.items() if n in self._odd})
            for key, adapter in self._adapters.items()
        }


def _places(base: Mapping[str, NDArray[Any]], adapters: Mapping[str, Adapter]) -> dict[str, Side | None]:
    """Where each weight that any adapter changes is merged; None where adapters do not agree, or where one is unfit."""
    places: dict[str, Side | None] = {}
    for adapter in adapters.values():
        for name, factors in adapter.factors.items():
            side = _side(factors, base[name].shape, adapter.rank)
            places[name] = side if places.get(name, side) == side else None
    return places


def _side(factors: Mapping[str, NDArray[Any]], shape: tuple[int, ...], rank: int) -> Side | None:
    """Rows and columns of a change."""
    try:
        check_factors(factors, shape, rank)
    except InvalidModel:
        # `blend` complains of it, where it is used.
        return None
    if "delta" in factors:
        return DELTA
    left, right = _named(factors)
    return left.shape[0], math.prod(right.shape[1:])


def _named(factors: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The factors of a product in their order."""
    left, right = ("lora_b", "lora_a") if "lora_a" in factors else ("up", "down")
    return factors[left], factors[right]


def _stacked(adapter: Adapter, names: tuple[str, ...], side: Side) -> Factors | None:
    """An adapter's factors for the weights of a stack, `count rows rank` and `count rank columns`, in float32.

    Zeros for weights that it does not change; None where it changes none of them.
    """
    pairs = {name: _named(plain(adapter.factors[name])) for name in names if name in adapter.factors}
    if not pairs:
        return None
    inner = max(left.shape[1] for left, _ in pairs.values())
    lefts = np.zeros((len(names), side[0], inner), np.float32)
    rights = np.zeros((len(names), inner, side[1]), np.float32)
    for at, name in enumerate(names):
        if name in pairs:
            left, right = pairs[name]
            lefts[at, :, : left.shape[1]] = left
            rights[at, : len(right)] = right.reshape(len(right), -1)
    return lefts, rights
