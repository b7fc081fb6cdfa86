"""How good `unveil data check --overlap` is: which changed copies of pictures it finds, and how often it is wrong.

    python benchmarks/overlap.py PHOTOGRAPHS... [--limit 200]

Changed copies of some pictures are looked for among all of them; then every folder is compared with every other one,
where any twin is wrong unless the folders do share pictures: look at those that are listed.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from unveil.datasets import patterns, thumbnails

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def crop(share: float) -> Change:
    def change(image: Image.Image, random: np.random.Generator) -> Image.Image:
        width, height = round(image.width * share), round(image.height * share)
        left, top = int(random.integers(image.width - width + 1)), int(random.integers(image.height - height + 1))
        return image.crop((left, top, left + width, top + height))

    return change


def square(image: Image.Image, random: np.random.Generator) -> Image.Image:
    side = min(image.size)
    left, top = int(random.integers(image.width - side + 1)), int(random.integers(image.height - side + 1))
    return image.crop((left, top, left + side, top + side))


def noisy(image: Image.Image, random: np.random.Generator) -> Image.Image:
    values = np.asarray(image) + random.normal(0, 25, (image.height, image.width, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


CHANGES: dict[str, Change] = {
    "the same": lambda image, _: image,
    "noise, sigma 25": noisy,
    "half the size": lambda image, _: image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC),
    "half as bright": lambda image, _: image.point(lambda value: value // 2),
    "mirrored": lambda image, _: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "square of full height": square,
    **{f"crop, {share:.0%} of each side": crop(share) for share in (0.95, 0.9, 0.8, 0.7, 0.6)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--limit", type=int, default=200, help="how many pictures to change")
    options = parser.parse_args()
    everything = [folder / path for folder in options.folders for path in patterns.pictures_below(folder)]
    random = np.random.default_rng(0)
    chosen = [everything[at] for at in sorted(random.permutation(len(everything))[: options.limit])]
    with tempfile.TemporaryDirectory() as place:
        pool = Path(place) / "all"
        pool.mkdir()
        for number, path in enumerate(everything):
            (pool / f"{number}{path.suffix}").symlink_to(path.resolve())
        print(f"{len(chosen)} pictures, looked for among {len(everything)}\n")
        print("| change | found | wrong picture |\n|---|---|---|")
        for name, change in CHANGES.items():
            changed = Path(place) / name.replace("%", "")
            changed.mkdir()
            for path in chosen:
                with Image.open(path) as image:
                    change(image.convert("RGB"), random).save(changed / f"{everything.index(path)}.jpg", quality=85)
            twins = thumbnails.compare(changed, pool).twins
            right = sum(patterns.stem(twin.first) == patterns.stem(twin.second) for twin in twins)
            print(f"| {name} | {right / len(chosen):.1%} | {len(twins) - right} |", flush=True)
    compared = wrong = 0
    start = time.perf_counter()
    print()
    for first, second in itertools.combinations(options.folders, 2):
        found = thumbnails.compare(first, second)
        compared += found.compared[0] * found.compared[1]
        wrong += len(found.twins)
        for twin in found.twins:
            print(f"{first.name}/{twin.first}  {second.name}/{twin.second}  {twin.similarity:.3f}")
    print(f"between folders: {wrong} twins in {compared:,} pairs of pictures, {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
