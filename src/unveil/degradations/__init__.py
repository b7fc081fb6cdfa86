"""Degradations: one phenomenon a file, batched, seeded, on any device; and the one table of their names."""

from __future__ import annotations

from unveil.degradations.base import Degradation, quantise
from unveil.degradations.bits import Bits
from unveil.degradations.blur import Blur
from unveil.degradations.dark import Dark
from unveil.degradations.haze import Haze
from unveil.degradations.jpeg import Jpeg
from unveil.degradations.lowres import LowRes
from unveil.degradations.noise import Noise
from unveil.degradations.rain import Rain
from unveil.degradations.snow import Snow

DEGRADATIONS: dict[str, Degradation] = {
    degradation.name: degradation
    for degradation in (Noise(), Blur(), Rain(), Haze(), Dark(), Jpeg(), Bits(), Snow(), LowRes())
}

__all__ = [
    "DEGRADATIONS",
    "Bits",
    "Blur",
    "Dark",
    "Degradation",
    "Haze",
    "Jpeg",
    "LowRes",
    "Noise",
    "Rain",
    "Snow",
    "quantise",
]
