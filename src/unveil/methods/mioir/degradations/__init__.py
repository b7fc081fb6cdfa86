"""The seven degradations of MiOIR, with the arithmetic and the ranges of the authors' scripts.

They differ from `unveil.degradations`, which are wider and ours: with these, figures can stand beside the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
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


def degrade_picture(
    picture: NDArray[np.float32],
    task: str,
    random: np.random.Generator,
    *,
    span: Span = "in",
    depth: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """A picture of a test set: what is drawn depends on the task, the span and the state of `random` alone.

    Args:
        picture: H W 3, 0..1, sRGB. The authors cut their pictures to multiples of 4 before.
        task: one of `TASKS`.
        random: the source of chance.
        span: strengths in or out of the distribution of training.
        depth: H W, larger is farther, for haze; made up otherwise.

    Returns:
        H W 3, float32, on the grid of 8 bits.
    """
    # One state serves all tasks of a picture, which must not all be strong together.
    place = 2 * TASKS.index(task) + (span == "out")
    generator = torch.Generator().manual_seed(int(random.integers(2**31, size=2 * len(TASKS))[place]))
    clean = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
    degradation = TESTS[task]
    drawn = degradation.draw((1, 3, *picture.shape[:2]), generator, span)
    if depth is not None:
        drawn["depth"] = torch.from_numpy(np.ascontiguousarray(depth))[None, None]
    return degradation.apply(clean, drawn)[0].permute(1, 2, 0).contiguous().numpy()


__all__ = ["TESTS", "TRAINING", "Span", "TaskDegradation", "degrade", "degrade_picture"]
