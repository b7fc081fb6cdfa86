"""Several degradations on one picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unveil.degradations import DEGRADATIONS
from unveil.errors import InvalidRequest

# What happens in the scene, then in the lens, then in the sensor, then in the file.
ORDER = ("rain", "snow", "haze", "dark", "blur", "lowres", "noise", "bits", "jpeg")


def compose(
    images: Tensor, names: Sequence[str], severities: Sequence[Tensor | float], generator: torch.Generator
) -> Tensor:
    """Apply several degradations in the order in which they happen to a photograph: scene, camera, file.

    Args:
        images: B C H W, float, 0..1.
        names: identifiers of degradations, each once, in any order; the order does not change the result.
        severities: one for each name: a number, or (B,).
        generator: the source of chance.

    Returns:
        B C H W, float32, 0..1, not rounded to 8 bits (see `quantise`).

    Raises:
        InvalidRequest: for an unknown or repeated name, or when names and severities differ in number.
    """
    unknown = [name for name in names if name not in DEGRADATIONS]
    if unknown:
        raise InvalidRequest(f"found degradation {unknown[0]!r}, expected one of {', '.join(DEGRADATIONS)}")
    if len(set(names)) != len(names):
        raise InvalidRequest(f"found {', '.join(names)}, expected each degradation once; leave out the repeated one")
    if len(names) != len(severities):
        raise InvalidRequest(f"found {len(severities)} severities for {len(names)} degradations, expected one for each")
    wanted = dict(zip(names, severities, strict=True))
    for name in ORDER:
        if name in wanted:
            images = DEGRADATIONS[name](images, wanted[name], generator)
    return images
