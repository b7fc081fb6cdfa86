"""A set of pictures to measure on: where its files lie, how inputs and truths belong together, and by what protocol."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from unveil import datasets, images
from unveil.errors import DataSetMissing, InvalidRequest
from unveil.evaluation.damage import Damage, Pixels, chance
from unveil.evaluation.sizing import Sizing

ENDINGS = frozenset(ending for form in images.FORMATS.values() for ending in form.suffixes)


@dataclass(frozen=True, slots=True)
class Folder:
    """Files of a set that is in no catalogue: small sets beside the code, folders of clean pictures.

    Attributes:
        folder: below the root, or absolute.
        inputs: glob below the folder. Without `truths` these are clean pictures.
        truths: patterns and replacements that turn an input's path, without its ending, into its truth's; the first
            that leads to a file counts.
    """

    folder: str
    inputs: str = "**/*"
    truths: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a set. `name` tells it from the others; without `degraded`, the truth is made worse."""

    name: str
    truth: Path
    degraded: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.truth,) if self.degraded is None else (self.degraded, self.truth)

    @property
    def chance(self) -> str:
        """What its damage is drawn from. Clean pictures keep theirs in whatever folder they lie."""
        return self.truth.stem if self.degraded is None else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSet:
    """Pictures and how they are measured.

    Attributes:
        name: identifier, unique in a suite.
        printed: of the pictures, for tables.
        label: of what is wrong with them, for tables.
        degradation: identifier, or several joined by `+`.
        data: its name in the catalogue of public sets, `set` or `set/part`.
        folders: where its files may lie besides; the first that is there counts.
        damage: done to the clean picture, or to the input of a pair on top of what it has. None: pairs as they are.
        protocols: names of `unveil.metrics`; the first one is the one that tables print.
        sizing: what happens to sides.
        expected: number of pictures of the whole set, where the catalogue does not say it.
        ours: the paper does not say which set it is, or how it is made; what stands here was chosen by us.
    """

    name: str
    printed: str
    label: str
    degradation: str
    data: str | None = None
    folders: tuple[Folder, ...] = ()
    damage: Damage | None = None
    protocols: tuple[str, ...] = ("rgb",)
    sizing: Sizing = field(default_factory=Sizing)
    expected: int | None = None
    ours: bool = False

    @property
    def settings(self) -> str:
        """Everything besides files, seed and versions that a figure depends on."""
        return f"{self.damage!r} {','.join(self.protocols)} {self.sizing!r}"

    def find(self, root: Path) -> FoundSet:
        """The set's files below `root`, in order of their names.

        Raises DataSetMissing, saying what was expected where and what fetches it.
        """
        missing: DataSetMissing | None = None
        if self.data is not None:
            try:
                located = datasets.locate(root, self.data)
            except DataSetMissing as error:
                missing = error
            else:
                pairs = ((pair.name, pair.target, pair.input) for pair in located.pairs)
                items = tuple(Item(name, target, degraded) for name, target, degraded in pairs if target is not None)
                if items:
                    expected = located.expected or self.expected
                    return FoundSet(
                        self, located.folder, items, expected=expected, scale=located.scale, border=located.border
                    )
        for place in self.folders:
            if items := _items(root / place.folder, place):
                return FoundSet(self, root / place.folder, items, expected=self.expected)
        wanted = " or ".join(str(root / place.folder / place.inputs) for place in self.folders)
        raise missing or DataSetMissing(f"{self.name} is not there: expected pictures as {wanted}")


class FoundSet:
    """A set whose files are there.

    Args:
        of: what it is.
        folder: of its files.
        items: the pictures, all of them or the first few.
        expected: how many the whole set has, if known.
        scale: truths are so many times as large as inputs, and are reduced before anything else.
        border: truths are larger by so many pixels on every side, which are cut off.
    """

    def __init__(
        self,
        of: EvaluationSet,
        folder: Path,
        items: Sequence[Item],
        *,
        expected: int | None = None,
        scale: int = 1,
        border: int = 0,
    ) -> None:
        self.of, self.folder, self.items = of, folder, tuple(items)
        self.expected, self.scale, self.border = expected, scale, border

    def first(self, count: int | None) -> FoundSet:
        """The same with no more than so many pictures."""
        return FoundSet(
            self.of, self.folder, self.items[:count], expected=self.expected, scale=self.scale, border=self.border
        )

    @cached_property
    def checksums(self) -> Mapping[Path, str]:
        """SHA-256 of every file."""
        files = {file for item in self.items for file in item.files}
        return {file: _checksum(file) for file in sorted(files)}

    def digest(self) -> str:
        """SHA-256 over the lines `checksum  path`, in order of the path inside the set, of all files taken."""
        named = sorted((file.relative_to(self.folder).as_posix(), sum_) for file, sum_ in self.checksums.items())
        return hashlib.sha256("".join(f"{sum_}  {name}\n" for name, sum_ in named).encode()).hexdigest()

    def digest_of(self, item: Item) -> str:
        """The same over the files of one picture."""
        return hashlib.sha256("".join(self.checksums[file] for file in item.files).encode()).hexdigest()

    def load(self, item: Item, seed: int) -> tuple[Pixels, Pixels]:
        """Input and truth: H W 3, float32, 0..1, sRGB, damaged and sized as the set says.

        Raises:
            PictureError: a file cannot be read.
            InvalidRequest: the two differ in size.
        """
        truth = self._fitted(read_picture(item.truth))
        degraded = truth if item.degraded is None else read_picture(item.degraded)
        if degraded.shape != truth.shape:
            raise InvalidRequest(
                f"{item.name} is {degraded.shape[1]} x {degraded.shape[0]} and its truth {truth.shape[1]} x "
                f"{truth.shape[0]}; the two must be of one size"
            )
        degraded, truth = self.of.sizing(degraded), self.of.sizing(truth)
        if self.of.damage is not None:
            degraded = self.of.damage(degraded, chance(seed, item.chance))
        return degraded, truth

    def _fitted(self, truth: Pixels) -> Pixels:
        if self.border:
            truth = np.ascontiguousarray(truth[self.border : -self.border, self.border : -self.border])
        if self.scale == 1:
            return truth
        # With which filter MiOIR reduced its truths is not published; bicubic over all pixels is ours.
        rows, columns = (side // self.scale for side in truth.shape[:2])
        whole = Image.fromarray((truth * 255).round().astype(np.uint8))
        reduced = whole.resize((columns, rows), Image.Resampling.BICUBIC)
        return np.asarray(reduced, np.float32) / np.float32(255)


def _items(folder: Path, place: Folder) -> list[Item]:
    files = [path for path in sorted(folder.glob(place.inputs)) if _is_picture(path)] if folder.is_dir() else []
    names = {path: path.relative_to(folder).with_suffix("").as_posix() for path in files}
    if not place.truths:
        return [Item(name, path) for path, name in names.items()]
    items: list[Item] = []
    truths: dict[Path, dict[str, Path]] = {}
    for path, name in names.items():
        wanted = [folder / re.sub(*rule, name) for rule in place.truths if re.search(rule[0], name)]
        for there in {place.parent for place in wanted} - truths.keys():
            listed = filter(_is_picture, there.iterdir()) if there.is_dir() else ()
            truths[there] = {found.stem: found for found in listed}
        truth = next((truths[at.parent][at.name] for at in wanted if at.name in truths[at.parent]), None)
        if truth is None:
            looked = " or ".join(f"{at}.*" for at in wanted)
            raise InvalidRequest(f"{path} has no truth: looked for {looked}; the set is not complete")
        items.append(Item(name, truth, path))
    return items


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()


def _checksum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_picture(path: Path) -> Pixels:
    """A file as H W 3, float32, 0..1, sRGB."""
    pixels = images.read(path).srgb()
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
