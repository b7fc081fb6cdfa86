"""Photographs with coloured scratches, to try `unveil teach` on: a damage that no model of ours has seen.

    python benchmarks/scratches.py PHOTOGRAPHS OUT --count 80
    unveil teach OUT/degraded OUT/clean --name scratches -o taught.safetensors

Six to 24 crooked lines a picture, of any colour, 1 to 2.5 pixels wide, drawn at twice the size and halved.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--seed", type=int, default=5)
    given = parser.parse_args()
    random = np.random.default_rng(given.seed)
    files = sorted(given.photographs.rglob("*.*"))
    for name in ("degraded", "clean"):
        (given.out / name).mkdir(parents=True, exist_ok=True)
    for number, index in enumerate(random.permutation(len(files))[: given.count]):
        clean = Image.open(files[index]).convert("RGB")
        clean.save(given.out / "clean" / f"{number:03}.png")
        scratched(clean, random).save(given.out / "degraded" / f"{number:03}.png")


def scratched(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """A picture with scratches."""
    width, height = picture.size
    large = picture.resize((2 * width, 2 * height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(large)
    for _ in range(int(random.integers(6, 25))):
        x, y, angle = random.uniform(0, 2 * width), random.uniform(0, 2 * height), random.uniform(0, np.pi)
        points: list[tuple[float, float]] = []
        for _ in range(int(random.integers(4, 14))):
            points.append((x, y))
            angle += random.normal(0, 0.15)
            length = random.uniform(10, 40)
            x, y = x + length * np.cos(angle), y + length * np.sin(angle)
        red, green, blue = (int(value) for value in random.integers(0, 256, 3))
        pen.line(points, fill=(red, green, blue), width=int(random.integers(2, 6)))
    return large.resize((width, height), Image.Resampling.BOX)


if __name__ == "__main__":
    main()
