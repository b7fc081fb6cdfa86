"""Writes pairs that never change: each photograph once with each of five degradations.

    python benchmarks/fixed_pairs.py PHOTOGRAPHS OUT --count 60

The study `studies/abair.yaml` trains a base on them: the row of the paper's ablation that learns from restoration sets
instead of from degradations made on the fly. How many photographs, 320 x 320 pixels of each, and one severity drawn
from the typical range for each picture, is ours.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from unveil import images
from unveil.degradations import DEGRADATIONS, quantise

SIDE = 320


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random = np.random.default_rng(given.seed)
    generator = torch.Generator().manual_seed(given.seed)
    paths = sorted(path for folder in given.photographs for path in folder.rglob("*.*"))
    names = ("noise", "blur", "rain", "haze", "dark")
    for name in ("clean", *names):
        (given.out / name).mkdir(parents=True, exist_ok=True)
    done = 0
    for index in random.permutation(len(paths)):
        pixels = images.read(paths[index]).srgb()
        if done == given.count:
            break
        if min(pixels.shape[:2]) < SIDE or pixels.dtype != np.uint8:
            continue
        top, left = ((side - SIDE) // 2 for side in pixels.shape[:2])
        crop = np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])
        clean = torch.from_numpy(crop).permute(2, 0, 1)[None] / 255
        save(clean, given.out / "clean" / f"{done:03}.png")
        for name in names:
            low, high = DEGRADATIONS[name].typical
            severity = low + (high - low) * float(random.random())
            save(quantise(DEGRADATIONS[name](clean, severity, generator)), given.out / name / f"{done:03}.png")
        done += 1


def save(image: torch.Tensor, path: Path) -> None:
    Image.fromarray((image[0].permute(1, 2, 0) * 255).round().byte().numpy()).save(path)


if __name__ == "__main__":
    main()
