"""Training in one process and in two: the same course, and how many samples a second.

    python benchmarks/processes.py PHOTOGRAPHS --steps 60

Both train Phase I of the shipped model's network on the same batches, drawn in two parts; the processes have one core
each. Prints samples a second (of the second half of the steps), and how far losses and weights are apart.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

RECIPE = """
name: processes
precision: {precision}
network: {{name: fastnaf, width: 32, encoder: [1, 2, 4], middle: 4, decoder: [1, 1, 1], unshuffle: 2, attention: false}}
pretraining:
  degradations: {{noise: 3, blur: 2, rain: 2, jpeg: 1.5, snow: 1, bits: 1, clean: 1}}
  iterations: {steps}
  batch: 16
  parts: 2
  patch: 96
  learning_rate: 1.0e-3
  warm_up: 10
adaptation: {{iterations: 1, batch: 2, patch: 32, learning_rate: 1.0e-3}}
adapters: {{noise: {{}}}}
estimation: {{iterations: 1, batch: 8, patch: 32, learning_rate: 1.0e-3}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--precision", default="32-true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        recipe = place / "recipe.yaml"
        recipe.write_text(RECIPE.format(precision=given.precision, steps=given.steps))
        print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, torch {torch.__version__}, {given.precision}")
        for processes in (1, 2):
            rate = train(recipe, given.photographs, place / str(processes), processes, given.steps)
            print(f"{processes} process{'es' if processes > 1 else ''}: {rate:.2f} samples/s")
        weights = [
            torch.load(place / name / "pretraining" / "final.ckpt", weights_only=True)["state_dict"] for name in "12"
        ]
        apart = max(float((weights[0][key] - weights[1][key]).abs().max()) for key in weights[0])
        print(f"largest difference of a weight after {given.steps} steps: {apart:.2e}")
        for name in "12":
            print(f"l1 of process 0 in run {name}: {losses(place / name)}")


def train(recipe: Path, photographs: Path, out: Path, processes: int, steps: int) -> float:
    """Samples a second from a quarter of the steps to the end, by the times of checkpoints and of the result."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"] if processes > 1 else []
    words = [sys.executable, *launch, "-m", "unveil", "train", str(recipe), "--data", str(photographs)]
    words += ["--out", str(out), "--phase", "pretrain", "--threads", "1", "--checkpoint-every", str(steps // 4)]
    running = subprocess.Popen(
        words, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    last, final = (out / "pretraining" / name for name in ("last.ckpt", "final.ckpt"))
    while not last.exists() and running.poll() is None:
        time.sleep(0.02)
    begun = time.perf_counter()
    while not final.exists() and running.poll() is None:
        time.sleep(0.02)
    seconds = time.perf_counter() - begun
    if running.wait():
        raise SystemExit(f"{processes} processes: training stopped with {running.returncode}")
    return (steps - steps // 4) * 16 / seconds


def losses(run: Path) -> str:
    """The logged losses."""
    with (run / "pretraining" / "metrics.csv").open(newline="") as stream:
        return " ".join(f"{float(row['l1']):.4f}" for row in csv.DictReader(stream) if row["l1"])


if __name__ == "__main__":
    main()
