"""Working on less at a time while memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from unveil.errors import OutOfMemory

Result = TypeVar("Result")
Amount = TypeVar("Amount")


def while_memory_lasts(
    amount: Amount,
    work: Callable[[Amount], Result],
    *,
    less: Callable[[Amount], Amount | None],
    free: Callable[[], object],
) -> tuple[Result, Amount]:
    """Do `work` on an amount at a time, and on less and less of it while memory runs out.

    Args:
        amount: to begin with.
        less: the next smaller amount, None where there is none.
        free: gives back what need not be kept; called before every further try.

    Returns:
        What `work` gave, and the amount at which it did.

    Raises:
        OutOfMemory: not even the smallest amount suffices.
    """
    while True:
        try:
            return work(amount), amount
        except OutOfMemory:
            free()
            smaller = less(amount)
            if smaller is None:
                raise
            amount = smaller
