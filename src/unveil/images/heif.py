"""Decoding HEIC by libheif and libde265, through pi-heif (whose wheel, unlike pillow-heif's, holds no GPL encoder)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from unveil.errors import UnreadablePicture
from unveil.images import exif
from unveil.images.decoded import Decoded, check_size
from unveil.images.depth import Pixels, fill
from unveil.images.warning import warn

_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}


def decode(stream: BinaryIO, path: Path | None, name: str, pixel_limit: int) -> Decoded:
    """Decode the primary picture; 10 and 12 bits become 16. Rotation is in the pixels already, whatever EXIF says."""
    import pi_heif  # pyright: ignore[reportMissingTypeStubs]

    library: Any = pi_heif
    try:
        file: Any = library.open_heif(stream, convert_hdr_to_8bit=False)
        image: Any = file[file.primary_index]
        width, height = image.size
        check_size(path, width, height, pixel_limit)
        # A copy: pi-heif frees the memory behind its array together with the image (seen with 1.4.0).
        values: Pixels = np.array(image)
    except (ValueError, EOFError, SyntaxError, RuntimeError, OSError, IndexError) as error:
        reason = str(error).strip().splitlines() or ["no reason given"]
        cause = f"cannot be decoded as HEIC: it is cut off, damaged or of a rare kind ({reason[0]})"
        raise UnreadablePicture(path, cause) from error
    info: dict[str, Any] = image.info
    if values.ndim == 2:
        values = values[:, :, np.newaxis]
    if values.dtype == np.uint16:
        values = fill(values.astype(np.uint16), info["bit_depth"])
    described: dict[str, Any] = info.get("nclx_profile") or {}
    transfer = described.get("transfer_characteristics")
    icc = info.get("icc_profile")
    if icc is None and transfer in _HDR_TRANSFERS:
        warn(path, f"has high dynamic range ({_HDR_TRANSFERS[transfer]}); its values are taken for sRGB")
    block = info.get("exif")
    return Decoded(
        values=values,
        icc=icc,
        exif=exif.bare(block) if block else None,
        xmp=info.get("xmp"),
    )
