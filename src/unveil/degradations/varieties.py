"""More than one way to draw a phenomenon, for whoever must recognise it however it comes."""

from __future__ import annotations

from unveil.degradations import DEGRADATIONS, Dark, Degradation, Haze, Rain

VARIETIES: dict[str, tuple[Degradation, ...]] = {
    **{name: (degradation,) for name, degradation in DEGRADATIONS.items()},
    # Fine, faint and dense; and few, long and bright streaks.
    "rain": (
        Rain(),
        Rain(length=(5.0, 26.0), width=(0.7, 1.5), opacity=(0.3, 0.8), downpour=0.15),
        Rain(length=(18.0, 60.0), width=(0.9, 2.2), opacity=(0.45, 1.0), downpour=0.0),
    ),
    "haze": (Haze(), Haze(guided=0.7, flat=0.3)),
    "dark": (Dark(), Dark(noise=0.0)),
}
"""Every degradation's generators, the one of `DEGRADATIONS` first."""
