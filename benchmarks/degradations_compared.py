"""Degradations against the pipelines that people write with OpenCV and albumentations, on one thread, in one run.

    python benchmarks/degradations_compared.py [--side 256] [--batch 8] [--seconds 1]

Pictures a CPU second of 3 x side x side, the same picture for all. They are measured in turn, and the best of the
rounds counts. What they do is alike, not the same: ours are float32, batched, and draw a severity for every picture;
theirs take and give uint8, one picture at a time. JPEG is the same work; near to it are noise, blur, rain of filtered
points (one layer, one kernel), haze, darkness with noise, bits and fewer pixels. RandomRain and RandomSnow draw a few
lines and bleach bright places, RandomGamma is a table: they look different. Needs `opencv-python-headless` and
`albumentations`, which are no extras of unveil: install them where this runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import albumentations as A
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from unveil.degradations import DEGRADATIONS

Run = Callable[[], object]


def patches(side: int) -> NDArray[np.uint8]:
    """A picture with large shapes and a little texture, H W 3."""
    random = np.random.default_rng(0)
    smooth = cv2.resize(random.integers(0, 256, (side // 8, side // 8, 3), np.uint8), (side, side))
    return np.clip(smooth + random.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def theirs(picture: NDArray[np.uint8]) -> dict[str, tuple[str, Run, str, Run]]:
    """Degradation -> name and call of OpenCV and NumPy as usually written, and of albumentations."""
    random = np.random.default_rng(0)
    side = len(picture)

    def noise() -> object:
        return np.clip(picture + random.normal(0, 25, picture.shape), 0, 255).astype(np.uint8)

    kernel = np.zeros((15, 15), np.float32)
    kernel[7] = 1 / 15

    def jpeg() -> object:
        return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR)

    def rain() -> object:
        field = (random.random((side, side)) > 0.97).astype(np.float32)
        streaks = cv2.filter2D(field, -1, kernel)
        return np.clip(picture + 200 * streaks[..., None], 0, 255).astype(np.uint8)

    def haze() -> object:
        depth = cv2.GaussianBlur(random.random((side, side), dtype=np.float32), (0, 0), 15)[..., None]
        through = np.exp(-1.5 * depth)
        return np.clip(picture * through + 220 * (1 - through), 0, 255).astype(np.uint8)

    def dark() -> object:
        return (
            (255 * (picture / np.float32(255)) ** 2.2 * 0.4 + random.normal(0, 4, picture.shape))
            .clip(0, 255)
            .astype(np.uint8)
        )

    def lowres() -> object:
        few = cv2.resize(picture, (side * 2 // 5, side * 2 // 5), interpolation=cv2.INTER_AREA)
        return cv2.resize(few, (side, side), interpolation=cv2.INTER_CUBIC)

    def of(transform: A.BasicTransform) -> Run:
        return lambda: transform(image=picture)

    return {
        "noise": ("float64 normal", noise, "GaussNoise", of(A.GaussNoise(p=1))),
        "blur": (
            "filter2D 15",
            lambda: cv2.filter2D(picture, -1, kernel),
            "MotionBlur 15",
            of(A.MotionBlur(blur_limit=(15, 15), p=1)),
        ),
        "rain": ("filtered points", rain, "RandomRain", of(A.RandomRain(p=1))),
        "haze": ("transmission", haze, "RandomFog", of(A.RandomFog(p=1))),
        "dark": ("gamma and noise", dark, "RandomGamma", of(A.RandomGamma(p=1))),
        "jpeg": ("encode, decode", jpeg, "ImageCompression", of(A.ImageCompression(quality_range=(30, 30), p=1))),
        "bits": ("lower bits off", lambda: picture & 0xF0, "Posterize", of(A.Posterize(num_bits=(4, 4), p=1))),
        "lowres": ("area, cubic", lowres, "Downscale", of(A.Downscale(scale_range=(0.4, 0.4), p=1))),
        "snow": ("", lambda: None, "RandomSnow", of(A.RandomSnow(p=1))),
    }


def rate(run: Run, pictures: int, seconds: float) -> float:
    """Pictures a CPU second."""
    run()
    started, count = time.process_time(), 0
    while (spent := time.process_time() - started) < seconds:
        run()
        count += pictures
    return count / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="names of degradations")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    generator = torch.Generator().manual_seed(0)
    picture = patches(options.side)
    images = (torch.from_numpy(picture).permute(2, 0, 1).float() / 255).expand(options.batch, -1, -1, -1).contiguous()
    print(f"| {options.side} x {options.side} | ours | OpenCV, NumPy | | albumentations | | ours against the faster |")
    print("|---|---|---|---|---|---|---|")
    for name, (first, numpy_run, second, album_run) in theirs(picture).items():
        if options.only and name not in options.only:
            continue
        degradation = DEGRADATIONS[name]
        severity = torch.linspace(*degradation.typical, options.batch)
        ours = lambda: degradation(images, severity, generator)  # noqa: B023, E731
        best = [0.0, 0.0, 0.0]
        for _ in range(options.rounds):
            for index, (run, pictures) in enumerate(((ours, options.batch), (numpy_run, 1), (album_run, 1))):
                if index != 1 or first:
                    best[index] = max(best[index], rate(run, pictures, options.seconds))
        told = f"{best[1]:.0f} | {first}" if first else " | "
        print(
            f"| {name} | {best[0]:.0f} | {told} | {best[2]:.0f} | {second} | {best[0] / max(best[1:]):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
