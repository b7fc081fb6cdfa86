"""Networks with global statistics, for tiles: what a layer takes of the whole picture is gathered first.

NAFNet scales channels by their mean over all pixels, Restormer weighs channels by products over all pixels. On a tile
both are other numbers than on the whole picture, and tiles do not agree with each other. All of them are means over
pixels, so they can be a code (`CodedNetwork`): a first pass gathers every layer's means over the parts of the picture,
a second one restores each tile under them, and costs less than the first, since it need not compute them.

The first pass sees each part under that part's own means, so what the deeper layers give is not exactly what they would
give on the picture in one piece (docs/performance.md has how near it is). Of a picture of one part it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor

from unveil.networks.base import CodedNetwork, Network
from unveil.networks.layers import Whole


class Gathering(CodedNetwork):
    """Mixed into a network's class: its layers' statistics of the whole picture, one after the other, are the code."""

    @property
    def code(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Length of the code."""
        if "_length" not in self.__dict__:
            like = next(self.parameters())
            image = torch.zeros(1, 3, self.size_multiple, self.size_multiple, dtype=like.dtype, device=like.device)
            with torch.no_grad():
                self.__dict__["_length"] = self.summarise(image).shape[1]
        return self.__dict__["_length"]

    def summarise(self, image: Tensor) -> Tensor:
        found: list[Tensor] = []

        def note(total: Tensor, pixels: int) -> Tensor:
            found.append((total / pixels).flatten(1))
            return total

        with self._listening(note):
            self.encode(image)
        return torch.cat(found, 1)

    def restore(self, image: Tensor, code: Tensor) -> Tensor:
        start = 0

        def tell(total: Tensor, pixels: int) -> Tensor:
            nonlocal start
            end = start + total[0].numel()
            mean, start = code[:, start:end].reshape(-1, *total.shape[1:]), end
            return mean * pixels

        with self._listening(tell):
            return self.decode(self.encode(image), image)

    @contextmanager
    def _listening(self, listener: Callable[[Tensor, int], Tensor]) -> Iterator[None]:
        sites = _sites(self)
        for site in sites:
            site.listener = listener
        try:
            yield
        finally:
            for site in sites:
                site.listener = None


def _sites(network: Network) -> list[Whole]:
    """Where a network takes something of the whole picture."""
    found = (getattr(module, "whole", None) for module in network.modules())
    return [site for site in found if isinstance(site, Whole)]


def gathered(network: Network) -> Gathering:
    """The same network, its statistics of the whole picture gathered beforehand; changed in place.

    Raises:
        ValueError: it has none, or not all of what it takes of the whole picture are means.
    """
    kind = type(network)
    if isinstance(network, CodedNetwork) or not kind.gatherable or not _sites(network):
        raise ValueError(
            f"a {kind.__name__} of this form takes no means of the whole picture, or more than means; they can be "
            "gathered for NAFNet, FastNAF with attention, Restormer and X-Restormer"
        )
    network.__class__ = type(f"Gathering{kind.__name__}", (Gathering, kind), {})
    return cast("Gathering", network)
