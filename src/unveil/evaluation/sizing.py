"""What published protocols do to the size of a picture before it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unveil.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Sizing:
    """Both pictures are brought to sides that are multiples of `multiple`.

    `whole`: left as they are; whoever restores pads and cuts back. `centre`: cut around the middle (AirNet, PromptIR).
    `corner`: cut at the right and at the bottom (ConStyle v2). `padded`: reflected to the right and at the bottom, and
    measured so, with the reflection (ConStyle v1). `square`: the middle, `multiple` pixels high and wide (ours, for
    studies).
    """

    how: Literal["whole", "centre", "corner", "padded", "square"] = "whole"
    multiple: int = 1

    def __call__(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """H W 3 -> H W 3.

        Raises InvalidRequest for a picture that is too small.
        """
        height, width = picture.shape[:2]
        if self.how == "padded":
            margins = (0, -height % self.multiple), (0, -width % self.multiple), (0, 0)
            if min(height - margins[0][1], width - margins[1][1]) < 1:
                raise InvalidRequest(f"a picture of {height} x {width} cannot be reflected to {self.multiple}")
            return np.pad(picture, margins, mode="reflect")
        rows, columns = height - height % self.multiple, width - width % self.multiple
        if self.how == "square":
            rows, columns = min(rows, self.multiple), min(columns, self.multiple)
        if not rows or not columns:
            raise InvalidRequest(f"a picture of {height} x {width} is smaller than the {self.multiple} of its protocol")
        top, left = ((height - rows) // 2, (width - columns) // 2) if self.how in ("centre", "square") else (0, 0)
        return np.ascontiguousarray(picture[top : top + rows, left : left + columns])

    def __str__(self) -> str:
        if self.how == "whole":
            return "whole pictures"
        if self.how == "square":
            return f"the middle {self.multiple} x {self.multiple} pixels"
        verb = {"centre": "cut around the middle", "corner": "cut at the right and bottom", "padded": "padded"}[
            self.how
        ]
        return f"pictures {verb} to multiples of {self.multiple}"
