"""What photographs differ in without being spoilt: tone, colour, sharpness, grain, and a careful file.

The estimator sees every training picture through `look` and many through `handle`, the clean ones too, so that a pale
sky does not pass for haze nor grain for damage. All ranges are ours; they end about where an adapter begins to help.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from unveil.degradations import Jpeg
from unveil.degradations.base import normal, uniform

SHARE = 0.3
"""How often each single trait is changed."""
GRAIN = 1.8 / 255
CAREFUL = Jpeg.severity_of(88)


def look(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change how clean pictures look: exposure, gamma, contrast, a faint veil, tint, saturation, sharpness, grain.

    `images` is `B 3 H W`, 0..1; a new tensor of that kind comes back, not rounded to 8 bits. A quarter of the pictures
    stay as they are.
    """
    batch = len(images)
    touched = uniform((batch,), generator) >= 0.25

    def some(low: float, high: float, *shape: int) -> Tensor:
        """A trait of some samples, 0 for the others: (B, *shape)."""
        chosen = touched & (uniform((batch,), generator) < SHARE)
        drawn = uniform((batch, *shape), generator, low, high)
        return (drawn * chosen.view(batch, *(1 for _ in shape))).to(images.device)

    gamma = some(-0.3, 0.2).exp()
    gains = 1 + some(-0.15, 0.15)[:, None] + some(-0.06, 0.06, 3)
    greyer, flatter, sharper = some(-0.2, 0.5), some(-0.15, 0.25), some(-0.2, 0.6)
    veil, veiling = some(0.0, 0.09), uniform((batch,), generator, 0.5, 1.0).to(images.device)
    grain, is_grey = some(0.0, GRAIN), uniform((batch,), generator) < 0.5
    changed = images.contiguous(memory_format=torch.contiguous_format).clone()
    for sample in torch.nonzero(touched)[:, 0].tolist():
        picture = changed[sample]
        if gamma[sample] != 1:
            picture.clamp_min_(1e-4).pow_(gamma[sample])
        picture.mul_(gains[sample, :, None, None])
        grey = picture.mean(0, keepdim=True)
        # Saturation, contrast and veil are one affine function of the colour, its grey and constants.
        kept = (1 - flatter[sample]) * (1 - veil[sample])
        constant = flatter[sample] * (1 - veil[sample]) * grey.mean() + veil[sample] * veiling[sample]
        picture.mul_(kept * (1 - greyer[sample])).add_(grey.mul_(kept * greyer[sample]).add_(constant))
        if sharper[sample] != 0:
            smooth = F.avg_pool2d(F.pad(picture[None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0]
            picture.mul_(1 + sharper[sample]).sub_(smooth.mul_(sharper[sample]))
        if grain[sample] > 0:
            planes = 1 if is_grey[sample] else 3
            field = normal((planes, *picture.shape[1:]), generator).to(images.device)
            picture.add_(field.mul_(grain[sample]))
    return changed.clamp_(0, 1)


def handle(images: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """What happens to a finished picture without harm: some of the `chosen` (B,) get a little noise or a careful JPEG.

    `images` is `B 3 H W`, 0..1; a new tensor of that kind comes back, not rounded to 8 bits.
    """
    batch = len(images)
    sigma = uniform((batch,), generator, 0, 1.3 / 255) * (uniform((batch,), generator) < 0.3) * chosen
    severity = uniform((batch,), generator, 0, CAREFUL) * (uniform((batch,), generator) < 0.4) * chosen
    handled = images.clone()
    for sample in torch.nonzero(sigma)[:, 0].tolist():
        field = normal((3, *images.shape[2:]), generator).to(images.device)
        handled[sample].add_(field.mul_(sigma[sample])).clamp_(0, 1)
    filed = torch.nonzero(severity)[:, 0]
    if len(filed):
        handled[filed] = Jpeg()(handled[filed], severity[filed], generator)
    return handled
