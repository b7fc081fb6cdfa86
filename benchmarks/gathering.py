"""How near tiles are to the picture in one piece, for networks with statistics of the whole picture.

    python benchmarks/gathering.py weights/nafnet.pth weights/restormer.pth --picture photo.jpg --window 144

The picture's right half is darkened, so that its parts have other statistics than the whole, and noise is added. It is
restored in one piece, in tiles that each take their own statistics, in tiles under statistics that were gathered over
the parts of the picture first (`unveil convert --gather`), and, as another function in one piece and in tiles, with
statistics of windows (`unveil convert --local`). The first table is about one piece: what windows make of the network.
The second compares tiles with the one piece of the same network.
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

Floats = NDArray[np.float32]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", type=Path, help="official weights, as for `unveil convert`")
    parser.add_argument("--picture", type=Path, required=True, help="at least as large as --side")
    parser.add_argument("--side", type=int, default=768, help="of the square that is cut out of the picture")
    parser.add_argument("--tiles", type=int, nargs="+", default=[256, 384])
    parser.add_argument("--window", type=int, default=144, help="of local statistics: 1.5 times the training patch")
    parser.add_argument("--halos", type=int, nargs="+", help="of tiles with windows; by default that of the card")
    options = parser.parse_args()
    truth, pixels = uneven(images.read(options.picture).srgb(), options.side)
    pieces = ["| network | noisy | own statistics | windows | windows to own statistics | time of windows |"]
    pieces.append("|---|---:|---:|---:|---:|---:|")
    print("| network | tiles of | own statistics: dB, largest of 255 | gathered: the same | time | windows | time |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for path in options.weights:
        found = conversion.recognise(path)
        gathered = conversion.convert(found, path, conversion.Options(gather=True))
        local = conversion.convert(found, path, conversion.Options(local=options.window))
        network = {"name": found.name, "config": found.config}
        plain = replace(gathered, card=replace(gathered.card, network=network, codes=()))

        def run(model: Model, side: int) -> tuple[Floats, float]:
            return restored(model, pixels, side)

        whole, usual = run(plain, 4 * options.side)
        other, longer = run(local, 4 * options.side)
        told = (distance(pixels, truth), distance(whole, truth), distance(other, truth), distance(other, whole))
        pieces.append(f"| {found.describe()} | {' | '.join(told)} | x{longer / usual:.2f} |")
        for side in options.tiles:
            own, seconds = run(plain, side)
            near, first = run(gathered, side)
            for halo in options.halos or [local.card.halo]:
                away, second = run(replace(local, card=replace(local.card, halo=halo)), side)
                print(
                    f"| {found.describe()} | {side} | {distance(own, whole)} | {distance(near, whole)} "
                    f"| x{first / seconds:.2f} | {distance(away, other)} (halo {halo}) | x{second / seconds:.2f} |",
                    flush=True,
                )
    print("", *pieces, sep="\n")


def uneven(picture: NDArray[np.integer], side: int) -> tuple[Floats, Floats]:
    """A square of a picture as floats, its right half at 0.35 of its brightness; and with noise of sigma 25 of 255."""
    top = np.float32(np.iinfo(picture.dtype).max)
    square = picture[:side, :side, :3].astype(np.float32) / top
    if square.shape[:2] != (side, side):
        raise SystemExit(f"the picture is smaller than {side} x {side} pixels")
    square[:, side // 2 :] *= 0.35
    noise = np.random.default_rng(0).normal(0, 25 / 255, square.shape)
    return square, (square + noise).clip(0, 1).astype(np.float32)


def restored(model: Model, pixels: Floats, side: int) -> tuple[Floats, float]:
    """The picture restored in tiles of about a side, and the CPU seconds that it took."""
    restorer = Restorer(model, engine="torch", threads=1, tile_side=side)
    # Opening takes part of the first run.
    restorer.restore(pixels[: side // 2, : side // 2])
    started = time.process_time()
    result = restorer.restore(pixels)
    return result, time.process_time() - started


def distance(one: Floats, other: Floats) -> str:
    difference = np.abs(one.astype(np.float64) - other)
    return f"{-10 * np.log10(np.mean(difference**2)):.2f}, {difference.max() * 255:.1f}"


if __name__ == "__main__":
    main()
