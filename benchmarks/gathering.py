"""How near tiles are to the picture in one piece, for networks with statistics of the whole picture.

    python benchmarks/gathering.py weights/nafnet.pth weights/restormer.pth --picture photo.jpg

The picture's right half is darkened, so that its parts have other statistics than the whole, and noise is added. It is
restored in one piece, in tiles that each take their own statistics, and in tiles under statistics that were gathered
over the parts of the picture first (`unveil convert --gather`).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unveil import conversion, images
from unveil.models import Model
from unveil.restoration import Restorer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", type=Path, help="official weights, as for `unveil convert`")
    parser.add_argument("--picture", type=Path, required=True, help="at least as large as --side")
    parser.add_argument("--side", type=int, default=768, help="of the square that is cut out of the picture")
    parser.add_argument("--tiles", type=int, nargs="+", default=[256, 384])
    options = parser.parse_args()
    pixels = uneven(images.read(options.picture).srgb(), options.side)
    print("| network | tiles of | own statistics: dB, largest of 255 | gathered: dB, largest of 255 | time |")
    print("|---|---:|---:|---:|---:|")
    for path in options.weights:
        found = conversion.recognise(path)
        gathered = conversion.convert(found, path, conversion.Options(gather=True))
        network = {"name": found.name, "config": found.config}
        plain = replace(gathered, card=replace(gathered.card, network=network, codes=()))
        whole, _ = restored(plain, pixels, 4 * options.side)
        for side in options.tiles:
            own, seconds = restored(plain, pixels, side)
            near, longer = restored(gathered, pixels, side)
            print(
                f"| {found.describe()} | {side} | {distance(own, whole)} | {distance(near, whole)} | "
                f"x{longer / seconds:.2f} |",
                flush=True,
            )


def uneven(picture: NDArray[np.integer], side: int) -> NDArray[np.float32]:
    """A square of a picture as floats, its right half at 0.35 of its brightness, with noise of sigma 25 of 255."""
    top = np.float32(np.iinfo(picture.dtype).max)
    square = picture[:side, :side, :3].astype(np.float32) / top
    if square.shape[:2] != (side, side):
        raise SystemExit(f"the picture is smaller than {side} x {side} pixels")
    square[:, side // 2 :] *= 0.35
    noise = np.random.default_rng(0).normal(0, 25 / 255, square.shape)
    return (square + noise).clip(0, 1).astype(np.float32)


def restored(model: Model, pixels: NDArray[np.float32], side: int) -> tuple[NDArray[np.float32], float]:
    """The picture restored in tiles of about a side, and the seconds that it took."""
    restorer = Restorer(model, engine="torch", threads=1, tile_side=side)
    # Opening takes part of the first run.
    restorer.restore(pixels[: side // 2, : side // 2])
    started = time.process_time()
    result = restorer.restore(pixels)
    return result, time.process_time() - started


def distance(one: NDArray[np.float32], other: NDArray[np.float32]) -> str:
    difference = np.abs(one.astype(np.float64) - other)
    return f"{-10 * np.log10(np.mean(difference**2)):.1f}, {difference.max() * 255:.1f}"


if __name__ == "__main__":
    main()
