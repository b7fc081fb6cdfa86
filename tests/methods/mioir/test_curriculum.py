"""What is learnt when, and at what rate."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from unveil.errors import RecipeError  # noqa: E402
from unveil.methods.mioir.curriculum import Curriculum  # noqa: E402
from unveil.methods.mioir.tasks import TASKS, ordered  # noqa: E402

PUBLISHED: dict[str, Any] = {"shares": [1, 1, 1, 1, 1, 1, 4], "cycles": [1, 1, 1, 1, 1, 1, 4]}
PEAK, FLOOR = 2e-4, 1e-7


def both(iterations: int = 1000) -> tuple[Curriculum, Curriculum]:
    mixed, sequential = (
        Curriculum("sbnjrhd", iterations, learning=learning, **PUBLISHED) for learning in ("mixed", "sequential")
    )
    return mixed, sequential


def test_both_ways_of_learning_have_one_law_but_for_the_first_step_after_each_joint() -> None:
    mixed, sequential = both()
    assert sequential.joints == (100, 200, 300, 400, 500, 600)
    assert mixed.joints == ()
    rates = [[which.rate(step, peak=PEAK, floor=FLOOR) for step in range(1000)] for which in (mixed, sequential)]
    different = [step for step, (one, other) in enumerate(zip(*rates, strict=True)) if one != other]
    assert different == list(sequential.joints)
    for step in different:
        assert rates[0][step] == pytest.approx(FLOOR)
        assert rates[1][step] == PEAK


def test_the_rate_is_the_published_cosine() -> None:
    mixed, _ = both()
    for iteration in (1, 2, 50, 100, 101, 102, 651, 999, 1000):
        past = iteration - 1
        # A cycle includes its end, so that only the very first step is at the peak.
        start = 0 if past == 0 else 100 * ((past - 1) // 100)
        expected = FLOOR + 0.5 * (PEAK - FLOOR) * (1 + math.cos(math.pi * (past - start) / 100))
        assert mixed.rate(past, peak=PEAK, floor=FLOOR) == pytest.approx(expected, rel=1e-12)
    assert [step for step in range(1000) if mixed.factor(step) == 1] == [0]


def test_task_k_joins_at_the_published_step() -> None:
    sequential = Curriculum("rjbsnhd", 1_000_000, **PUBLISHED)
    assert [stage.iterations for stage in sequential.stages] == [100_000] * 6 + [400_000]
    names = ("rain", "jpeg", "blur", "lowres", "noise", "haze", "dark")
    for number, task in enumerate(names):
        joined = next(stage.start for stage in sequential.stages if task in stage.tasks)
        assert joined == number * 100_000


def test_stages_may_have_any_length_and_several_tasks() -> None:
    made = Curriculum(["s+b", "noise", "j"], 70, shares=[5, 20, 45], cycles=[1, 2, 3])
    assert [(stage.start, stage.end) for stage in made.stages] == [(0, 5), (5, 25), (25, 70)]
    assert made.stages[0].tasks == ("lowres", "blur")
    assert made.order == ("lowres", "blur", "noise", "jpeg")
    assert made.stage(24).tasks == ("lowres", "blur", "noise")
    assert made.stage(25).tasks == made.stage(10_000).tasks == made.order
    lowest = [step for step in range(1, 71) if made.factor(step) < 1e-9]
    assert lowest == [15, 40, 55, 70]


def test_a_stage_shows_its_tasks_and_no_others_equally_often() -> None:
    _, sequential = both(70)
    for number, stage in enumerate(sequential.stages):
        labels = sequential.labels(stage.start, 7000, torch.Generator().manual_seed(number))
        shown, counts = labels.unique(return_counts=True)
        assert {TASKS[index] for index in shown.tolist()} == set(sequential.order[: number + 1])
        share = 1 / (number + 1)
        deviation = math.sqrt(7000 * share * (1 - share)) or 1
        assert ((counts - 7000 * share).abs() < 4 * deviation).all()
    mixed, _ = both(70)
    assert len(mixed.labels(0, 500, torch.Generator().manual_seed(0)).unique()) == 7


def test_orders_are_letters_or_names() -> None:
    assert ordered("sbnjrhd") == ordered(["lowres", "blur", "noise", "jpeg", "rain", "haze", "dark"])
    assert list(ordered("bnjrhds")) == [(task,) for task in TASKS]


@pytest.mark.parametrize(
    ("order", "options", "complaint"),
    [
        ("sbx", {}, "expected tasks or a word of their letters"),
        ("sbb", {}, "each once"),
        ("", {}, "at least one"),
        ("sb", {"shares": [1]}, "they describe the stages"),
        ("sb", {"shares": [1, 0]}, "above zero"),
        ("sb", {"learning": "both"}, "expected 'mixed' or 'sequential'"),
        ("sb", {"cycles": [1, 60]}, "too few"),
    ],
)
def test_what_does_not_fit_is_refused(order: str, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        Curriculum(order, 100, **options)
