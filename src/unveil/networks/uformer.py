"""Uformer (Wang et al., CVPR 2022): attention in shifted windows in a U-Net of five levels.

The official code finds height and width as the root of the number of pixels and so takes squares alone. Maps keep
their sides here, so any multiples do; squares are only what the published tests extend pictures to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.networks.base import Modulation, Network, Shapes, depth, leave
from unveil.networks.layers import channels_first, channels_last, gelu, in_graph
from unveil.networks.windows import (
    Blocks,
    WindowAttention,
    WindowBlock,
    drop_rates,
    initialise,
    position_tables,
    shift_mask,
    window_side,
)

LEVELS = range(4)
MIOIR_DEPTHS = [1, 2, 8, 8, 2, 8, 8, 2, 1]
CONSTYLE_DEPTHS = [2] * 9


class LocalFeedForward(nn.Module):
    """Locally enhanced feed-forward network (LeFF; Uformer, Sec. 3.2): a depthwise 3x3 convolution between two layers.

    Shapes: `B H W C` in and out.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.linear1 = nn.Sequential(nn.Linear(channels, hidden), nn.GELU())
        self.dwconv = nn.Sequential(nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden), nn.GELU())
        self.linear2 = nn.Sequential(nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        if in_graph():
            return self._in_graph(x)
        return self.linear2(channels_last(self.dwconv(channels_first(self.linear1(x)))))

    def _in_graph(self, x: Tensor) -> Tensor:
        """The linear layers as 1x1 convolutions: only the few channels at both ends change their order in memory."""
        wide, deep, narrow = cast(
            "tuple[nn.Linear, nn.Conv2d, nn.Linear]", (self.linear1[0], self.dwconv[0], self.linear2[0])
        )
        # From and to lists of pixels, not maps: OpenVINO has less to move.
        y = x.flatten(1, 2).transpose(1, 2).unflatten(2, x.shape[1:3])
        y = gelu(F.conv2d(y, wide.weight[..., None, None], wide.bias))
        y = F.conv2d(gelu(deep(y)), narrow.weight[..., None, None], narrow.bias)
        return y.flatten(2).transpose(1, 2).unflatten(1, x.shape[1:3])


class InputProjection(nn.Module):
    """The first convolution (`input_proj.proj.0`): `B 3 H W` -> `B C H W`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.LeakyReLU())

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image)


class OutputProjection(nn.Module):
    """The last convolution (`output_proj.proj.0`): `B C H W` -> `B 3 H W`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(nn.Conv2d(channels, 3, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class Halving(nn.Module):
    """Half the resolution, twice the channels (`dowsample_0.conv.0`): `B H W C` -> `B H/2 W/2 2C`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return channels_last(self.conv(channels_first(x)))


class Doubling(nn.Module):
    """Twice the resolution, other channels (`upsample_0.deconv.0`): `B H W C` -> `B 2H 2W out`."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.deconv = nn.Sequential(nn.ConvTranspose2d(channels, out, 2, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        return channels_last(self.deconv(channels_first(x)))


class Uformer(Network):
    """Uformer.

    The defaults are MiOIR's (its prompted forms hang on `sites`); ConStyle's plain Uformer has two blocks a stage and
    no modulators.

    Args:
        dim: channels of the first level; level l has `2**l * dim`, and twice that in the decoder.
        depths: blocks of the four encoder levels, the bottleneck, and the four decoder levels (deepest first);
            every second block is shifted.
        heads: of attention, of the same nine stages.
        window: side of a window.
        factor: hidden width of the feed-forward networks over their input's.
        modulated: whether the decoder's blocks have modulators.
        image_size: side of the pictures that the official network was built for. It shifts no windows in a bottleneck
            that would be no larger than one, so at 128 there is no shift there and at 256 there is; larger pictures
            change nothing. No more than that depends on it.
        drop_path: share of samples that the bottleneck's branches are left out for in training; it grows from 0 evenly
            in the encoder and falls to 0 in the decoder.

    Shapes: `B 3 H W` -> `B 3 H W`, any size; inside, multiples of 16 windows.

    Raises:
        ValueError: `image_size` is below 16 windows, for which the official network has smaller windows.
    """

    square = True

    def __init__(
        self,
        *,
        dim: int = 32,
        depths: Sequence[int] = MIOIR_DEPTHS,
        heads: Sequence[int] = (1, 2, 4, 8, 16, 16, 8, 4, 2),
        window: int = 8,
        factor: float = 4.0,
        modulated: bool = True,
        image_size: int = 256,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        self.size_multiple = 16 * window
        if image_size < self.size_multiple:
            raise ValueError(f"image_size is {image_size}; windows of {window} need {self.size_multiple} or more")
        self.window = window
        self.features = 2 * dim
        self.sites = {"conv": 16 * dim, **{f"decoderlayer_{n}": 16 * dim >> n for n in LEVELS}, "output": 3}
        rates = [
            *drop_rates(sum(depths[:4]), drop_path),
            *[drop_path] * depths[4],
            *reversed(drop_rates(sum(depths[5:]), drop_path)),
        ]

        def stage(number: int, channels: int, rates: Iterator[float], *, shifts: bool = True) -> Blocks:
            def block(shifted: bool) -> WindowBlock:
                attention = WindowAttention(channels, heads[number], window=window, shifted=shifted, separate=True)
                feed_forward = LocalFeedForward(channels, round(channels * factor))
                return WindowBlock(
                    channels, attention, feed_forward, modulated=modulated and number > 4, drop=next(rates)
                )

            return Blocks(block(shifts and place % 2 == 1) for place in range(depths[number]))

        rate = iter(rates)
        self.input_proj = InputProjection(dim)
        for level in LEVELS:
            self.add_module(f"encoderlayer_{level}", stage(level, dim << level, rate))
            self.add_module(f"dowsample_{level}", Halving(dim << level))
        self.conv = stage(4, 16 * dim, rate, shifts=image_size > self.size_multiple)
        for level in LEVELS:
            wide = 16 * dim >> level
            self.add_module(f"upsample_{level}", Doubling(wide if level == 0 else 2 * wide, wide // 2))
            self.add_module(f"decoderlayer_{level}", stage(5 + level, wide, rate))
        self.output_proj = OutputProjection(2 * dim)
        initialise(self)

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        """The arguments of the constructor, read from the shapes of an official state.

        No shape tells `image_size`. The published builds (32 channels with the depths of MiOIR or ConStyle) had 256;
        others are taken to have been built for 128, the side of the crops they are trained on.
        """
        stages = [*(f"encoderlayer_{n}" for n in LEVELS), "conv", *(f"decoderlayer_{n}" for n in LEVELS)]
        tables = [shapes[f"{stage}.blocks.0.attn.relative_position_bias_table"] for stage in stages]
        hidden, dim = shapes["encoderlayer_0.blocks.0.mlp.linear1.0.weight"]
        depths = [depth(shapes, f"{stage}.blocks.") for stage in stages]
        window = window_side(tables[0])
        published = dim == 32 and depths in (MIOIR_DEPTHS, CONSTYLE_DEPTHS)
        return {
            "dim": dim,
            "depths": depths,
            "heads": [table[1] for table in tables],
            "window": window,
            "factor": hidden / dim,
            "modulated": "decoderlayer_0.blocks.0.modulator.weight" in shapes,
            "image_size": 256 if published else 16 * window,
        }

    def geometry(self) -> dict[str, Tensor]:
        return position_tables(self)

    def encode(self, image: Tensor, modulate: Modulation = leave) -> Tensor:
        """Features that feed the output convolution: `B 3 H W` -> `B 2*dim H W`."""
        x = channels_last(self.input_proj(image))
        skips: list[tuple[Tensor, Tensor]] = []
        for level in LEVELS:
            mask = shift_mask(x, self.window)
            x = self.get_submodule(f"encoderlayer_{level}")(x, mask)
            skips.append((x, mask))
            x = self.get_submodule(f"dowsample_{level}")(x)
        x = modulate("conv", channels_first(self.conv(x, shift_mask(x, self.window))))
        for level in LEVELS:
            skip, mask = skips.pop()
            x = self.get_submodule(f"upsample_{level}")(channels_last(x))
            x = self.get_submodule(f"decoderlayer_{level}")(torch.cat((x, skip), -1), mask)
            x = modulate(f"decoderlayer_{level}", channels_first(x))
        return x

    def decode(self, features: Tensor, image: Tensor, modulate: Modulation = leave) -> Tensor:
        """Turn the features of `encode` into the restored picture."""
        return modulate("output", self.output_proj(features)) + image
