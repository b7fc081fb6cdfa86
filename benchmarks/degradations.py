"""Speed of the degradations on one thread: pictures a second, and milliseconds a batch of 16.

python benchmarks/degradations.py [--sides 96 256] [--batch 16]
"""

from __future__ import annotations

import argparse
import time

import torch

from unveil.degradations import DEGRADATIONS, Degradation


def milliseconds(degradation: Degradation, batch: int, side: int, seconds: float) -> float:
    """CPU milliseconds a batch of `batch` pictures of 3 x side x side, drawing included."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, side, side, generator=generator)
    low, high = degradation.typical
    severity = torch.linspace(low, high, batch)
    degradation(images, severity, generator)
    start, count = time.process_time(), 0
    while time.process_time() - start < seconds:
        degradation(images, severity, generator)
        count += 1
    return (time.process_time() - start) / count * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[96, 256])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.5, help="time for each measurement")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| degradation | " + " | ".join(f"{side}: ms a batch | pictures/s" for side in arguments.sides) + " |")
    print("|---|" + "---|---|" * len(arguments.sides))
    for name, degradation in DEGRADATIONS.items():
        cells = []
        for side in arguments.sides:
            taken = milliseconds(degradation, arguments.batch, side, arguments.seconds)
            cells += [f"{taken:.1f}", f"{arguments.batch / taken * 1000:.0f}"]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
