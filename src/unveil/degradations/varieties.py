"""More than one way to draw a phenomenon, for whoever must recognise it however it comes."""

from __future__ import annotations

import torch
from torch import Tensor

from unveil.degradations import DEGRADATIONS, Blur, Dark, Degradation, Haze, Jpeg, Rain, Snow
from unveil.degradations.shake import Shake

VARIETIES: dict[str, tuple[Degradation, ...]] = {
    **{name: (degradation,) for name, degradation in DEGRADATIONS.items()},
    # Round and soft, what an enlarged picture is most easily taken for, or perfectly round: without
    # that, what is the same in all directions passed for enlarged. And turning, in linear light, twice as often:
    # what cameras blur by moving is the larger part, and the harder one.
    "blur": (
        Blur(),
        Blur(motion=0.2, gaussian=0.7, disc=0.1, stretch=0.85),
        Blur(motion=0.0, gaussian=0.8, disc=0.2, stretch=1.0),
        Shake(),
        Shake(),
    ),
    # Fine, faint and dense; and few, long and bright streaks.
    "rain": (
        Rain(),
        Rain(length=(5.0, 26.0), width=(0.7, 1.5), opacity=(0.3, 0.8), downpour=0.15),
        Rain(length=(18.0, 60.0), width=(0.9, 2.2), opacity=(0.45, 1.0), downpour=0.0),
        # A deluge: light of long streaks in five layers, each with a direction of its own (as Rain100H is described).
        Rain(
            additive=1.0,
            downpour=0.0,
            layers=5,
            fan=0.3,
            length=(25.0, 60.0),
            width=(0.8, 2.8),
            opacity=(0.4, 0.9),
            densest=1.3,
        ),
    ),
    "haze": (Haze(), Haze(guided=0.7, flat=0.3)),
    "dark": (Dark(), Dark(noise=0.0)),
    # Parts of pictures, and, twice as often, whole files: there the blocks begin where a network's own grid does, tile
    # after tile (`unveil.restoration.tiles`), so that it may learn where to expect them.
    "jpeg": (Jpeg(), Jpeg(aligned=True), Jpeg(aligned=True)),
    # Flakes mostly of one size, and no veil: seen against a clear background.
    "snow": (Snow(), Snow(softness=2.5), Snow(softness=1.5, veil=0.0, unevenness=6.0)),
}
"""Every degradation's generators, the one of `DEGRADATIONS` first."""


def degrade_plainly(name: str, images: Tensor, severity: Tensor, generator: torch.Generator) -> Tensor:
    """Every sample by the generator of `DEGRADATIONS`; arguments as of `degrade_variously`."""
    return DEGRADATIONS[name](images, severity.to(images.device), generator)


def degrade_variously(name: str, images: Tensor, severity: Tensor, generator: torch.Generator) -> Tensor:
    """Every sample by one of the generators of its degradation, drawn evenly.

    Args:
        name: identifier in the table.
        images: B 3 H W, 0..1.
        severity: (B,).
        generator: of all randomness, on the CPU.
    """
    kinds = VARIETIES[name]
    if len(kinds) == 1:
        return kinds[0](images, severity.to(images.device), generator)
    variety = torch.randint(0, len(kinds), (len(images),), generator=generator)
    degraded = images.clone()
    for number, degradation in enumerate(kinds):
        mine = torch.nonzero(variety == number)[:, 0]
        if len(mine):
            here = mine.to(images.device)
            degraded[here] = degradation(images[here], severity[mine].to(images.device), generator)
    return degraded
