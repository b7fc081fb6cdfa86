"""Where an encoder can get at a U-Net: found by watching one pass over a picture of no content."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unveil.errors import InvalidRequest
from unveil.networks.base import Network

SCALES = (2, 4, 8)
"""Of the encoder's three maps: sides are divided by these."""

DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Site:
    """A place in a network.

    Attributes:
        module: name of the submodule; features that enter it, or that leave it, are changed.
        scale: sides of the picture over those of the features.
        channels: of the features.
        last: whether channels are the last axis (`B H W C`).
    """

    module: str
    scale: int
    channels: int
    last: bool


@dataclass(frozen=True, slots=True)
class Sites:
    """Where the maps enter, coarsest last, and where the deepest level ends."""

    maps: tuple[Site, ...]
    bottleneck: Site


@dataclass(slots=True)
class _Visit:
    """One call of a submodule: what entered, what left, and the call it was part of."""

    module: str
    entered: Site | None
    left: Site | None
    within: _Visit | None


def find_sites(
    network: nn.Module, *, multiple: int, maps: Sequence[str] | None = None, bottleneck: str | None = None
) -> Sites:
    """The sites of a U-Net.

    A map enters in front of the first submodule that is given features of its size; the picture itself, reduced, does
    not count. The bottleneck is what leaves the last submodule that works at the lowest resolution.

    Args:
        network: takes `B 3 H W`, sides multiples of `multiple`.
        maps: names of submodules to use instead.
        bottleneck: name of a submodule to use instead.

    Raises:
        InvalidRequest: nothing is found at a half, a quarter or an eighth of the resolution, or a name does not fit.
    """
    visits = _watch(network, multiple)
    if maps is None:
        found = [_first(visits, scale) for scale in SCALES]
        places = tuple(site for site in found if site is not None)
        if not places:
            raise InvalidRequest(
                f"{type(network).__name__} has no features at 1/2, 1/4 or 1/8 of the picture's sides, so it is no U-Net"
                " that ConStyle could guide; name its sites if it has some that were not found"
            )
    else:
        places = tuple(sorted((_named(visits, name, SCALES) for name in maps), key=lambda site: site.scale))
    if bottleneck is None:
        return Sites(places, _deepest(visits) or places[-1])
    left = [visit.left for visit in visits if visit.module == bottleneck and visit.left]
    if not left:
        raise InvalidRequest(_unfit(visits, bottleneck))
    return Sites(places, left[0])


def _first(visits: Sequence[_Visit], scale: int) -> Site | None:
    for place, visit in enumerate(visits):
        site = visit.entered
        if site and site.scale == scale and site.channels != 3:
            # What no submodule has touched yet is the picture itself, unshuffled.
            if all(_is_within(visit, earlier) for earlier in visits[:place]):
                continue
            return site
    return None


def _deepest(visits: Sequence[_Visit]) -> Site | None:
    """What leaves the last submodule, not part of another such one, that works at the lowest resolution.

    It keeps the number of channels and is no part of one that enlarges.
    """
    working = [
        visit
        for visit in visits
        if visit.entered and visit.left and _alike(visit.entered, visit.left) and not _enlarges(visit.within)
    ]
    lowest = max((visit.left.scale for visit in working if visit.left), default=1)
    here = [visit for visit in working if visit.left and visit.left.scale == lowest and lowest > 1]
    outermost = [visit for visit in here if not any(_is_within(visit, other) for other in here if other is not visit)]
    return outermost[-1].left if outermost else None


def _alike(entered: Site, left: Site) -> bool:
    return (entered.scale, entered.channels) == (left.scale, left.channels)


def _enlarges(visit: _Visit | None) -> bool:
    """Whether a call, or one that it is part of, leaves features larger than they entered."""
    while visit is not None:
        if visit.entered and visit.left and visit.left.scale < visit.entered.scale:
            return True
        visit = visit.within
    return False


def _is_within(visit: _Visit, other: _Visit) -> bool:
    above = visit.within
    while above is not None:
        if above is other:
            return True
        above = above.within
    return False


def _named(visits: Sequence[_Visit], name: str, scales: Sequence[int]) -> Site:
    site = next((visit.entered for visit in visits if visit.module == name and visit.entered), None)
    if site is None or site.scale not in scales:
        raise InvalidRequest(_unfit(visits, name))
    return site


def _unfit(visits: Sequence[_Visit], name: str) -> str:
    known = [
        f"{visit.module} (1/{visit.entered.scale})"
        for visit in visits
        if visit.entered and visit.entered.scale > 1 and visit.within and visit.within.within is None
    ]
    return (
        f"{name!r} is no submodule whose features have 1/2, 1/4 or 1/8 of the picture's sides; found: "
        f"{', '.join(known) or 'none'}"
    )


def _watch(network: nn.Module, multiple: int) -> list[_Visit]:
    """All calls of submodules in one pass, in the order in which they begin."""
    # Twice as high as a step and three times as wide, so that no axis is mistaken for another.
    height, width = 2 * max(multiple, 32), 3 * max(multiple, 32)
    try:
        # On the device without memory, nothing is computed but shapes.
        return _recorded(deepcopy(network).to("meta"), torch.empty(1, 3, height, width, device="meta"))
    except Exception:
        device = next(network.parameters()).device
        return _recorded(deepcopy(network), torch.zeros(1, 3, height, width, device=device))


def _recorded(network: nn.Module, image: Tensor) -> list[_Visit]:
    height, width = int(image.shape[2]), int(image.shape[3])
    visits: list[_Visit] = []
    running: list[_Visit] = []

    def enter(name: str) -> Any:
        def hook(module: nn.Module, given: tuple[Any, ...]) -> None:
            site = _site(name, given[0], height, width) if given else None
            running.append(_Visit(name, site, None, running[-1] if running else None))
            visits.append(running[-1])

        return hook

    def leave(name: str) -> Any:
        def hook(module: nn.Module, given: tuple[Any, ...], result: Any) -> None:
            running.pop().left = _site(name, result, height, width)

        return hook

    for name, module in network.named_modules():
        module.register_forward_pre_hook(enter(name))
        module.register_forward_hook(leave(name))
    with torch.no_grad():
        network.eval()
        # Not the forward pass of a network of ours: that may extend the picture to a square.
        network.restore(image) if isinstance(network, Network) else network(image)
    return visits


def _site(name: str, features: Any, height: int, width: int) -> Site | None:
    """What features are, if they are a map of one picture."""
    if not name or not isinstance(features, Tensor) or features.ndim != 4 or features.shape[0] != 1:
        return None
    for last, (rows, columns, channels) in ((False, (2, 3, 1)), (True, (1, 2, 3))):
        down, across = int(features.shape[rows]), int(features.shape[columns])
        scale = height // max(down, 1)
        if 1 <= scale <= DEEPEST and (down * scale, across * scale) == (height, width):
            return Site(name, scale, int(features.shape[channels]), last)
    return None
