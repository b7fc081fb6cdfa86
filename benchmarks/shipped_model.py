"""What a model is worth beyond the suites: other people's damage, slight damage, mixtures, and each adapter taken out.

    python benchmarks/shipped_model.py --pictures data/test_kodak24
    python benchmarks/shipped_model.py --pictures data/test_kodak24 --model runs/fast/model.safetensors --count 24

Damage is made here with NumPy and Pillow alone, independently of `unveil.degradations`, which models are trained with.
Prints PSNR on RGB in dB, means over the middle parts of the pictures; an unchanged picture counts as 100 dB.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from unveil import images, models
from unveil.data import middle
from unveil.datasets.patterns import SUFFIXES
from unveil.metrics.fidelity import capped, psnr
from unveil.metrics.sheets import as_bytes
from unveil.restoration import Restorer

Pixels: TypeAlias = NDArray[np.uint8]
Damaging: TypeAlias = Callable[[Pixels, np.random.Generator], Pixels]


def noise(sigma: float) -> Damaging:
    return lambda pixels, random: _bytes(pixels + random.normal(0, sigma, pixels.shape))


def blur(radius: float) -> Damaging:
    return lambda pixels, _: np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def jpeg(quality: int) -> Damaging:
    def damage(pixels: Pixels, _: np.random.Generator) -> Pixels:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file).convert("RGB"))

    return damage


def rain(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Slanted strokes of one direction and many lengths, a little blurred, added as light."""
    height, width = pixels.shape[:2]
    layer = Image.new("L", (width, height))
    pen, slant = ImageDraw.Draw(layer), random.uniform(-0.5, 0.5)
    for _ in range(height * width // 700):
        x, y, length = random.uniform(0, width), random.uniform(-20, height), random.uniform(8, 28)
        pen.line((x, y, x + slant * length, y + length), fill=int(random.uniform(90, 220)), width=1)
    streaks = np.asarray(layer.filter(ImageFilter.GaussianBlur(0.6)), np.float64)
    return _bytes(pixels + 0.8 * streaks[..., None])


def enlarged(factor: int) -> Damaging:
    """Another filter than Keys': Lanczos down, bilinear up."""

    def damage(pixels: Pixels, _: np.random.Generator) -> Pixels:
        whole = Image.fromarray(pixels)
        small = whole.resize((whole.width // factor, whole.height // factor), Image.Resampling.LANCZOS)
        return np.asarray(small.resize(whole.size, Image.Resampling.BILINEAR))

    return damage


def snow(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Round flakes of several sizes, larger ones softer, laid over."""
    height, width = pixels.shape[:2]
    cover = Image.new("L", (width, height))
    pen = ImageDraw.Draw(cover)
    for _ in range(height * width // 500):
        x, y, radius = random.uniform(0, width), random.uniform(0, height), random.choice([0.7, 1.0, 1.6, 2.5])
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(random.uniform(120, 255)))
    share = np.asarray(cover.filter(ImageFilter.GaussianBlur(0.8)), np.float64)[..., None] / 255
    return _bytes(pixels * (1 - share) + 250 * share)


def haze(pixels: Pixels, _: np.random.Generator) -> Pixels:
    """Thicker towards the top, as over a plain: t = exp(-1.2 d), airlight 225."""
    depth = np.linspace(1, 0.25, len(pixels))[:, None, None]
    through = np.exp(-1.2 * depth)
    return _bytes(pixels * through + 225 * (1 - through))


def dark(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """A seventh of the linear light, with a sensor's noise."""
    light = (pixels / 255.0) ** 2.2 / 7
    light += random.normal(0, 1, light.shape) * np.sqrt(light * 2e-4 + 1e-6)
    return _bytes(255 * np.clip(light, 0, 1) ** (1 / 2.2))


def bits(count: int) -> Damaging:
    return lambda pixels, _: np.asarray(ImageOps.posterize(Image.fromarray(pixels), count))


def both(*steps: Damaging) -> Damaging:
    def damage(pixels: Pixels, random: np.random.Generator) -> Pixels:
        for step in steps:
            pixels = step(pixels, random)
        return pixels

    return damage


def clean(pixels: Pixels, _: np.random.Generator) -> Pixels:
    return pixels


SINGLE: Mapping[str, tuple[str, Damaging]] = {
    "noise 15": ("noise", noise(15)),
    "noise 25": ("noise", noise(25)),
    "noise 50": ("noise", noise(50)),
    "blur 1.6": ("blur", blur(1.6)),
    "rain": ("rain", rain),
    "haze": ("haze", haze),
    "dark": ("dark", dark),
    "JPEG 20": ("jpeg", jpeg(20)),
    "4 bits": ("bits", bits(4)),
    "snow": ("snow", snow),
    "enlarged x2": ("lowres", enlarged(2)),
}
SLIGHT: Mapping[str, Damaging] = {"clean": clean, "noise 3": noise(3), "JPEG 95": jpeg(95), "JPEG 85": jpeg(85)}
MIXED: Mapping[str, tuple[tuple[str, ...], Damaging]] = {
    "rain + JPEG 30": (("rain", "jpeg"), both(rain, jpeg(30))),
    "noise 15 + JPEG 50": (("noise", "jpeg"), both(noise(15), jpeg(50))),
    "blur + noise 15": (("blur", "noise"), both(blur(1.2), noise(15))),
    "haze + noise 15": (("haze", "noise"), both(haze, noise(15))),
    "dark + noise 10": (("dark", "noise"), both(dark, noise(10))),
    "rain + noise 10 + JPEG 40": (("rain", "noise", "jpeg"), both(rain, noise(10), jpeg(40))),
}


def read(folder: Path, count: int, side: int) -> list[Pixels]:
    """The middle parts of the first pictures of a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)[:count]
    return [middle(as_bytes(images.read(path).srgb()), side) for path in paths]


def options(description: str | None, *, side: int) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--model", default=models.DEFAULT)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--side", type=int, default=side)
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


def main() -> None:
    chosen = options(__doc__, side=320)
    model = models.read(models.find(chosen.model))
    truths = read(chosen.pictures, chosen.count, chosen.side)
    restorer = Restorer(model, threads=chosen.threads)
    print(f"{model.card.name}, {len(truths)} pictures, the middle {chosen.side} x {chosen.side} pixels of each\n")
    _single(restorer, truths)
    _slight(restorer, truths)
    _mixed(restorer, truths)
    _removed(model, truths, chosen.threads)


def _single(restorer: Restorer, truths: list[Pixels]) -> None:
    print("| other generators | input | restored | gain | worst | named |\n|---|---:|---:|---:|---:|---:|")
    for name, (class_, damage) in SINGLE.items():
        rows = [_measured(restorer, truth, damage, seed) for seed, truth in enumerate(truths)]
        before, after, gains = _means(rows)
        named = sum(main == class_ for *_, main in rows) / len(rows)
        print(f"| {name} | {before:.2f} | {after:.2f} | {after - before:+.2f} | {min(gains):+.2f} | {named:.0%} |")


def _slight(restorer: Restorer, truths: list[Pixels]) -> None:
    print("\n| slight | input | restored | worst gain | left as it was | blending forced |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, damage in SLIGHT.items():
        rows = [_measured(restorer, truth, damage, seed) for seed, truth in enumerate(truths)]
        before, after, gains = _means(rows)
        spared = sum(main == "clean" for *_, main in rows) / len(rows)
        forced = float(np.mean([_forced(restorer, truth, damage, seed) for seed, truth in enumerate(truths)]))
        print(f"| {name} | {before:.2f} | {after:.2f} | {min(gains):+.2f} | {spared:.0%} | {forced:.2f} |")


def _mixed(restorer: Restorer, truths: list[Pixels]) -> None:
    rules = ("oh", "sw", "topk:1")
    print(f"\n| several at once | input | {' | '.join(rules)} |\n|---|---:|" + "---:|" * len(rules))
    for name, (_, damage) in MIXED.items():
        found = {
            rule: _means([_measured(restorer, truth, damage, seed, blend=rule) for seed, truth in enumerate(truths)])
            for rule in rules
        }
        print(f"| {name} | {found[rules[0]][0]:.2f} | " + " | ".join(f"{found[rule][1]:.2f}" for rule in rules) + " |")


def _removed(model: models.Model, truths: list[Pixels], threads: int | None) -> None:
    """Change of the mean PSNR when one adapter is taken out; rows are what is taken out."""
    one = dict(SINGLE.values())
    whole = _row(Restorer(model, threads=threads), truths, one)
    print("\n| taken out | " + " | ".join(one) + " |\n|---|" + "---:|" * len(one))
    for name in model.adapters:
        row = _row(Restorer(models.remove_adapter(model, name), threads=threads), truths, one)
        print(f"| {name} | " + " | ".join(f"{row[class_] - whole[class_]:+.2f}" for class_ in one) + " |")


def _row(restorer: Restorer, truths: list[Pixels], damages: Mapping[str, Damaging]) -> dict[str, float]:
    return {
        class_: _means([_measured(restorer, truth, damage, seed) for seed, truth in enumerate(truths)])[1]
        for class_, damage in damages.items()
    }


def _measured(
    restorer: Restorer, truth: Pixels, damage: Damaging, seed: int, **options: Any
) -> tuple[float, float, str]:
    degraded = damage(truth, np.random.default_rng(seed))
    done = restorer.run(degraded, **options)
    seen = "" if done.diagnosis is None else "clean" if done.diagnosis.is_clean else done.diagnosis.main
    return capped(psnr(degraded, truth)), capped(psnr(np.asarray(done.image), truth)), seen


def _forced(restorer: Restorer, truth: Pixels, damage: Damaging, seed: int) -> float:
    """PSNR where the diagnosis is followed although the picture is taken for clean: probabilities are weights."""
    degraded = damage(truth, np.random.default_rng(seed))
    found = restorer.diagnose(degraded)
    weights = {name: share for name, share in found.probabilities.items() if name in restorer.card.degradations}
    return capped(psnr(np.asarray(restorer.restore(degraded, weights=weights)), truth))


def _means(rows: list[tuple[float, float, str]]) -> tuple[float, float, list[float]]:
    before, after = (float(np.mean([row[place] for row in rows])) for place in (0, 1))
    return before, after, [row[1] - row[0] for row in rows]


def _bytes(values: NDArray[Any]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
