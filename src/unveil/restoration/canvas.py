"""What unveil accepts as an image: pixels to read, pixels to write, and a result of the same kind as the input."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from unveil.errors import InvalidRequest

if TYPE_CHECKING:
    from unveil.images import Picture


class Canvas(Protocol):
    """An image taken apart. `pixels` is H W C, C 1 or 3; uint8, uint16 or float 0..1."""

    pixels: NDArray[Any]

    def untouched(self) -> object:
        """The image as it was."""
        ...

    def blank(self) -> NDArray[Any]:
        """Memory for the restored pixels, of the shape and dtype of `pixels`."""
        ...

    def finish(self) -> object:
        """The image with what was written into `blank()`."""
        ...


def open_canvas(image: object) -> Canvas:
    """Take an image apart.

    Raises:
        InvalidRequest: no image, or an array of a wrong shape, dtype or range.
        PictureError: the file cannot be read.
    """
    if isinstance(image, np.ndarray):
        return ArrayCanvas(cast("NDArray[Any]", image))
    from unveil.images import Picture, read

    if isinstance(image, str | os.PathLike):
        return PictureCanvas(read(cast("str | os.PathLike[str]", image)))
    if isinstance(image, Picture):
        return PictureCanvas(image)
    raise InvalidRequest(f"A {type(image).__name__} is no image; give a path, a Picture or a NumPy array.")


class PictureCanvas:
    """A Picture: the network sees it as sRGB."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self.pixels: NDArray[Any] = picture.srgb()

    def untouched(self) -> Picture:
        return self._picture

    def blank(self) -> NDArray[Any]:
        self._restored = np.empty_like(self.pixels)
        return self._restored

    def finish(self) -> Picture:
        return self._picture.with_srgb(self._restored)


class ArrayCanvas:
    """An array, H W or H W C, whose fourth channel is alpha."""

    def __init__(self, array: NDArray[Any]) -> None:
        check_array(array)
        self._array = array
        self.pixels = _colours(array)
        if array.dtype.kind == "f":
            # Minimum and maximum carry a NaN along and, unlike isfinite, need no array of their own.
            low, high = float(self.pixels.min()), float(self.pixels.max())
            if not (np.isfinite(low) and np.isfinite(high)):
                raise InvalidRequest("The array has values that are not finite numbers; replace them first.")
            if low < -1 or high > 2:
                raise InvalidRequest(
                    f"Float arrays must be 0 to 1, this one is {low:g} to {high:g}; divide it by its range."
                )

    def untouched(self) -> NDArray[Any]:
        return self._array.copy()

    def blank(self) -> NDArray[Any]:
        self._restored = np.empty_like(self._array)
        if self._array.ndim == 3 and self._array.shape[2] == 4:
            self._restored[:, :, 3] = self._array[:, :, 3]
        return _colours(self._restored)

    def finish(self) -> NDArray[Any]:
        return self._restored


def check_array(array: NDArray[Any]) -> None:
    """Raises InvalidRequest for a shape or dtype that is no image."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or array.size == 0:
        raise InvalidRequest(f"An array of shape {array.shape} is no image; expected H W, or H W C with C 1, 3 or 4.")
    if array.dtype.kind != "f" and array.dtype.name not in ("uint8", "uint16"):
        raise InvalidRequest(f"An array of {array.dtype} is no image; expected uint8, uint16 or float 0 to 1.")


def _colours(array: NDArray[Any]) -> NDArray[Any]:
    return array[:, :, None] if array.ndim == 2 else array[:, :, :3]
