"""Time, memory and seams of large pictures.

    python benchmarks/large_picture.py [--model NAME] [--megapixels 12] [--threads 2] [--engine E] [--precision P]

Enlarges a photograph to a noisy JPEG of the asked size, restores it with `unveil restore` in a process of its own, and
prints seconds and peak memory of that process: first with one blend that is given, then as anybody would run it, with
diagnosis and a second look, which may find something more to undo. Then restores a 1-megapixel piece once in tiles and
once whole and prints the difference.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import unveil
from unveil import models

EXAMPLE = Path(__file__).parents[1] / "examples" / "noisy-cat.jpg"


def make(photograph: Path, megapixels: float, target: Path) -> None:
    """Write the photograph enlarged to about this many megapixels at 4:3, with noise of sigma 15, as JPEG."""
    height = int((megapixels * 1e6 * 3 / 4) ** 0.5)
    size = (height * 4 // 3, height)
    large = np.asarray(Image.open(photograph).convert("RGB").resize(size, Image.Resampling.BICUBIC), np.float32)
    large += np.random.default_rng(0).standard_normal(large.shape, dtype=np.float32) * 15
    Image.fromarray(large.clip(0, 255).round().astype(np.uint8)).save(target, quality=95)


def run(source: Path, target: Path, options: argparse.Namespace, *given: str) -> str:
    """What one `unveil restore` blended, and its seconds of wall clock and of CPU and its peak memory."""
    command = [sys.executable, "-m", "unveil", "restore", str(source), "-o", str(target), "--overwrite", "--json"]
    for name in ("model", "threads", "engine", "precision"):
        command += [f"--{name}", str(getattr(options, name))]
    # What is installed has been compiled; where nothing may be written down, every start would compile it anew.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile("w+") as answer:
        started = time.perf_counter()
        process = subprocess.Popen([*command, *given], stdout=answer, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        if status:
            raise SystemExit(f"unveil restore failed with status {status}")
        answer.seek(0)
        (found,) = json.load(answer)["results"]
    blends = [found["weights"], *found.get("later", [])]
    said = ", then ".join(" + ".join(f"{weight:.2f} {name}" for name, weight in blend.items()) for blend in blends)
    cpu = usage.ru_utime + usage.ru_stime
    return f"{said or 'untouched'}: {seconds:.1f} s, {cpu:.1f} CPU s, peak {usage.ru_maxrss / 1024:.0f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=models.DEFAULT)
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--photograph", type=Path, default=EXAMPLE)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--weights", default="noise=1", help="the blend that is given")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "large.jpg"
        # In a process of its own: the system counts this one's peak for the processes it starts, too.
        maker = multiprocessing.get_context("spawn").Process(
            target=make, args=(arguments.photograph, arguments.megapixels, source)
        )
        maker.start()
        maker.join()
        target = Path(folder) / "out.jpg"
        given = run(source, target, arguments, "--weights", arguments.weights)
        free = run(source, target, arguments)
        with Image.open(source) as large:
            width, height = large.size
            piece: NDArray[np.float32] = np.asarray(large.crop((0, 0, 1024, 1024)), np.float32) / 255
    how = f"{arguments.engine}, {arguments.precision}, {arguments.threads} threads"
    print(f"{width} x {height} JPEG, {how}")
    print(f"  given      {given}")
    print(f"  diagnosed  {free}")

    model = models.read(models.find(arguments.model))
    weights = {name: float(value) for name, value in (pair.split("=") for pair in arguments.weights.split(","))}
    whole = unveil.Restorer(model, threads=arguments.threads, tile_side=1024).run(piece, weights=weights)
    for side in (512, 256):
        tiled = unveil.Restorer(model, threads=arguments.threads, tile_side=side).run(piece, weights=weights)
        difference = np.abs(tiled.image - whole.image)
        error = 10 * np.log10(1 / max(1e-20, float((difference**2).mean())))
        print(
            f"1 megapixel in {tiled.tiles} tiles of at most {side} against {whole.tiles}: "
            f"largest difference {difference.max() * 255:.3f} of 255, {error:.1f} dB"
        )


if __name__ == "__main__":
    main()
