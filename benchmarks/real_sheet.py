"""Photographs whose damage nobody made: before and after of each, side by side, to be looked at.

    python benchmarks/real_sheet.py --root data --out sheets
    python benchmarks/real_sheet.py --root data --out sheets --model runs/fast/model.safetensors --blend oh

Writes a sheet a folder (`real_rain_3.png`, ...) and prints what the diagnosis said of every picture, and how far the
result is from it: PSNR between before and after in dB, and the change of the mean in levels of 255. No figure tells
whether a picture has become better: look.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unveil import images, models
from unveil.datasets.patterns import SUFFIXES
from unveil.metrics.fidelity import psnr
from unveil.metrics.sheets import Panel, Strip, as_bytes, draw
from unveil.restoration import Restorer

FOLDERS = ("real_rain_3", "real_raindrop_5", "real_snow_4", "real_haze_5", "real_lowlight_20")
SIDE = 480


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default=models.DEFAULT)
    parser.add_argument("--blend")
    parser.add_argument("--threads", type=int)
    chosen = parser.parse_args()
    restorer = Restorer(models.read(models.find(chosen.model)), threads=chosen.threads)
    chosen.out.mkdir(parents=True, exist_ok=True)
    print("| picture | said | before to after, dB | mean |\n|---|---|---:|---:|")
    for name in FOLDERS:
        folder = chosen.root / name
        if not folder.is_dir():
            print(f"{folder} is not there: left out")
            continue
        strips = list(_strips(folder, restorer, chosen.blend))
        # Sheets of a height that can be looked at as a whole.
        for start in range(0, len(strips), 4):
            part = "" if len(strips) <= 4 else f"-{start // 4 + 1}"
            sheet = draw(f"{restorer.card.name}, {name}: before and after", strips[start : start + 4])
            sheet.save(chosen.out / f"{name}{part}.png")


def _strips(folder: Path, restorer: Restorer, blend: str | None) -> Iterator[Strip]:
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        before = as_bytes(images.read(path).srgb())
        done = restorer.run(before, blend=blend)
        after, found = np.asarray(done.image), done.diagnosis
        assert found is not None
        likely = sorted(found.probabilities.items(), key=lambda entry: -entry[1])
        said = ", ".join(f"{name} {share:.2f}" for name, share in likely if share >= 0.05)
        kept = ": left as it was" if np.array_equal(before, after) else ""
        shift = float(after.mean(dtype=np.float64) - before.mean(dtype=np.float64))
        distance = "same" if kept else f"{psnr(after, before):.1f}"
        print(f"| {folder.name}/{path.relative_to(folder)} | {said} | {distance} | {shift:+.1f} |", flush=True)
        yield Strip(f"{path.name}: {said}{kept}", (Panel(_shrunk(before)), Panel(_shrunk(after))))


def _shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = Image.fromarray(pixels)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)


if __name__ == "__main__":
    main()
