"""Networks that are open: one a role, blend and shape of tile, made when first asked for, the ones used last kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property
from threading import RLock
from typing import Any

from numpy.typing import NDArray

from unveil.engines import Engine, Network
from unveil.models import Merging, Model

# The shipped network keeps some 250 MB once it has run on a full tile. Its blends may share them (`engines.onnx`), but
# in other engines, and for other shapes, each has its own; folders of photographs rarely alternate between more.
SESSIONS = 4

ON_TILES = ("restore", "map")
"""Roles whose networks are large and made for one shape; the others are needed for every picture, and stay."""


class Sessions:
    """The open networks of one model.

    Args:
        model: whose graphs and weights they have.
        engine: what opens them.
        most: networks that run on tiles to keep.
    """

    def __init__(self, model: Model, engine: Engine, most: int = SESSIONS) -> None:
        self.model, self.engine, self.most = model, engine, most
        self._open: OrderedDict[tuple[Any, ...], Network] = OrderedDict()
        self._lock = RLock()

    def __len__(self) -> int:
        return len(self._open)

    def open(
        self,
        role: str,
        *,
        weights: Mapping[str, float] | None = None,
        dimensions: Mapping[str, int] | None = None,
    ) -> Network:
        """The network of a role, for a blend of adapters and fixed sizes of the inputs.

        Raises:
            EngineError: it cannot be opened; OutOfMemory where that was the reason.
        """
        weights, dimensions = weights or {}, dimensions or {}
        key = (role, *sorted(weights.items()), *dimensions.values())
        with self._lock:
            if key in self._open:
                self._open.move_to_end(key)
                return self._open[key]
            network = self._open[key] = self.engine.open(self.model, role, self._arrays(role, weights), dimensions)
            self.keep(self.most)
            return network

    def keep(self, count: int) -> None:
        """Close all networks that run on tiles but so many, the ones used last, for their memory."""
        with self._lock:
            running = [entry for entry in self._open if entry[0] in ON_TILES]
            for entry in running[: max(len(running) - count, 0)]:
                del self._open[entry]

    def _arrays(self, role: str, weights: Mapping[str, float]) -> Mapping[str, NDArray[Any]]:
        own: Mapping[str, NDArray[Any]] = self.model.weights.get(role, {})
        match role:
            case "restore":
                return self._merging(weights)
            case "map":
                # Its network is the base with a head of its own.
                return {**self._merging.base, **own}
            case "encode":
                # So may be its network, where codes are what the base itself takes of the whole picture.
                return {**self._merging(weights), **own}
            case _:
                return own

    @cached_property
    def _merging(self) -> Merging:
        """The base in float32, converted once, and what every blend of it has in common."""
        return Merging(self.model.weights["restore"], self.model.adapters)
