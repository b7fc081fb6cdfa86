"""Pairs made of clean pictures by a recipe of our own generators, so that a mixture can be taught as one damage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from unveil.data import Photographs, middle
from unveil.degradations import DEGRADATIONS, quantise
from unveil.errors import RecipeError
from unveil.training.recipe import read_mapping, section

LARGEST = 768
"""Side of the middle of a picture that is damaged: more would only take time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One degradation, at severities drawn evenly from a range."""

    degradation: str
    severity: tuple[float, float]

    def __post_init__(self) -> None:
        if self.degradation not in DEGRADATIONS:
            raise RecipeError(f"steps: unknown degradation {self.degradation!r}; known: {', '.join(DEGRADATIONS)}")
        if len(self.severity) != 2 or not 0 <= self.severity[0] <= self.severity[1] <= 1:
            raise RecipeError(f"steps: {self.degradation}: severity is two ascending numbers in 0..1, {self.severity}")


def read_steps(path: Path) -> list[Step]:
    """The steps of a recipe of damage.

    Raises:
        RecipeError: it is missing or wrong.
    """
    found = read_mapping(path)
    steps = found.pop("steps", None)
    if found or not isinstance(steps, list) or not steps:
        raise RecipeError(f"{path}: expected 'steps', a list of {{degradation: NAME, severity: [LOW, HIGH]}}, alone")
    return [section(Step, step, f"steps.{index}") for index, step in enumerate(steps, 1)]


def damage_folder(clean: Path, recipe: Path, out: Path) -> Path:
    """Damage the pictures of a folder, into `degraded` and `clean` below another; those that are there are kept.

    Returns:
        The folder of the degraded ones.

    Raises:
        RecipeError: the recipe is wrong, or the folder holds no pictures.
    """
    steps = read_steps(recipe)
    photographs = Photographs([clean], shortest=64, memory=0)
    targets = out / "degraded", out / "clean"
    for target in targets:
        target.mkdir(parents=True, exist_ok=True)
    for index in range(len(photographs)):
        name = f"{index:05}.png"
        if all((target / name).exists() for target in targets):
            continue
        pixels = photographs.pixels(index)
        if pixels is None:
            continue
        image = torch.from_numpy(middle(pixels, LARGEST)).permute(2, 0, 1)[None].float() / 255
        for target, picture in zip(targets, (damaged(image, steps, index), image), strict=True):
            part = target / f".{name}.part"
            Image.fromarray((picture[0].permute(1, 2, 0) * 255).round().byte().numpy()).save(part, "PNG")
            part.replace(target / name)
    return targets[0]


def damaged(image: torch.Tensor, steps: Sequence[Step], seed: int) -> torch.Tensor:
    """A picture `1 3 H W` after all steps."""
    generator = torch.Generator().manual_seed(seed)
    for step in steps:
        low, high = step.severity
        severity = low + (high - low) * float(torch.rand((), generator=generator))
        image = quantise(DEGRADATIONS[step.degradation](image, severity, generator))
    return image
