"""How a prompt steers a network (MiOIR): it is summarised, and scales and shifts features at the network's sites.

A form of another network is a subclass that names it; all it needs is `sites`:

    class ConvAP(AdaptiveNetwork):
        backbone = Conv
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.networks.base import CodedNetwork, Mismatch, Modulation, Naming, Network, Shapes, leave

LENGTH = 64
"""How many numbers an extractor gives."""

EXTRACTOR = re.compile(r"F_ext_net\d*\.conv1\.weight$")


class Modulated(Protocol):
    """What a backbone is: a `Network` with `sites`, names and channels, that `encode` and `decode` modulate."""

    sites: dict[str, int]

    def encode(self, image: Tensor, modulate: Modulation = leave) -> Tensor: ...

    def decode(self, features: Tensor, image: Tensor, modulate: Modulation = leave) -> Tensor: ...


class Extractor(nn.Module):
    """What a prompt says (F_ext): three convolutions of stride 2, each with a ReLU, and the mean over all pixels.

    The padding is 1 before the 7x7 convolution too, as published.

    Shapes: `B channels H W` -> `B 64`; sides of at least 5.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, LENGTH, 7, stride=2, padding=1)
        self.conv2 = nn.Conv2d(LENGTH, LENGTH, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(LENGTH, LENGTH, 3, stride=2, padding=1)

    def forward(self, prompt: Tensor) -> Tensor:
        x = F.relu(self.conv1(prompt))
        x = F.relu(self.conv2(x))
        return F.relu(self.conv3(x)).mean((2, 3))


class PromptedNetwork(CodedNetwork):
    """A network under a prompt: what the explicit and the adaptive form share.

    Its code is what the extractors say, one after the other. With scales and shifts at zero, it is the plain network,
    whose weights fit `trunk`.

    Args:
        sizes: arguments of the backbone.
    """

    backbone: ClassVar[type[Network]]
    """The plain network; it must be `Modulated`."""

    wiring: ClassVar[Mapping[str, int]] = {}
    """Site -> number of the extractor that steers it. Sites that are not named have the first."""

    channels: ClassVar[int]
    """Of the prompt."""

    def __init__(self, **sizes: Any) -> None:
        super().__init__()
        self.trunk = self.backbone(**sizes)
        self.size_multiple, self.features = self.trunk.size_multiple, self.trunk.features
        self.square, self.filling = self.trunk.square, self.trunk.filling
        extractors = 1 + max(self.wiring.values(), default=0)
        self.code = LENGTH * extractors
        self.extractors = nn.ModuleList(Extractor(self.channels) for _ in range(extractors))
        sites = self._modulated().sites
        self.scale = nn.ModuleDict({_key(site): nn.Linear(LENGTH, channels) for site, channels in sites.items()})
        self.shift = nn.ModuleDict({_key(site): nn.Linear(LENGTH, channels) for site, channels in sites.items()})

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        if any(EXTRACTOR.match(name) and shape[1] != cls.channels for name, shape in shapes.items()):
            raise Mismatch("the prompts are those of the other form")
        return cls.backbone.read_sizes(shapes)

    def steer(self, code: Tensor) -> Modulation:
        """What a code does at the sites: `f * (1 + scale) + shift`, both linear in what the site's extractor says."""

        def modulate(site: str, x: Tensor) -> Tensor:
            first = LENGTH * self.wiring.get(site, 0)
            said = code[:, first : first + LENGTH]
            scale, shift = self.scale[_key(site)](said), self.shift[_key(site)](said)
            return x * (1 + scale)[..., None, None] + shift[..., None, None]

        return modulate

    def restore(self, image: Tensor, code: Tensor) -> Tensor:
        trunk, modulate = self._modulated(), self.steer(code)
        return trunk.decode(trunk.encode(image, modulate), image, modulate)

    def _modulated(self) -> Modulated:
        trunk: Any = self.trunk
        return trunk


class ExplicitNetwork(PromptedNetwork):
    """A network under prompts that are given: noise that is drawn once for each task and never changes.

    Shapes: `B 3 H W` and prompts `B 128 128`, 0..1, to `B 3 H W`; any picture size. One prompt serves a whole batch.
    """

    channels = 1
    prompt_side = 128

    # The prompt takes the place of the picture here: nothing is read off the picture.
    def summarise(self, prompt: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The code of prompts: `B 128 128` -> `B code`."""
        return torch.cat([extractor(prompt[:, None]) for extractor in self.extractors], 1)

    def forward(self, image: Tensor, prompt: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        fit = self.fit(image)
        return fit.cut(self.restore(fit.extend(image), self.summarise(prompt)))


class AdaptiveNetwork(PromptedNetwork):
    """A network under a prompt that is the degraded picture itself, extended to a fitting size as published.

    Shapes: `B 3 H W` -> `B 3 H W`, any size.
    """

    channels = 3

    def summarise(self, image: Tensor) -> Tensor:
        return torch.cat([extractor(image) for extractor in self.extractors], 1)

    def encode(self, image: Tensor) -> Tensor:
        """Features that feed the output convolution, under the picture's own code."""
        return self._modulated().encode(image, self.steer(self.summarise(image)))

    def decode(self, features: Tensor, image: Tensor) -> Tensor:
        """Turn the features of `encode` into the restored picture, under the picture's own code."""
        return self._modulated().decode(features, image, self.steer(self.summarise(image)))


def official_names(sites: Mapping[str, str], *others: tuple[str, Any], numbered: bool) -> Naming:
    """The `naming` of a published form.

    Args:
        sites: the site -> the end of the official name of its layers (`hr` of `prompt_scalehr`).
        others: patterns of the form that come first.
        numbered: whether the official extractors have numbers, from 1.
    """
    return (
        *others,
        (r"^extractors\.(\d+)\.", lambda found: f"F_ext_net{int(found[1]) + 1 if numbered else ''}."),
        *((rf"^(scale|shift)\.{_key(site)}\.", rf"prompt_\g<1>{end}.") for site, end in sites.items()),
        (r"^trunk\.", ""),
    )


def _key(site: str) -> str:
    """A site as the name of a module, which may have no dots."""
    return site.replace(".", "_")
