"""unveil's metrics beside scikit-image and torchmetrics on fixed generated pictures, as a table.

    python benchmarks/metrics_calibration.py [--write docs/reference/metrics.md]

`--write` puts the table into the document, between `<!-- calibration -->` and `<!-- /calibration -->`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import peak_signal_noise_ratio as torch_psnr
from torchmetrics.functional.image import structural_similarity_index_measure as torch_ssim

from unveil.metrics import PROTOCOLS, Score

Picture = NDArray[np.float64]


def picture(seed: int, height: int = 160, width: int = 200) -> Picture:
    """Waves, edges and grain: H W 3, 0..1."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 20
    smooth = np.stack([np.sin(x + y + seed), np.cos(2 * x - y), np.sin(x * y / 8 + seed)], -1) / 3 + 0.5
    smooth[height // 3 : height // 2, width // 4 : width // 2] = random.random(3)
    return np.clip(smooth + random.normal(0, 0.02, smooth.shape), 0, 1)


def pairs() -> Iterator[tuple[str, Picture, Picture]]:
    """Name, picture, truth."""
    for seed, sigma in enumerate((0.002, 0.01, 0.05, 0.2)):
        truth = picture(seed)
        noise = np.random.default_rng(100 + seed).normal(0, sigma, truth.shape)
        yield f"noise of {sigma}", np.clip(truth + noise, 0, 1), truth
    truth = picture(4)
    blurred = sum(np.roll(truth, shift, 1) for shift in range(-3, 4)) / 7
    yield "blur of 7 pixels", blurred, truth
    yield "half as bright", truth / 2, truth


def references(name: str, a: Picture, b: Picture) -> tuple[Score, Score]:
    """What scikit-image and torchmetrics say, on pictures prepared by themselves as the protocol has it."""
    if name == "rgb":
        first, second, top = a, b, 1.0
    else:
        first, second = ((values * 255).round().astype(np.uint8) for values in (a, b))
        top = 255.0
    if name == "y":
        first, second = (rgb2ycbcr(values)[..., :1] for values in (first, second))
    first, second = first.astype(np.float64), second.astype(np.float64)
    tensors = [torch.from_numpy(values).permute(2, 0, 1)[None] for values in (first, second)]
    psnr = peak_signal_noise_ratio(second, first, data_range=top)
    psnr_torch = float(torch_psnr(*tensors, data_range=top))
    if name == "rgb":
        ssim = structural_similarity(first, second, data_range=top, channel_axis=2)
        # torchmetrics has no sample covariance, so only its Gaussian window can be compared.
        return Score(psnr, float(ssim)), Score(psnr_torch, float("nan"))
    full = structural_similarity(
        first,
        second,
        data_range=top,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )[1]
    _, full_torch = torch_ssim(*tensors, data_range=top, sigma=1.5, return_full_image=True)
    # Of both only the windows that lie wholly inside, which BasicSR takes.
    return (
        Score(psnr, float(full[5:-5, 5:-5].mean())),
        Score(psnr_torch, float(full_torch[..., 5:-5, 5:-5].mean())),
    )


def table() -> str:
    """Ours, and how far the references are from it."""
    lines = [
        "| protocol | picture | PSNR | scikit-image | torchmetrics | SSIM | scikit-image | torchmetrics |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, protocol in PROTOCOLS.items():
        for what, a, b in pairs():
            ours = protocol.score(a, b)
            image, torch_ = references(name, a, b)
            lines.append(
                f"| `{name}` | {what} | {ours.psnr:.4f} | {_off(image.psnr - ours.psnr)} | "
                f"{_off(torch_.psnr - ours.psnr)} | {ours.ssim:.6f} | {_off(image.ssim - ours.ssim)} | "
                f"{_off(torch_.ssim - ours.ssim)} |"
            )
    return "\n".join(lines)


def _off(difference: float) -> str:
    return "-" if np.isnan(difference) else f"{difference:+.0e}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="document to put the table into")
    arguments = parser.parse_args()
    made = table()
    print(made)
    if arguments.write:
        text = arguments.write.read_text(encoding="utf-8")
        block = f"<!-- calibration -->\n{made}\n<!-- /calibration -->"
        replaced = re.sub(r"<!-- calibration -->\n.*?<!-- /calibration -->", lambda _: block, text, flags=re.DOTALL)
        arguments.write.write_text(replaced, encoding="utf-8")


if __name__ == "__main__":
    main()
