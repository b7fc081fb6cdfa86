"""The tasks of MiOIR, and the words that name them."""

from __future__ import annotations

from collections.abc import Sequence

from unveil.degradations import DEGRADATIONS
from unveil.errors import RecipeError

TASKS = ("blur", "noise", "jpeg", "rain", "haze", "dark", "lowres")
"""In the published order, which is that of the classifier's outputs and of the rows of explicit prompts. The official
name of the last is `sr`."""

LETTERS = dict(zip("bnjrhds", TASKS, strict=True))
"""What the authors' files call the tasks, in the names of their orders."""

OFFICIAL = {task: "sr" if task == "lowres" else task for task in TASKS}
"""Names of the authors' folders."""


def printed(task: str) -> str:
    """The name of a task for people, which the table of degradations has for all but `lowres`."""
    return DEGRADATIONS[task].printed if task in DEGRADATIONS else "low resolution"


def ordered(order: str | Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Which tasks join together, one group after the other.

    Args:
        order: a word of letters (`sbnjrhd`), or a list of names or letters, with `+` between those that join together.

    Raises:
        RecipeError: a task is unknown or comes twice, or there is none.
    """
    groups = tuple(tuple(LETTERS.get(word.strip(), word.strip()) for word in entry.split("+")) for entry in order)
    names = [task for group in groups for task in group]
    if unknown := [name for name in names if name not in TASKS]:
        letters = ", ".join(f"{letter} {task}" for letter, task in LETTERS.items())
        raise RecipeError(f"order: found {unknown[0]!r}, expected tasks or a word of their letters: {letters}")
    if len(set(names)) != len(names) or not names:
        raise RecipeError(f"order: found {', '.join(names) or 'nothing'}, expected at least one task and each once")
    return groups
