"""libvips: imported late, kept quiet, and wrapped around NumPy arrays.

pyvips does nothing before the first picture, keeps no cache of operations, and says nothing: its messages go to the
logger
"pyvips", which has a null handler.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from unveil.images.depth import Pixels

Image: TypeAlias = Any
"""A pyvips.Image, whose operations exist only at run time."""


@cache
def load() -> ModuleType:
    """The module pyvips, imported on the first call."""
    import pyvips

    pyvips.cache_set_max(0)
    return pyvips


def reason(error: Exception) -> str:
    """The most telling line of libvips' message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith("unable to ")]
    return (telling or ["no reason given"])[0]


def image_of(values: Pixels) -> Image:
    """An image over the memory of `values` (H W C, uint8 or uint16; copied only where it is not contiguous)."""
    height, width, channels = values.shape
    deep = values.dtype == np.uint16
    image = load().Image.new_from_memory(
        np.ascontiguousarray(values), width, height, channels, "ushort" if deep else "uchar"
    )
    grey, colour = ("grey16", "rgb16") if deep else ("b-w", "srgb")
    return image.copy(interpretation=colour if channels >= 3 else grey)


def array_of(image: Image) -> Pixels:
    """The image's pixels: H W C, uint8 or uint16. Decodes or computes them now."""
    deep = image.format == "ushort"
    values = np.frombuffer(image.write_to_memory(), np.uint16 if deep else np.uint8)
    return values.reshape(image.height, image.width, image.bands)


def with_blob(image: Image, name: str, blob: bytes) -> Image:
    """A copy of the image with a block of metadata under `name`."""
    image = image.copy()
    image.set_type(load().GValue.blob_type, name, blob)
    return image
