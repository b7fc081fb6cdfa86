"""Mix Degradations, composed from the public sets that somebody has: sub-images of pairs; noise and JPEG are made.

    python -m unveil.training.constyle.mixing recipes/constyle/data/mix-degradations.yaml --root data --out data/mix

writes `lq/KIND/NAME.png` beside `hq/KIND/NAME.png`, which `restoration.pairs` of a recipe takes. What is there already
is not made again, and the same file gives the same pixels, whatever is made besides.
"""

from __future__ import annotations

import argparse
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unveil import datasets, images
from unveil.errors import DataError, DataSetMissing, RecipeError
from unveil.training.recipe import read_mapping, section

Pixels = NDArray[np.uint8]

SIGMA = (10.0, 50.0)
QUALITY = (10, 50)
FINAL_QUALITY = 95


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of damage of the set.

    Attributes:
        sets: parts of public sets (`gopro/train`), one after the other.
        images: how many of their pictures, drawn once; all if there are no more.
        step: pixels between the corners of sub-images.
        make: `noise` or `jpeg` to degrade clean pictures; the sets' own pairs if empty.
    """

    sets: tuple[str, ...]
    images: int
    step: int
    make: str = ""

    def __post_init__(self) -> None:
        if self.make and self.make not in MAKERS:
            raise RecipeError(f"make is {self.make!r}, expected one of {', '.join(MAKERS)}, or nothing")
        if min(self.images, self.step) < 1 or not self.sets:
            raise RecipeError(f"a kind needs sets, and images and step of at least 1; found {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """A set to be composed: kinds of damage, and the side of a sub-image."""

    name: str
    kinds: Mapping[str, Kind]
    crop: int = 256
    seed: int = 10
    about: str = ""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    """Sub-images that are published for each kind, to compare with."""

    @classmethod
    def read(cls, path: Path | str) -> Mix:
        """Read the YAML file of a mix.

        Raises:
            RecipeError: it is missing, or has unknown, missing or impossible keys.
        """
        values = read_mapping(path)
        kinds = dict(values.get("kinds") or {})
        values["kinds"] = {str(name): section(Kind, given or {}, f"kinds.{name}") for name, given in kinds.items()}
        return section(cls, values, "")


def compose(mix: Mix, root: Path, out: Path, *, say: Callable[[str], object] = print) -> dict[str, int]:
    """Write the set and give the number of sub-images of each kind; kinds whose sets are missing are left out and told.

    Raises:
        DataError: a picture and its target differ in size.
    """
    written: dict[str, int] = {}
    for name, kind in mix.kinds.items():
        try:
            pairs = _pairs(kind, root)
        except DataSetMissing as error:
            say(f"{name}: left out. {error}")
            continue
        chosen = np.random.default_rng((mix.seed, zlib.crc32(name.encode()))).permutation(len(pairs))[: kind.images]
        count = 0
        for index in sorted(chosen):
            count += _cut(mix, name, kind, pairs[index], out)
        written[name] = count
        published = f" of {mix.counts[name]} published" if name in mix.counts else ""
        say(f"{name}: {count} sub-images{published}, from {len(chosen)} pictures")
    return written


def starts(length: int, crop: int, step: int) -> list[int]:
    """Where sub-images begin along a side: every `step` pixels, and one flush with the far end if anything is left."""
    if length < crop:
        return []
    found = list(range(0, length - crop + 1, step))
    if found[-1] + crop < length:
        found.append(length - crop)
    return found


def add_noise(clean: Pixels, random: np.random.Generator) -> Pixels:
    """Gaussian noise of a sigma from 10 to 50, clipped and rounded."""
    sigma = random.uniform(*SIGMA)
    return np.clip(np.rint(clean + sigma * random.standard_normal(clean.shape)), 0, 255).astype(np.uint8)


def compress(clean: Pixels, random: np.random.Generator) -> Pixels:
    """JPEG of a quality from 10 to 50, as the authors' script makes it: red and blue swapped, and compressed twice."""
    quality = int(random.integers(QUALITY[0], QUALITY[1] + 1))
    return _coded(_coded(clean[..., ::-1], quality), FINAL_QUALITY)[..., ::-1]


MAKERS: dict[str, Callable[[Pixels, np.random.Generator], Pixels]] = {"noise": add_noise, "jpeg": compress}


def _coded(pixels: Pixels, quality: int) -> Pixels:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def _pairs(kind: Kind, root: Path) -> list[datasets.Pair]:
    found: list[datasets.Pair] = []
    for part in kind.sets:
        located = datasets.locate(root, part)
        label = part.replace("/", "-")
        found += [
            datasets.Pair(f"{label}-{pair.name.replace('/', '-')}", pair.input, pair.target) for pair in located.pairs
        ]
    return found


def _cut(mix: Mix, name: str, kind: Kind, pair: datasets.Pair, out: Path) -> int:
    """Write the sub-images of one pair; gives their number."""
    assert pair.target is not None
    clean = _read(pair.target)
    degraded = clean if kind.make or pair.input is None else _read(pair.input)
    if degraded.shape != clean.shape:
        raise DataError(
            f"{pair.input} is {degraded.shape[1]} x {degraded.shape[0]}, "
            f"its target {clean.shape[1]} x {clean.shape[0]}; a pair has one size"
        )
    count = 0
    for count, (top, left) in enumerate(_corners(clean.shape[:2], mix.crop, kind.step), 1):
        places = [out / side / name / f"{pair.name}_{count:03d}.png" for side in ("lq", "hq")]
        if all(place.exists() for place in places):
            continue
        window = (slice(top, top + mix.crop), slice(left, left + mix.crop))
        spoilt, whole = degraded[window], clean[window]
        if kind.make:
            random = np.random.default_rng((mix.seed, zlib.crc32(f"{name}/{places[0].name}".encode())))
            spoilt = MAKERS[kind.make](whole, random)
        for place, pixels in zip(places, (spoilt, whole), strict=True):
            place.parent.mkdir(parents=True, exist_ok=True)
            temporary = place.with_suffix(".part")
            Image.fromarray(np.ascontiguousarray(pixels)).save(temporary, "PNG")
            temporary.replace(place)
    return count


def _corners(shape: tuple[int, ...], crop: int, step: int) -> Iterator[tuple[int, int]]:
    for top in starts(shape[0], crop, step):
        for left in starts(shape[1], crop, step):
            yield top, left


def _read(path: Path) -> Pixels:
    pixels: NDArray[Any] = images.read(path).srgb()
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def main() -> None:
    parser = argparse.ArgumentParser(description="Compose a set of sub-images from public sets.")
    parser.add_argument("mix", type=Path, help="YAML file, such as recipes/constyle/data/mix-degradations.yaml")
    parser.add_argument("--root", type=Path, default=None, help="where the sets lie: $UNVEIL_DATA, or data/")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    compose(Mix.read(given.mix), given.root or datasets.default_root(), given.out)


if __name__ == "__main__":
    main()
