"""The field's conventions of measuring, by name: what happens to two pictures before PSNR and SSIM are taken."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unveil.errors import InvalidRequest
from unveil.metrics.fidelity import Values, Window, comparable, psnr, ssim

# MATLAB's rgb2ycbcr, for values of 0 to 1 and luma of 16 to 235.
LUMA = (65.481, 128.553, 24.966)
LUMA_BLACK = 16.0


@dataclass(frozen=True, slots=True)
class Score:
    """PSNR in dB, infinite for equal pictures, and SSIM."""

    psnr: float
    ssim: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One convention.

    Attributes:
        name: by which tables and commands call it.
        sentence: what it does, for the foot of a table.
        eight_bit: both pictures are rounded to 256 levels first.
        luma: PSNR and SSIM are taken on Y alone (BT.601, 16 to 235, not rounded), of a data range of 255.
        window: of SSIM.
        border: pixels left out on every side.
    """

    name: str
    sentence: str
    eight_bit: bool
    luma: bool
    window: Window
    border: int = 0

    def score(self, picture: Values, truth: Values) -> Score:
        """Both figures of `picture` against `truth`: H W 3, or H W and H W 1 where there is no luma to take.

        uint8 and uint16 are divided by their range, floats clipped to 0 to 1.

        Raises InvalidRequest for differing shapes, other types, or pictures smaller than border and window.
        """
        first, second = self.prepare(picture, truth)
        return Score(psnr(first, second), ssim(first, second, window=self.window))

    def prepare(self, picture: Values, truth: Values) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both pictures as they are compared: float64, 0 to 1, rounded, cut and reduced to luma as this says."""
        first, second = comparable(picture, truth)
        if self.border:
            height, width = first.shape[:2]
            inside = (slice(self.border, height - self.border), slice(self.border, width - self.border))
            first, second = first[inside], second[inside]
            if not first.size:
                raise InvalidRequest(
                    f"pictures of {height} x {width} have nothing left inside a border of {self.border}; "
                    "take a protocol with a smaller one"
                )
        if self.eight_bit:
            first, second = (np.round(values * 255) / 255 for values in (first, second))
        return (luma(first), luma(second)) if self.luma else (first, second)


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="rgb",
            sentence="RGB, float, clipped to 0..1 and not rounded; SSIM with a uniform window of 7 x 7 (AirNet, "
            "PromptIR and their descendants)",
            eight_bit=False,
            luma=False,
            window="uniform",
        ),
        Protocol(
            name="rgb8",
            sentence="RGB, rounded to 8 bit; SSIM with a Gaussian window of 11 x 11, sigma 1.5 (BasicSR)",
            eight_bit=True,
            luma=False,
            window="gaussian",
        ),
        Protocol(
            name="y",
            sentence="luma alone (BT.601 with MATLAB's coefficients, 16..235, not rounded) of pictures rounded to "
            "8 bit; SSIM with a Gaussian window of 11 x 11, sigma 1.5 (BasicSR)",
            eight_bit=True,
            luma=True,
            window="gaussian",
        ),
    )
}


def protocol(name: str) -> Protocol:
    """A protocol by name, with a border after a colon: `rgb`, `rgb8`, `y`, `rgb8:4`.

    Raises InvalidRequest, naming the known ones.
    """
    base, colon, border = name.partition(":")
    if base not in PROTOCOLS:
        near = difflib.get_close_matches(base, PROTOCOLS, n=1)
        advice = f"did you mean {near[0]!r}? " if near else ""
        raise InvalidRequest(f"no protocol is called {base!r}; {advice}Known are {', '.join(PROTOCOLS)}")
    if not colon:
        return PROTOCOLS[base]
    if not border.isdecimal():
        raise InvalidRequest(f"the border in {name!r} is {border!r}; expected a number of pixels, as in {base}:4")
    found = PROTOCOLS[base]
    sentence = f"{found.sentence}; a border of {int(border)} pixels left out"
    return replace(found, name=name, sentence=sentence, border=int(border)) if int(border) else found


def luma(rgb: NDArray[Any]) -> NDArray[np.float64]:
    """Y of R, G, B: H W 3 in 0 to 1 -> H W, 16/255 to 235/255.

    Raises InvalidRequest where there are not three channels.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise InvalidRequest(f"shape is {rgb.shape}; luma is taken of pictures of three channels, (H, W, 3)")
    return (rgb.astype(np.float64) @ np.array(LUMA) + LUMA_BLACK) / 255
