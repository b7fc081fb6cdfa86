"""Which tasks are learnt when, and at what rate (MiOIR, mixed and sequential learning).

Sequential learning shows the first task, then the first two, and so on; each stage begins with a fresh optimiser at the
full rate. Mixed learning shows all of them for as long and with the same cycles of the rate, so the two differ in what
they see, in Adam's moments after each joint, and in the rate of one step there.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from unveil.errors import RecipeError
from unveil.methods.mioir.tasks import TASKS, ordered

Learning: TypeAlias = Literal["mixed", "sequential"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the training with the same tasks: steps `start` to `end - 1`, counted from 0."""

    tasks: tuple[str, ...]
    start: int
    end: int

    @property
    def iterations(self) -> int:
        return self.end - self.start


class Curriculum:
    """An order of tasks, how long each stage lasts, and the cycles of the learning rate in it.

    Args:
        order: the tasks in the order in which they join, one a stage: names, or the authors' letters (`sbnjrhd`); in
            `["s+b", "n"]` two join together.
        iterations: steps of all stages together.
        shares: how long the stages last in relation to each other; equally long by default. With the lengths
            themselves, `iterations` is their sum.
        cycles: cosines of the learning rate in each stage, one by default.
        learning: `sequential`, or `mixed`: all tasks from the start, over the same steps and cycles.

    Raises:
        RecipeError: tasks, shares and cycles do not fit together.
    """

    def __init__(
        self,
        order: str | Sequence[str],
        iterations: int,
        *,
        shares: Sequence[float] | None = None,
        cycles: Sequence[int] | None = None,
        learning: Learning = "sequential",
    ) -> None:
        groups = ordered(order)
        self.order = tuple(task for group in groups for task in group)
        self.iterations, self.learning = iterations, learning
        shares, cycles = tuple(shares or (1,) * len(groups)), tuple(cycles or (1,) * len(groups))
        if learning not in ("mixed", "sequential"):
            raise RecipeError(f"learning is {learning!r}, expected 'mixed' or 'sequential'")
        if not len(groups) == len(shares) == len(cycles):
            raise RecipeError(
                f"found an order of {len(groups)}, {len(shares)} shares and {len(cycles)} cycles, expected as many of "
                "each: they describe the stages"
            )
        if min(shares) <= 0 or min(cycles) < 1:
            raise RecipeError(f"found shares {shares} and cycles {cycles}, expected all above zero")
        ends = [round(iterations * share / sum(shares)) for share in accumulate(shares)]
        starts = [0, *ends[:-1]]
        turns = [
            start + round((end - start) * number / count)
            for start, end, count in zip(starts, ends, cycles, strict=True)
            for number in range(count)
        ]
        self._turns = (*turns, iterations)
        if any(after <= before for before, after in pairwise(self._turns)):
            raise RecipeError(f"{iterations} steps are too few for the cycles {cycles} of stages with shares {shares}")
        shown = accumulate(groups)
        every = (Stage(tasks, start, end) for tasks, start, end in zip(shown, starts, ends, strict=True))
        self.stages = (Stage(self.order, 0, iterations),) if learning == "mixed" else tuple(every)

    @property
    def joints(self) -> tuple[int, ...]:
        """Steps, counted from 0, at which a stage begins with a fresh optimiser, but for the first."""
        return tuple(stage.start for stage in self.stages[1:])

    def stage(self, step: int) -> Stage:
        """The stage of a step, counted from 0; the last one for all after the end."""
        return next((stage for stage in self.stages if step < stage.end), self.stages[-1])

    def factor(self, step: int) -> float:
        """Where between its floor (0) and its peak (1) the learning rate is in a step, counted from 0.

        Half a cosine a cycle. A cycle includes its end, where the rate is at its floor, and the next one goes on from
        its second step; so the peak comes once, and in sequential learning once in each stage.
        """
        if step in self.joints or step == 0:
            return 1.0
        place = bisect_left(self._turns, min(step, self.iterations))
        first, end = self._turns[place - 1], self._turns[place]
        return 0.5 * (1 + math.cos(math.pi * (min(step, end) - first) / (end - first)))

    def rate(self, step: int, *, peak: float, floor: float) -> float:
        """The learning rate of a step, counted from 0."""
        return floor + (peak - floor) * self.factor(step)

    def labels(self, step: int, count: int, generator: torch.Generator) -> Tensor:
        """Draw the tasks of a batch, each task of the stage as likely as the others: (count,), places in `TASKS`."""
        tasks = torch.tensor([TASKS.index(task) for task in self.stage(step).tasks])
        return tasks[torch.randint(len(tasks), (count,), generator=generator)]
