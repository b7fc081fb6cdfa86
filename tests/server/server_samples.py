"""Pictures to send, and a restorer that can be held up."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from unveil.restoration import Restoration, Restorer

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description dc:title="a walk"/></x:xmpmeta>'
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def rough(height: int = 40, width: int = 56, seed: int = 1) -> np.ndarray:
    """What the toy finds noisy."""
    return np.random.default_rng(seed).integers(40, 215, (height, width, 3), np.uint8)


def smooth(height: int = 40, width: int = 56) -> np.ndarray:
    """What the toy finds clean."""
    return np.full((height, width, 3), 180, np.uint8)


def file_of(pixels: np.ndarray | None = None, form: str = "PNG", **options: Any) -> bytes:
    """The bytes of a picture file, rough unless told otherwise."""
    stream = io.BytesIO()
    Image.fromarray(rough() if pixels is None else pixels).save(stream, form, **options)
    return stream.getvalue()


def exif_with_place() -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Synthetic"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:06 07:08:09"
    place = exif.get_ifd(0x8825)
    place[1], place[2] = "N", (50.0, 30.0, 12.5)
    return exif.tobytes()


def photograph() -> bytes:
    """A JPEG with everything that has to survive: EXIF with a place, XMP, a colour profile."""
    return file_of(form="JPEG", quality=95, exif=exif_with_place(), icc_profile=PROFILE, xmp=XMP)


def pixels_of(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def eventually(holds: Callable[[], object], seconds: float = 5) -> None:
    """Wait until something holds; fail if it never does."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


class HeldRestorer(Restorer):
    """Waits in `run` until `gate` is set, and reports progress meanwhile as a large picture would."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.gate = threading.Event()
        self.gate.set()
        self.began = threading.Event()
        self.runs = 0

    def run(self, image: object, **options: Any) -> Restoration:
        self.runs += 1
        self.began.set()
        progress = options.get("progress") or (lambda *_: None)
        while not self.gate.wait(0.01):
            progress(1, 4)
        return super().run(image, **options)
