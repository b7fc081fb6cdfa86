"""Two rounds of blur, resizing, noise and JPEG, after Real-ESRGAN, with the numbers of ConStyle v2's options."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from unveil.degradations import quantise
from unveil.degradations.base import spread, uniform
from unveil.degradations.convolution import blurred
from unveil.methods.constyle.degradations.kernels import Kernels, final_sinc
from unveil.methods.mioir.degradations.jpeg import Jpeg

GREY = (0.2989, 0.587, 0.114)
MODES = ("area", "bilinear", "bicubic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round.

    Attributes:
        blur: probability, a batch.
        kernels: see there.
        resize: probabilities to enlarge, to reduce, to keep.
        scales: of the side, lowest and highest.
        sigma: of Gaussian noise, in 255ths; half of all batches.
        poisson: scale of Poisson noise; the other half.
        grey: share of pictures with grey noise.
    """

    blur: float
    kernels: Kernels
    resize: tuple[float, float, float]
    scales: tuple[float, float]
    sigma: tuple[float, float]
    poisson: tuple[float, float]
    grey: float = 0.4


FIRST = Round(
    blur=1.0,
    kernels=Kernels(sigma=(0.2, 3.0)),
    resize=(0.2, 0.7, 0.1),
    scales=(0.15, 1.5),
    sigma=(1.0, 30.0),
    poisson=(0.05, 3.0),
)
SECOND = Round(
    blur=0.8,
    kernels=Kernels(sigma=(0.2, 1.5)),
    resize=(0.3, 0.4, 0.3),
    scales=(0.3, 1.2),
    sigma=(1.0, 25.0),
    poisson=(0.05, 2.5),
)

QUALITY = (30.0, 95.0)


class TwoRounds:
    """`B 3 H W`, clean, to the same size, degraded and on the grid of 8 bits.

    As published, scale, way of resizing and kind of noise are drawn once a batch; kernels, strengths and quality for
    each picture. The input is sharpened first. JPEG is that on tensors which MiOIR has too.
    """

    def __init__(self, first: Round = FIRST, second: Round = SECOND, *, sharpened: bool = True) -> None:
        self.first, self.second, self.sharpened = first, second, sharpened

    @torch.no_grad()
    def __call__(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        size = (int(clean.shape[-2]), int(clean.shape[-1]))
        with torch.autocast(clean.device.type, enabled=False):
            x = sharpen(clean.float()) if self.sharpened else clean.float()
            x = compress(noisy(self._shrunk(x, self.first, size, generator), self.first, generator), generator)
            x = noisy(self._shrunk(x, self.second, size, generator), self.second, generator)
            mode = _choice(MODES, generator)
            kernels = final_sinc(len(x), generator).to(x.device)
            if float(uniform((1,), generator)) < 0.5:
                x = compress(blurred(_resized(x, size, mode), kernels), generator)
            else:
                x = blurred(_resized(compress(x, generator), size, mode), kernels)
            return quantise(x)

    def _shrunk(self, x: Tensor, step: Round, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Blur, and resize to a share of the original size."""
        kernels = step.kernels(len(x), generator).to(x.device)
        if float(uniform((1,), generator)) < step.blur:
            x = blurred(x, kernels)
        way = int(torch.multinomial(torch.tensor(step.resize), 1, generator=generator))
        low, high = ((1.0, step.scales[1]), (step.scales[0], 1.0), (1.0, 1.0))[way]
        scale = float(uniform((1,), generator, low, high))
        smaller = (max(1, int(size[0] * scale)), max(1, int(size[1] * scale)))
        return _resized(x, smaller, _choice(MODES, generator))


def sharpen(images: Tensor, *, weight: float = 0.5, threshold: float = 10 / 255) -> Tensor:
    """Unsharp masking where a picture differs from its blurred version by more than a threshold: 51 pixels, sigma 8."""
    place = torch.arange(51, device=images.device, dtype=torch.float32) - 25
    line = torch.exp(-place * place / (2 * 8.0**2))
    kernel = (line[:, None] * line / line.sum() ** 2).expand(len(images), -1, -1)
    residual = images - blurred(images, kernel)
    mask = blurred((residual.abs() > threshold).float(), kernel)
    return images + mask * ((images + weight * residual).clamp(0, 1) - images)


def noisy(images: Tensor, step: Round, generator: torch.Generator) -> Tensor:
    """Gaussian or Poisson noise, coloured or grey, clipped to 0..1."""
    count = len(images)
    is_gaussian = float(uniform((1,), generator)) < 0.5
    low, high = step.sigma if is_gaussian else step.poisson
    strength = spread(uniform((count,), generator, low, high)).to(images.device)
    is_grey = spread(uniform((count,), generator) < step.grey).to(images.device)
    if is_gaussian:
        field = torch.randn(images.shape, generator=generator).to(images.device)
        noise = torch.where(is_grey, field[:, :1], field) * strength / 255
    else:
        noise = torch.where(is_grey, _shots(_grey(images), generator), _shots(images, generator)) * strength
    return (images + noise).clamp_(0, 1)


def compress(images: Tensor, generator: torch.Generator) -> Tensor:
    """JPEG of a quality drawn for each picture."""
    quality = uniform((len(images),), generator, *QUALITY).to(images.device)
    return Jpeg().degrade(images.clamp(0, 1), {"quality": quality})


def _shots(images: Tensor, generator: torch.Generator) -> Tensor:
    """Poisson noise of strength 1: the more grey levels a picture has, the more photons, and the less noise."""
    images = quantise(images)
    levels = torch.tensor([len(picture.unique()) for picture in images], dtype=torch.float32)
    photons = spread(torch.exp2(levels.log2().ceil()))
    counted = torch.poisson(images.cpu() * photons, generator=generator) / photons
    return counted.to(images.device) - images


def _grey(images: Tensor) -> Tensor:
    return torch.einsum("c, b c h w -> b h w", torch.tensor(GREY, device=images.device), images)[:, None]


def _resized(images: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    if images.shape[-2:] == size:
        return images
    return functional.interpolate(images, size, mode=mode).clamp_(0, 1)


def _choice(among: tuple[str, ...], generator: torch.Generator) -> str:
    return among[int(torch.randint(0, len(among), (1,), generator=generator))]
