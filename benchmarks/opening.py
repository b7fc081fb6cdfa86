"""What a new blend costs before the first tile: merging adapters and opening a session, against restoring a megapixel.

python benchmarks/opening.py [--model NAME] [--threads 2] [--rounds 5]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from unveil import engines, models
from unveil.engines import Precision
from unveil.restoration import Restorer

FORMS: tuple[tuple[str, Precision], ...] = (("onnx", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"))


def least(run: Callable[[], Any], rounds: int) -> float:
    """Seconds of the fastest round."""
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=models.DEFAULT)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    model = models.read(models.find(options.model))
    picture = np.random.default_rng(0).random((1000, 1000, 3), dtype=np.float32)
    weights = dict.fromkeys(list(model.adapters)[:2], 0.5)
    base = models.blend(model.weights["restore"], {}, {})
    merging = least(lambda: models.blend(base, model.adapters, weights), options.rounds)
    blended = models.blend(base, model.adapters, weights)
    print(f"{model.card.name}, {options.threads} threads; merging {len(weights)} adapters: {merging * 1e3:.1f} ms\n")
    print("| engine | open, ms | a megapixel, ms | merging and opening, of that |\n|---|---|---|---|")
    for name, precision in FORMS:
        if name not in engines.available():
            continue
        engine = engines.choose(name, threads=options.threads, precision=precision)
        sides = {"batch": 1, "height": 1008, "width": 1008}
        opening = least(lambda: engine.open(model, "restore", blended, sides), options.rounds)  # noqa: B023
        restorer = Restorer(model, engine=name, precision=precision, threads=options.threads)
        restorer.run(picture, weights=weights)
        restoring = least(lambda: restorer.run(picture, weights=weights), options.rounds)  # noqa: B023
        share = (merging + opening) / restoring
        print(f"| {name} {precision} | {opening * 1e3:.0f} | {restoring * 1e3:.0f} | {share:.0%} |", flush=True)


if __name__ == "__main__":
    main()
