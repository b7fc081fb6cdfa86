"""BMP, both ways, by Pillow: libvips' wheel has no BMP."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from unveil.errors import UnreadablePicture
from unveil.images.decoded import Decoded, check_size
from unveil.images.depth import Pixels


def decode(stream: BinaryIO, path: Path | None, name: str, pixel_limit: int) -> Decoded:
    """Decode a BMP; 1 bit becomes 8-bit grey, a palette RGB or grey."""
    from PIL.BmpImagePlugin import BmpImageFile

    try:
        # Not through Image.open, whose own pixel limit is a global setting of the user's process.
        with BmpImageFile(stream) as image:
            check_size(path, *image.size, pixel_limit)
            image.load()
            mode = {"1": "L", "L": "L", "RGBA": "RGBA"}.get(image.mode, "RGB")
            values = np.asarray(image if image.mode == mode else image.convert(mode))
            across, down = image.info.get("dpi", (0, 0))
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, IndexError) as error:
        cause = f"cannot be decoded as BMP: it is cut off, damaged or of a rare kind ({error})"
        raise UnreadablePicture(path, cause) from error
    return Decoded(
        values=values.reshape(*values.shape[:2], -1),
        resolution=(float(across), float(down)) if across > 0 and down > 0 else None,
    )


def encode(pixels: Pixels, resolution: tuple[float, float]) -> bytes:
    """Encode 8-bit pixels (H W 1 or H W 3) as BMP."""
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(written, "BMP", dpi=resolution)
    return written.getvalue()
