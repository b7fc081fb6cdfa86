"""Low resolution: the picture had been made smaller and was enlarged again, its size unchanged."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from unveil.degradations.base import Degradation, Shape, uniform
from unveil.errors import InvalidRequest

LARGEST = 4.0
SHRINKING = ("bicubic", "area", "nearest")
ENLARGING = ("bicubic", "bilinear", "nearest")


class LowRes(Degradation):
    """`I = enlarge(shrink(J))`: fewer pixels, and back to the size that the picture had. ABAIR has no such task; ours.

    Shrunk without aliasing (bicubic, or the mean of an area) or by leaving pixels out; enlarged bicubic, bilinear, or
    by repeating pixels.

    Args:
        shrinking: shares of bicubic, area, nearest.
        enlarging: shares of bicubic, bilinear, nearest.
    """

    name = "lowres"
    printed = "low resolution"
    severity_note = "sides were divided by 1 + 3 s: by 2 at s = 1/3, by 4 at 1"
    typical = (0.2, 1.0)

    def __init__(
        self,
        *,
        shrinking: tuple[float, float, float] = (0.5, 0.35, 0.15),
        enlarging: tuple[float, float, float] = (0.6, 0.25, 0.15),
    ) -> None:
        for shares in (shrinking, enlarging):
            if min(shares) < 0 or sum(shares) <= 0:
                raise InvalidRequest(f"lowres: found shares {shares}, expected none negative and not all 0")
        self.shrinking = torch.tensor(shrinking)
        self.enlarging = torch.tensor(enlarging)

    @staticmethod
    def severity_of(factor: float) -> float:
        """The severity at which a side has had so many times fewer pixels, 1 to 4."""
        if not 1 <= factor <= LARGEST:
            raise InvalidRequest(f"lowres: found factor {factor}, expected 1 to {LARGEST:g}")
        return (factor - 1) / (LARGEST - 1)

    def draw(self, shape: Shape, severity: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {
            "shrinking": _kinds(self.shrinking, uniform(shape[:1], generator)),
            "enlarging": _kinds(self.enlarging, uniform(shape[:1], generator)),
        }

    def degrade(self, images: Tensor, severity: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
        height, width = images.shape[-2:]
        factors = (1 + (LARGEST - 1) * severity).tolist()
        kinds = zip(drawn["shrinking"].tolist(), drawn["enlarging"].tolist(), strict=True)
        # Every sample has a size of its own.
        degraded = torch.empty_like(images, memory_format=torch.contiguous_format)
        for sample, (factor, (down, up)) in enumerate(zip(factors, kinds, strict=True)):
            small = max(1, round(height / factor)), max(1, round(width / factor))
            shrunk = _resized(images[sample : sample + 1], small, SHRINKING[down])
            # What is kept has been a file, without colours beyond black and white.
            degraded[sample] = _resized(shrunk.clamp_(0, 1), (height, width), ENLARGING[up])[0]
        return degraded


def _resized(image: Tensor, size: tuple[int, int], kind: str) -> Tensor:
    match kind:
        case "nearest":
            return functional.interpolate(image, size, mode="nearest-exact")
        case "area":
            return functional.interpolate(image, size, mode="area")
        case _:
            return functional.interpolate(image, size, mode=kind, align_corners=False, antialias=True)


def _kinds(shares: Tensor, drawn: Tensor) -> Tensor:
    """Numbers in 0..1 to indices, as often as their shares are large."""
    limits = (shares / shares.sum()).cumsum(0)[:-1].to(drawn.device)
    return torch.bucketize(drawn, limits, right=True)
