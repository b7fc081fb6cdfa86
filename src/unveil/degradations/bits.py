"""Few grey levels: smooth tones break into bands."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from unveil.degradations.base import Degradation, Shape, spread, uniform
from unveil.errors import InvalidRequest


class Bits(Degradation):
    """Keep the highest bits of 8. ABAIR gives no formula; ours.

    Two ways of losing the others: cut off (`16 * floor(x / 16)` for 4 bits, which darkens), or rounding to the nearest
    of as many levels spread from black to white.

    Args:
        cut: share of samples whose bits are cut off rather than rounded.
    """

    name = "bits"
    printed = "few grey levels"
    severity_note = "bits kept = 8 - ceil(5 s): 7 up to s = 0.2, 3 above 0.8"
    typical = (0.21, 1.0)

    def __init__(self, cut: float = 0.5) -> None:
        self.cut = cut

    @staticmethod
    def severity_of(bits: int) -> float:
        """A severity that keeps this many bits, 3 to 7; 8 gives the identity."""
        if not 3 <= bits <= 8:
            raise InvalidRequest(f"bits: found {bits} bits to keep, expected 3 to 8")
        return max(0.0, (8 - bits) / 5 - 0.1)

    def draw(self, shape: Shape, severity: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"is_cut": uniform(shape[:1], generator) < self.cut}

    def degrade(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        is_cut = drawn["is_cut"]
        # The small step down keeps 0.2, 0.4, ... on their own side, whatever their float32 is.
        lost = (severity * 5 - 1e-4).ceil()
        step, tops = torch.exp2(lost), torch.exp2(8 - lost) - 1
        # Cut: floor(level / step) * step / 255, with level a whole number. Rounded: floor(J * tops + 1/2) / tops.
        before = spread(torch.where(is_cut, 1 / step, tops / 255))
        nudge = spread(torch.where(is_cut, 0.5 / step, 0.5))
        after = spread(torch.where(is_cut, step / 255, 1 / tops))
        levels = (images * 255).round_()
        kept = torch.where(spread(is_cut), levels, images * 255)
        return kept.mul_(before).add_(nudge).floor_().mul_(after)
