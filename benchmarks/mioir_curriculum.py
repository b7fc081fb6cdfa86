"""Draw the learning rate and the data mix of MiOIR's mixed and sequential learning, from the code that trains.

python benchmarks/mioir_curriculum.py recipes/mioir/restormer.yaml docs/pictures/mioir-curriculum.svg
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

from unveil.methods.mioir.curriculum import Curriculum
from unveil.methods.mioir.tasks import printed
from unveil.training import Recipe
from unveil.training.mioir import MioirRecipe

WIDTH, LEFT, RIGHT, TALL, GAP = 900, 96, 150, 130, 46
INK, FAINT = "#1c1c20", "#6e6e76"
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#3c3c3c")
POINTS = 600


def draw(recipe: MioirRecipe) -> str:
    """The SVG: the rate on top, then what S shows, then what M shows."""
    plans = {
        learning[0].upper(): replace(recipe, curriculum=replace(recipe.curriculum, learning=learning)).plan
        for learning in ("sequential", "mixed")
    }
    height = 3 * (TALL + GAP) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="13" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    peak, floor = recipe.restoration.learning_rate, recipe.restoration.learning_rate * recipe.restoration.floor
    parts += _rates(plans["S"], plans["M"], peak, floor)
    for row, name in enumerate(plans, 1):
        parts += _mix(plans[name], name, GAP + row * (TALL + GAP))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _rates(sequential: Curriculum, mixed: Curriculum, peak: float, floor: float) -> list[str]:
    total, top = mixed.iterations, GAP
    steps = sorted({round(number * (total - 1) / POINTS) for number in range(POINTS + 1)})
    line = " ".join(
        f"{_across(step, total):.1f},{top + TALL * (1 - mixed.rate(step, peak=peak, floor=floor) / peak):.1f}"
        for step in steps
    )
    parts = [
        *_frame(top, f"Learning rate, peak {peak:g}: S and M alike, but for one step at each joint", total),
        f'<polyline points="{line}" fill="none" stroke="{COLOURS[1]}" stroke-width="2"/>',
        f'<text x="{LEFT - 8}" y="{top + 5}" text-anchor="end" fill="{FAINT}">{peak:g}</text>',
        f'<text x="{LEFT - 8}" y="{top + TALL + 4}" text-anchor="end" fill="{FAINT}">{floor:g}</text>',
    ]
    for joint in sequential.joints:
        x, low = _across(joint, total), sequential.rate(joint, peak=peak, floor=floor) / peak
        parts.append(f'<circle cx="{x:.1f}" cy="{top + TALL * (1 - low):.1f}" r="4" fill="{COLOURS[0]}"/>')
    legend = WIDTH - RIGHT + 14
    parts.append(f'<circle cx="{legend + 4}" cy="{top + 8}" r="4" fill="{COLOURS[0]}"/>')
    parts.append(f'<text x="{legend + 16}" y="{top + 12}">S, first step</text>')
    parts.append(f'<text x="{legend + 16}" y="{top + 28}" fill="{FAINT}">M is at {floor:g}</text>')
    return parts


def _mix(plan: Curriculum, name: str, top: int) -> list[str]:
    said = {"S": "S: a task joins in each stage", "M": "M: all tasks from the start"}[name]
    parts = _frame(top, f"{said}; share of each in a batch", plan.iterations)
    for stage in plan.stages:
        x, end = _across(stage.start, plan.iterations), _across(stage.end, plan.iterations)
        tall = TALL / len(stage.tasks)
        for place, task in enumerate(stage.tasks):
            colour = COLOURS[plan.order.index(task)]
            parts.append(
                f'<rect x="{x:.1f}" y="{top + TALL - (place + 1) * tall:.1f}" width="{end - x:.1f}" '
                f'height="{tall:.1f}" fill="{colour}" stroke="#ffffff" stroke-width="0.8"/>'
            )
    for place, task in enumerate(plan.order):
        y = top + TALL - (place + 0.5) * TALL / len(plan.order) + 5
        parts.append(
            f'<rect x="{WIDTH - RIGHT + 14}" y="{y - 10:.1f}" width="10" height="10" fill="{COLOURS[place]}"/>'
        )
        parts.append(f'<text x="{WIDTH - RIGHT + 30}" y="{y:.1f}">{printed(task)}</text>')
    return parts


def _frame(top: int, title: str, total: int) -> list[str]:
    right = WIDTH - RIGHT
    ticks = [
        f'<text x="{_across(round(total * share), total):.1f}" y="{top + TALL + 16}" text-anchor="middle" '
        f'fill="{FAINT}" font-size="11">{round(total * share):,}</text>'
        for share in (0, 0.2, 0.4, 0.6, 0.8, 1)
    ]
    return [
        f'<text x="{LEFT}" y="{top - 10}">{title}</text>',
        f'<rect x="{LEFT}" y="{top}" width="{right - LEFT}" height="{TALL}" fill="none" stroke="#d7d7dc"/>',
        *ticks,
    ]


def _across(step: int, total: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * step / total


if __name__ == "__main__":
    source, target = sys.argv[1:]
    Path(target).write_text(draw(cast("MioirRecipe", Recipe.read(source))), encoding="utf-8")
