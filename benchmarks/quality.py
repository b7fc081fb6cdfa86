"""What a model makes of degraded pictures: PSNR and SSIM of input and output, as a table.

    python benchmarks/quality.py --root DATA [--model NAME] [--limit N] [--weights auto|oracle|base] [--json FILE]

DATA holds the folders test_cbsd68, test_kodak24, test_rain100h_20, test_rain100l_2, test_sots_outdoor_2 and
test_gopro_3 (each pair set with `input` and `target`); sets that are missing are skipped and named.

Protocol: degraded pictures are rounded to 8 bit before they enter the model; the output is float, clipped to 0..1;
PSNR and SSIM on RGB (unveil.metrics), mean over pictures; PSNR of an unchanged picture counts as 100 dB. Noise is
NumPy's, drawn from seed 0 in the order of file names; JPEG is libjpeg's (Pillow, 4:2:0); blur, haze, darkness, snow,
few bits and rain on Kodak24 and CBSD68 come from unveil's own generators with seed 0, which the model was trained on:
those rows measure the model, not how well it generalises.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import unveil
from unveil.degradations import DEGRADATIONS, Bits, Blur, Dark, Degradation, quantise
from unveil.metrics import psnr, ssim

PROTOCOL = "RGB, input rounded to 8 bit, output float clipped to 0..1, mean over pictures, unchanged counts as 100 dB"

Pixels = NDArray[np.float32]
Spoil = Callable[[Pixels, np.random.Generator], Pixels]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `spoil` makes the input from the clean picture; without it the set has pairs."""

    folder: str
    printed: str
    degradation: str
    label: str
    spoil: Spoil | None = None


@dataclass(slots=True)
class Score:
    """Means over a set, and how often the first guess of the diagnosis was right."""

    set: str
    degradation: str
    pictures: int
    input_psnr: float
    input_ssim: float
    psnr: float
    ssim: float
    diagnosed: float
    worst_gain: float


def noisy(clean: Pixels, random: np.random.Generator, *, sigma: float) -> Pixels:
    return _eight_bit(clean + random.normal(0, sigma / 255, clean.shape))


def compressed(clean: Pixels, _: np.random.Generator, *, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray((clean * 255).round().astype(np.uint8)).save(file, "JPEG", quality=quality, subsampling=2)
    return np.asarray(Image.open(file).convert("RGB"), np.float32) / 255


def generated(clean: Pixels, random: np.random.Generator, *, by: Degradation, severity: float) -> Pixels:
    generator = torch.Generator().manual_seed(int(random.integers(2**31)))
    image = torch.from_numpy(clean).permute(2, 0, 1)[None]
    return quantise(by(image, severity, generator))[0].permute(1, 2, 0).contiguous().numpy()


def unchanged(clean: Pixels, _: np.random.Generator) -> Pixels:
    return clean


def _eight_bit(image: NDArray[Any]) -> Pixels:
    return (np.clip(image * 255, 0, 255).round() / 255).astype(np.float32)


def rows() -> Iterator[Row]:
    cbsd, kodak = partial(Row, "test_cbsd68", "CBSD68"), partial(Row, "test_kodak24", "Kodak24")
    for sigma in (15, 25, 50):
        yield cbsd("noise", f"noise, sigma {sigma}", partial(noisy, sigma=sigma))
    for quality in (20, 40):
        yield cbsd("jpeg", f"JPEG, quality {quality}", partial(compressed, quality=quality))
    gaussian = Blur(motion=0, gaussian=1, disc=0, stretch=1)
    yield cbsd("blur", "Gaussian blur, sigma 1.6", partial(generated, by=gaussian, severity=Blur.severity_of(1.6)))
    motion = Blur(motion=1, gaussian=0, disc=0)
    yield cbsd("blur", "motion blur, severity 0.4", partial(generated, by=motion, severity=0.4))
    yield Row("test_rain100h_20", "Rain100H (20 pairs)", "rain", "rain, heavy")
    yield Row("test_rain100l_2", "Rain100L (2 pairs)", "rain", "rain, light")
    yield cbsd("rain", "rain, severity 0.5", partial(generated, by=DEGRADATIONS["rain"], severity=0.5))
    yield Row("test_sots_outdoor_2", "SOTS outdoor (2 pairs)", "haze", "haze")
    yield kodak("haze", "haze, severity 0.5", partial(generated, by=DEGRADATIONS["haze"], severity=0.5))
    dark = Dark(curves=0)
    yield kodak("dark", "low light, exposure 0.1", partial(generated, by=dark, severity=Dark.severity_of(0.1)))
    yield Row("test_gopro_3", "GoPro (3 pairs)", "blur", "motion blur")
    yield kodak("snow", "snow, severity 0.5", partial(generated, by=DEGRADATIONS["snow"], severity=0.5))
    yield kodak("bits", "4 bits a channel", partial(generated, by=DEGRADATIONS["bits"], severity=Bits.severity_of(4)))
    yield cbsd("clean", "clean", unchanged)
    yield kodak("clean", "clean", unchanged)


def pairs(row: Row, root: Path, limit: int | None) -> Iterator[tuple[Pixels, Pixels]]:
    """Input and clean picture, in the order of file names."""
    folder = root / row.folder
    random = np.random.default_rng(0)
    if row.spoil is not None:
        for path in sorted(folder.iterdir())[:limit]:
            clean = _read(path)
            yield row.spoil(clean, random), clean
        return
    targets = {path.stem: path for path in (folder / "target").iterdir()}
    for path in sorted((folder / "input").iterdir())[:limit]:
        target = targets.get(path.stem) or targets[path.stem.split("_")[0]]
        yield _read(path), _read(target)


def _read(path: Path) -> Pixels:
    return np.asarray(Image.open(path).convert("RGB"), np.float32) / 255


def measure(restorer: unveil.Restorer, row: Row, root: Path, *, limit: int | None, weights: str) -> Score:
    gathered: list[tuple[float, ...]] = []
    for degraded, clean in pairs(row, root, limit):
        found = restorer.diagnose(degraded) if restorer.card.estimator else None
        given: dict[str, Any] = {}
        if weights == "base":
            given = {"weights": {}}
        elif weights == "oracle":
            given = {"weights": {} if row.degradation == "clean" else {row.degradation: 1.0}}
        restored = restorer.restore(degraded, **given)
        before, after = psnr(degraded, clean), psnr(restored, clean)
        right = float(found.ranked[0][0] == row.degradation) if found else float("nan")
        gathered.append((min(before, 100.0), ssim(degraded, clean), min(after, 100.0), ssim(restored, clean), right))
    table = np.array(gathered)
    means = table.mean(0)
    worst = float((table[:, 2] - table[:, 0]).min())
    return Score(row.printed, row.label, len(table), *(float(value) for value in means), worst)


def markdown(scores: list[Score]) -> str:
    lines = [
        "| set | degradation | pictures | input PSNR / SSIM | output PSNR / SSIM | gain | worst gain | diagnosed |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {score.set} | {score.degradation} | {score.pictures} | {score.input_psnr:.2f} / {score.input_ssim:.3f} "
        f"| {score.psnr:.2f} / {score.ssim:.3f} | {score.psnr - score.input_psnr:+.2f} | {score.worst_gain:+.2f} "
        f"| {score.diagnosed:.0%} |"
        for score in scores
    ]
    return "\n".join(lines)


def as_metric(score: Score) -> dict[str, Any]:
    """One figure as a card holds it."""
    return {
        "set": f"{score.set}, {score.pictures} pictures",
        "degradation": score.degradation,
        "input_psnr": round(score.input_psnr, 2),
        "psnr": round(score.psnr, 2),
        "input_ssim": round(score.input_ssim, 4),
        "ssim": round(score.ssim, 4),
        "protocol": PROTOCOL,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder of the test sets")
    parser.add_argument("--model", default=None, help="name or path; the default model otherwise")
    parser.add_argument("--limit", type=int, default=None, help="pictures a row")
    parser.add_argument("--weights", choices=("auto", "oracle", "base"), default="auto")
    parser.add_argument("--only", default="", help="rows whose degradation is in this list: noise,rain")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument(
        "--card", type=Path, default=None, help="write a copy of the model with these figures in its card"
    )
    parser.add_argument("--json", type=Path, default=None, help="also write the figures here")
    arguments = parser.parse_args()
    model = unveil.models.read(unveil.models.find(arguments.model or unveil.models.DEFAULT))
    restorer = unveil.Restorer(model, threads=arguments.threads)
    wanted = set(filter(None, arguments.only.split(",")))
    scores: list[Score] = []
    for row in rows():
        if wanted and row.degradation not in wanted:
            continue
        if not (arguments.root / row.folder).is_dir():
            print(f"skipped: no folder {arguments.root / row.folder}", file=sys.stderr)
            continue
        started = time.perf_counter()
        score = measure(restorer, row, arguments.root, limit=arguments.limit, weights=arguments.weights)
        scores.append(score)
        seconds = time.perf_counter() - started
        print(
            f"{score.set}, {score.degradation}: {score.input_psnr:.2f} -> {score.psnr:.2f} ({seconds:.0f} s)",
            file=sys.stderr,
        )
    print(markdown(scores))
    if arguments.card:
        card = replace(model.card, metrics=tuple(as_metric(score) for score in scores))
        unveil.models.write(replace(model, card=card), arguments.card)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(score) for score in scores], indent=1), encoding="utf-8")


if __name__ == "__main__":
    import unveil.models

    main()
