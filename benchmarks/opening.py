"""What a new blend costs before the first tile: merging adapters and opening a session, against restoring a megapixel.

python benchmarks/opening.py [--model NAME] [--threads 2] [--rounds 5]

On a machine that does something else as well, seconds say nothing: `--threads 1 --processor` counts those that the
processor worked for this, and shares stay what they are.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from unveil import engines, models
from unveil.engines import Precision
from unveil.restoration import Restorer

Clock: TypeAlias = Callable[[], float]

FORMS: tuple[tuple[str, Precision], ...] = (("onnx", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"))


def least(run: Callable[[], Any], rounds: int, clock: Clock) -> float:
    """Seconds of the fastest round."""
    best = float("inf")
    for _ in range(rounds):
        started = clock()
        run()
        best = min(best, clock() - started)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=models.DEFAULT)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processor", action="store_true", help="seconds of the processor")
    options = parser.parse_args()
    clock = time.process_time if options.processor else time.perf_counter
    model = models.read(models.find(options.model))
    picture = np.random.default_rng(0).random((1000, 1000, 3), dtype=np.float32)
    weights = dict.fromkeys(list(model.adapters)[:2], 0.5)
    merging = models.Merging(model.weights["restore"], model.adapters)
    merged = least(lambda: merging(weights), options.rounds, clock)
    print(f"{model.card.name}, {options.threads} threads; merging {len(weights)} adapters: {merged * 1e3:.1f} ms\n")
    print("| engine | first, ms | next, ms | later, ms | a megapixel, ms | merging and a later one, of that |")
    print("|---|---|---|---|---|---|")
    for name, precision in FORMS:
        if name not in engines.available():
            continue
        engine = engines.choose(name, threads=options.threads, precision=precision)
        sides = {"batch": 1, "height": 1008, "width": 1008}
        blended = merging(weights)
        # A folder or a server keeps the last networks open, and so does this.
        opened: list[object] = []
        seconds: list[float] = []
        for _ in range(3 + options.rounds):
            started = clock()
            opened.append(engine.open(model, "restore", blended, sides))
            seconds.append(clock() - started)
            del opened[:-3]
        first, second, later = seconds[0], seconds[1], min(seconds[3:])
        opened.clear()
        restorer = Restorer(model, engine=name, precision=precision, threads=options.threads)
        restorer.run(picture, weights=weights)
        restoring = least(lambda: restorer.run(picture, weights=weights), options.rounds, clock)  # noqa: B023
        shares = f"{(merged + later) / restoring:.1%}"
        times = " | ".join(f"{each * 1e3:.0f}" for each in (first, second, later, restoring))
        print(f"| {name} {precision} | {times} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
