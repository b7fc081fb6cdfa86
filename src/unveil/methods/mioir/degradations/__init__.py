"""The seven degradations of MiOIR, with the arithmetic and the ranges of the authors' scripts.

They differ from `unveil.degradations`, which are wider and ours: with these, figures can stand beside the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from unveil.methods.mioir.degradations.base import Span, TaskDegradation
from unveil.methods.mioir.degradations.blur import Blur
from unveil.methods.mioir.degradations.dark import Dark
from unveil.methods.mioir.degradations.haze import Haze
from unveil.methods.mioir.degradations.jpeg import Jpeg
from unveil.methods.mioir.degradations.lowres import LowResolution
from unveil.methods.mioir.degradations.noise import Noise
from unveil.methods.mioir.degradations.rain import Rain
from unveil.methods.mioir.tasks import TASKS

FRAME = 256
"""Crops of training get rain as if cut from pictures with sides of this many pixels (ours: see `Rain`)."""


def _by_task(*degradations: TaskDegradation) -> dict[str, TaskDegradation]:
    named = {degradation.name: degradation for degradation in degradations}
    return {task: named[task] for task in TASKS}


TRAINING = _by_task(Blur(), Noise(), Jpeg(), Rain(frame=FRAME), Haze(), Dark(), LowResolution())
"""For crops."""

TESTS = _by_task(Blur(), Noise(), Jpeg(), Rain(), Haze(whole=True), Dark(), LowResolution(filtered=True))
"""For whole pictures of test sets."""


def degrade(
    clean: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    *,
    span: Span = "in",
    degradations: Mapping[str, TaskDegradation] = TRAINING,
) -> Tensor:
    """Give each picture of a batch the degradation of its label, a place in `TASKS`.

    Args:
        clean: B 3 H W, float, 0..1.
        labels: (B,).
        generator: the source of chance.
        span: strengths in or out of the distribution of training.
        degradations: by task.

    Returns:
        B 3 H W, float32, on the grid of 8 bits.
    """
    degraded = torch.empty_like(clean, dtype=torch.float32)
    for index, task in enumerate(TASKS):
        mine = torch.nonzero(labels == index)[:, 0].to(clean.device)
        if len(mine):
            degraded[mine] = degradations[task](clean[mine], generator, span)
    return degraded


__all__ = ["TESTS", "TRAINING", "Span", "TaskDegradation", "degrade"]
