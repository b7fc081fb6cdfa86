"""What share of training goes into reading pictures, cutting crops and degrading them, and what into the network.

    python benchmarks/training_waits.py --data PHOTOGRAPHS [--recipe RECIPE] [--phase pretrain] [--steps 60]

Runs the first steps of a phase in a temporary folder on one process, in which nothing overlaps: what is not the network
is waited for. Where a GPU computes, other processes read meanwhile (`unveil train --workers`).
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning

from unveil import training
from unveil.degradations import Degradation
from unveil.training import fitting

SPENT: Counter[str] = Counter()
DEPTH: Counter[str] = Counter()


def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, its time counted; calls within calls once."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        DEPTH[name] += 1
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            DEPTH[name] -= 1
            if not DEPTH[name]:
                SPENT[name] += time.perf_counter() - started

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--recipe", default=Path(__file__).parents[1] / "recipes" / "abair" / "fast.yaml", type=Path)
    parser.add_argument("--phase", default="pretrain")
    parser.add_argument("--stage", default="pretraining", help="its key in the recipe")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    fitting._Share.__getitem__ = timed("reading and cutting", fitting._Share.__getitem__)  # type: ignore[method-assign]
    Degradation.__call__ = timed("degrading", Degradation.__call__)  # type: ignore[method-assign]
    lightning.Trainer.fit = timed("all", lightning.Trainer.fit)  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        training.run(
            options.recipe,
            data=options.data,
            out=folder,
            phases=[options.phase],
            overrides=[f"{options.stage}.iterations={options.steps}"],
            threads=options.threads,
        )
    whole = SPENT.pop("all")
    print(f"{options.recipe.name}, {options.phase}: {options.steps / whole:.2f} steps a second")
    for name, seconds in SPENT.items():
        print(f"{name}: {seconds / options.steps * 1e3:.1f} ms a step, {seconds / whole:.1%}")
    print(f"the rest: {(whole - sum(SPENT.values())) / options.steps * 1e3:.1f} ms a step")


if __name__ == "__main__":
    main()
