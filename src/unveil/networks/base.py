"""What every network is, and the one place where sizes are fitted.

A network restores pictures whose sides are multiples of its `size_multiple`. `Network.forward` takes any size: it
mirrors the picture outwards to such a size and cuts the result back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]
"""Tensor name -> shape: what is known of a state before a network is built."""

Modulation: TypeAlias = Callable[[str, Tensor], Tensor]
"""What may be done to features at a named site of a network: `B C H W` -> `B C' H W`."""

Naming: TypeAlias = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]
"""Patterns and what replaces them, as `re.sub` takes them."""


class Mismatch(Exception):
    """Raised by `Network.read_sizes` for shapes that the network cannot have."""


def leave(site: str, features: Tensor) -> Tensor:
    """The modulation that changes nothing."""
    return features


class Published(nn.Module):
    """A network of the table: built from sizes, and told by the tensor names of its official implementation."""

    naming: ClassVar[Naming] = ()
    """Patterns of our tensor names and what the official implementation calls them; applied in turn (`re.sub`). Empty
    where the names are the same."""

    superfluous: ClassVar[str] = r"(?!)"
    """Pattern of official tensors that the published forward pass never uses and that are dropped."""

    container: ClassVar[str] = "params"
    """Which weights the published tests load where a file holds trained (`params`) and averaged (`params_ema`) ones."""

    @classmethod
    def build(cls, **config: Any) -> Self:
        """The network with random weights."""
        return cls(**config)

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        """The arguments of the constructor, read from the shapes of an official state.

        Raises:
            Mismatch: the shapes are those of something else.
            KeyError: a tensor is missing that tells a size.
        """
        raise NotImplementedError

    def official(self, name: str) -> str:
        """What the official implementation calls one of our tensors."""
        for pattern, replacement in self.naming:
            name = re.sub(pattern, replacement, name)
        return name

    def geometry(self) -> dict[str, Tensor]:
        """Official buffers that follow from sizes alone: not needed here, but a strict load elsewhere asks for them."""
        return {}

    def idle(self) -> tuple[str, ...]:
        """Beginnings of the names of parameters that the published network has and never uses."""
        return ()


class Network(Published):
    """A restoration network: `B 3 H W`, 0..1, to the same shape, not clipped.

    `encode` gives the features that feed the output convolution and `decode` makes the picture of them, both for sides
    that are multiples of `size_multiple`, so that a head (ABAIR's segmentation) can be attached between them.
    """

    size_multiple: int
    """Sides must be multiples of this."""

    features: int
    """Channels of what `encode` gives."""

    code: int = 0
    """Length of the code that the network computes once per picture, 0 where it needs none (`CodedNetwork`)."""

    gatherable: ClassVar[bool] = False
    """Whether all that it takes of the whole picture are means over pixels (`unveil.networks.gathering`)."""

    span: int = 0
    """Side in pixels of the windows that it takes statistics of, 0 where it has none (`unveil.networks.locality`)."""

    step: int = 0
    """From one of these windows to the next: beginnings of tiles must be multiples of it."""

    square: bool = False
    """Whether the published tests extend pictures to a square."""

    filling: Literal["mirror", "zeros"] = "mirror"
    """What the published tests extend pictures with."""

    def encode(self, image: Tensor) -> Tensor:
        """Features that feed the output convolution."""
        raise NotImplementedError

    def decode(self, features: Tensor, image: Tensor) -> Tensor:
        """Turn the features of `encode` into the restored picture."""
        raise NotImplementedError

    def restore(self, image: Tensor) -> Tensor:
        """Restore a picture whose sides are multiples of `size_multiple`."""
        return self.decode(self.encode(image), image)

    def fit(self, image: Tensor) -> Fit:
        """How a picture is extended for this network."""
        return Fit.of(image, self.size_multiple, square=self.square, filling=self.filling)

    def forward(self, image: Tensor) -> Tensor:
        fit = self.fit(image)
        image = fit.extend(image)
        return fit.cut(self.restore(image))


class CodedNetwork(Network):
    """A network that looks at the whole picture once and lets the outcome, a code, steer what it does everywhere.

    A code is a mean over all pixels, so that the code of a large picture is the mean of the codes of its parts. What is
    learned of it follows in `restore`.
    """

    prompt_side: int = 0
    """Side of the prompt that gives the code, 0 where the picture itself gives it."""

    def summarise(self, image: Tensor) -> Tensor:
        """The code of a picture: `B 3 H W` -> `B code`."""
        raise NotImplementedError

    # Beside the picture, what was said of it before.
    def restore(self, image: Tensor, code: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Restore a picture, or a tile of one, under a code: `B 3 H W`, `B code` -> `B 3 H W`."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> Tensor:
        fit = self.fit(image)
        image = fit.extend(image)
        return fit.cut(self.restore(image, self.summarise(image)))


@dataclass(frozen=True, slots=True)
class Fit:
    """How a picture is extended to a size that a network can take: pixels added at the top, bottom, left and right."""

    top: int
    bottom: int
    left: int
    right: int
    filling: Literal["mirror", "zeros"]

    @classmethod
    def of(
        cls, image: Tensor, multiple: int, *, square: bool = False, filling: Literal["mirror", "zeros"] = "mirror"
    ) -> Fit:
        """Extend at the bottom and right to multiples; then, for a square, the shorter side equally at both ends."""
        height, width = image.shape[-2:]
        bottom, right = -height % multiple, -width % multiple
        top = left = 0
        if square:
            missing = (width + right) - (height + bottom)
            top, left = max(0, missing) // 2, max(0, -missing) // 2
            bottom, right = bottom + max(0, missing) - top, right + max(0, -missing) - left
        return cls(top, bottom, left, right, filling)

    @property
    def nothing(self) -> bool:
        return self.top == self.bottom == self.left == self.right == 0

    def extend(self, image: Tensor) -> Tensor:
        if self.nothing:
            return image
        if self.filling == "zeros":
            return F.pad(image, (self.left, self.right, self.top, self.bottom))
        height, width = image.shape[-2:]
        rows = mirror(height, self.top, self.bottom, image.device)
        columns = mirror(width, self.left, self.right, image.device)
        return image.index_select(-2, rows).index_select(-1, columns)

    def cut(self, image: Tensor) -> Tensor:
        if self.nothing:
            return image
        height, width = image.shape[-2:]
        return image[..., self.top : height - self.bottom, self.left : width - self.right]


def mirror(side: int, before: int, after: int, device: torch.device) -> Tensor:
    """Indices that mirror a side outwards without repeating its edge, back and forth as often as needed."""
    period = max(1, 2 * (side - 1))
    index = torch.arange(-before, side + after, device=device) % period
    return torch.minimum(index, period - index) if side > 1 else torch.zeros_like(index)


def depth(shapes: Shapes, prefix: str) -> int:
    """How many modules are numbered 0, 1, ... under a prefix such as `latent.`."""
    numbers = {name[len(prefix) :].split(".", 1)[0] for name in shapes if name.startswith(prefix)}
    return len({number for number in numbers if number.isdecimal()})
