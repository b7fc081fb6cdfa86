"""The round trip through a JPEG file in memory, by the libjpeg of Pillow."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

LARGEST_SIDE = 8192
"""Of a picture that is filed, in pixels: far below what a file, or Pillow's guard against huge ones, allows."""


def filed(images: Tensor, quality: Tensor, is_half: Tensor, corner: Tensor) -> Tensor:
    """Write pictures as baseline JPEG files and read them.

    Args:
        images: B C H W on a CPU, 0..1, C 1 or 3.
        quality: (B,), whole numbers.
        is_half: (B,), whether chroma has half the resolution (4:2:0 rather than 4:4:4).
        corner: (B, 2), rows and columns by which the border is repeated before the picture, as it were a part of it.

    Returns:
        B C H W, 0..1, on the 8-bit grid.
    """
    levels = (images * 255).round_().clamp_(0, 255).to(torch.uint8).numpy()
    decoded = np.empty_like(levels)
    settings = zip(quality.tolist(), is_half.tolist(), corner.tolist(), strict=True)
    for index, (number, half, (down, right)) in enumerate(settings):
        file = io.BytesIO()
        _framed(levels[index], down, right).save(
            file, "JPEG", quality=int(number), subsampling="4:2:0" if half else "4:4:4"
        )
        with Image.open(file, formats=("JPEG",)) as read:
            for plane, band in zip(decoded[index], read.split(), strict=True):
                plane[...] = np.asarray(band)[down:, right:]
    return torch.from_numpy(decoded).float().div_(255)


def _framed(levels: np.ndarray, down: int, right: int) -> Image.Image:
    """The picture C H W, its border repeated above it and to its left."""
    channels, height, width = levels.shape
    frame = np.empty((height + down, width + right, channels), np.uint8)
    for channel, plane in enumerate(levels):
        frame[down:, right:, channel] = plane
    frame[:down, right:] = frame[down, right:]
    frame[:, :right] = frame[:, right : right + 1]
    return Image.fromarray(frame[..., 0] if channels == 1 else frame)
