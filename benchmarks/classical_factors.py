"""Which factors suit the classical baselines: mean PSNR on clean photographs with synthetic noise.

    python benchmarks/classical_factors.py PHOTOGRAPHS [--pictures 8]

Give photographs that are in no test set. Crops of 256 x 256, noise of sigma 15, 25 and 50, seed 0, 8 bit; the factors
stand in unveil.evaluation.baselines.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, estimate_sigma

from unveil import images
from unveil.evaluation.damage import GaussianNoise, chance
from unveil.metrics import psnr

SIDE = 256
SIGMAS = (15, 25, 50)
NLM = (0.4, 0.6, 0.7, 0.8, 0.9)
TV = (0.6, 0.8, 1.0, 1.2, 1.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--pictures", type=int, default=8)
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.photographs.iterdir() if path.suffix.lower() in (".jpg", ".png"))
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in paths[:: max(1, len(paths) // arguments.pictures)][: arguments.pictures]:
        whole = images.read(path).srgb()
        top, left = ((side - SIDE) // 2 for side in whole.shape[:2])
        truth = whole[top : top + SIDE, left : left + SIDE].astype(np.float32) / np.float32(255)
        for sigma in SIGMAS:
            noisy = GaussianNoise(sigma)(truth, chance(0, path.stem))
            estimate = float(np.mean(estimate_sigma(noisy, channel_axis=-1)))
            for factor in NLM:
                restored = denoise_nl_means(
                    noisy, 5, 6, factor * estimate, fast_mode=True, sigma=estimate, channel_axis=-1
                )
                found[f"non-local means, h = {factor} sigma"][sigma].append(psnr(restored, truth))
            for factor in TV:
                restored = denoise_tv_chambolle(noisy, weight=factor * estimate, channel_axis=-1)
                found[f"total variation, weight = {factor} sigma"][sigma].append(psnr(restored, truth))
    print(f"| restorer | {' | '.join(f'sigma {sigma}' for sigma in SIGMAS)} | mean |")
    print("|---" * (len(SIGMAS) + 2) + "|")
    for name, by_sigma in found.items():
        means = [float(np.mean(by_sigma[sigma])) for sigma in SIGMAS]
        print(f"| {name} | {' | '.join(f'{mean:.2f}' for mean in means)} | {np.mean(means):.2f} |")


if __name__ == "__main__":
    main()
