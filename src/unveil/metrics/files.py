"""The same figures on files."""

from __future__ import annotations

import os

from unveil import images
from unveil.metrics.protocols import Protocol, Score, protocol


def score_files(picture: str | os.PathLike[str], truth: str | os.PathLike[str], *, by: str | Protocol = "rgb") -> Score:
    """PSNR and SSIM of one picture file against another, as a protocol has it: both as sRGB, alpha left out.

    Files of 8 and of 16 bit may be compared with each other.

    Raises:
        PictureError: a file cannot be read.
        InvalidRequest: an unknown protocol, or pictures of differing sizes.
    """
    wanted = protocol(by) if isinstance(by, str) else by
    return wanted.score(images.read(picture).srgb(), images.read(truth).srgb())
