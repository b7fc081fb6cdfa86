"""The estimator of degradations (ABAIR, Phase III): a light network that says what is wrong with a picture.

The paper calls it lightweight and gives no architecture; this one is ours (about 0.53 M parameters, below the 0.9 M
that the paper's totals leave room for).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.methods.abair import signs as measures

DETAIL = 24.0
"""Gain of the fine detail. JPEG blocks and missing grey levels are a few levels of 255 strong, and would take a network
long to find under the picture itself."""
BLOCK = 8
"""Side of the blocks whose darkest and brightest pixels are counted."""


class Residual(nn.Module):
    """Two 3x3 convolutions with group norm, the first of stride 2, and a 1x1 shortcut: `B C H W` -> `B D H/2 W/2`."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, out, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(8, out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(8, out)
        self.shortcut = nn.Conv2d(inside, out, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.norm1(self.conv1(x)), 0.1)
        y = self.norm2(self.conv2(y))
        return F.leaky_relu(y + self.shortcut(x), 0.1)


class Estimator(nn.Module):
    """Views of a picture to logits of degradations.

    Args:
        classes: number of logits: one a degradation and, usually, a last one for `clean`.
        widths: channels of the stem and of each residual block.
        hidden: width of the feature vector that the last layer sees.
        tones: bins of the histograms that join the features: of the darkest channel's minimum and the brightest
            channel's maximum in blocks of 8x8 pixels, which haze lifts and darkness lowers. 0 leaves them out.
        signs: width of what a layer of its own makes of the `signs` of damage that have formulas (spectrum, steps
            between neighbours), which join the features too. 0 leaves them out.

    Shapes: `B 3 S S`, 0..1 -> `B classes`. Views must keep native resolution (resizing removes noise and JPEG blocks),
    except the global one; `unveil.restoration.diagnosis` makes them. The first layer sees the view and, amplified and
    bounded, what a 3x3 mean leaves of it.
    """

    def __init__(
        self,
        *,
        classes: int,
        widths: Sequence[int] = (32, 32, 64, 96, 128),
        hidden: int = 128,
        tones: int = 0,
        signs: int = 0,
    ) -> None:
        super().__init__()
        self.tones = tones
        self.stem = nn.Conv2d(6, widths[0], 5, stride=2, padding=2)
        self.blocks = nn.Sequential(*(Residual(a, b) for a, b in pairwise(widths)))
        self.signs = nn.Linear(measures.COUNT, signs) if signs else None
        self.hidden = nn.Linear(2 * widths[-1] + 2 * tones + signs, hidden)
        self.head = nn.Linear(hidden, classes)

    def embed(self, views: Tensor) -> Tensor:
        """The feature vector before the last layer: `B 3 S S` -> `B hidden`."""
        # A 3x3 mean; pooling takes several times as long on few channels.
        padded = F.pad(views, (1, 1, 1, 1), mode="replicate")
        across = padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]
        smooth = (across[..., :-2, :] + across[..., 1:-1, :] + across[..., 2:, :]) / 9
        detail = torch.tanh(DETAIL * (views - smooth))
        x = self.blocks(F.leaky_relu(self.stem(torch.cat((views - 0.5, detail), 1)), 0.1))
        flat = x.flatten(2)
        mean = flat.mean(2)
        deviation = (flat - mean[:, :, None]).square().mean(2).add(1e-6).sqrt()
        features = [mean, deviation, *([self._histograms(views)] if self.tones else [])]
        if self.signs is not None:
            features.append(F.leaky_relu(self.signs(measures.measure(views)), 0.1))
        return F.leaky_relu(self.hidden(torch.cat(features, 1)), 0.1)

    def _histograms(self, views: Tensor) -> Tensor:
        """`B 3 S S` -> `B 2*tones`: soft histograms whose bins lie evenly over 0..1."""
        lowest = -F.max_pool2d(-views.amin(1, keepdim=True), BLOCK)
        highest = F.max_pool2d(views.amax(1, keepdim=True), BLOCK)
        places = (self.tones - 1) * torch.cat((lowest, highest), 1).flatten(2)
        bins = [(1 - (places - index).abs()).clamp_min(0).mean(2) for index in range(self.tones)]
        return torch.cat(bins, 1)

    def forward(self, views: Tensor) -> Tensor:
        return self.head(self.embed(views))
