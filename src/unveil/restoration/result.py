"""What comes out of a restoration, and how a notebook shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from unveil.restoration.canvas import open_canvas
from unveil.restoration.diagnosis import Diagnosis


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Restoration:
    """A restored image and how it came about. A notebook shows it as before and after.

    `weights` are those of the adapters that were blended in, `diagnosis` is None where none was needed (weights given
    by hand, or a model without an estimator), `tiles` counts runs of the network, `untouched` says that the image is
    the input, bit for bit. `shrunk_to` is 0, or the side that tiles or parts had to be cut to because memory ran out:
    the result then differs a little from what it is elsewhere. `later` are the weights of further rounds, what was
    undone after the picture had been looked at again. `source` is the image as it was given: a path, a Picture or an
    array, not copied.
    """

    image: Any
    diagnosis: Diagnosis | None
    weights: dict[str, float]
    untouched: bool
    tiles: int
    seconds: float
    source: Any = None
    shrunk_to: int = 0
    later: tuple[dict[str, float], ...] = ()

    def __repr__(self) -> str:
        rounds = (self.weights, *self.later)
        listed = (", ".join(f"{name} {share:.2f}" for name, share in each.items()) for each in rounds)
        said = "untouched" if self.untouched else ", then ".join(listed)
        given: object = self.image
        image = f"array {cast('NDArray[Any]', given).shape}" if isinstance(given, np.ndarray) else repr(given)
        return f"<Restoration of {image}: {said or 'restored'}, {self.seconds:.2f} s>"

    def _repr_html_(self) -> str:
        from unveil.reporting import notebook

        lines = [repr(self), *([repr(self.diagnosis)] if self.diagnosis else [])]
        return notebook.html(*self._before_after(), lines)

    def _repr_png_(self) -> bytes:
        from unveil.reporting import notebook

        return notebook.png(*self._before_after())

    def _before_after(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        from unveil.reporting.previews import as_bytes

        before = self.image if self.source is None else self.source
        return as_bytes(open_canvas(before).pixels), as_bytes(open_canvas(self.image).pixels)
