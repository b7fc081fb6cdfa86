"""MiOIR's test sets, written to disk from a folder of clean pictures: seven tasks, in and out of distribution."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unveil import __version__
from unveil.errors import DataSetMissing, InvalidRequest
from unveil.evaluation.damage import chance, eight_bit
from unveil.evaluation.sets import ENDINGS, read_picture
from unveil.evaluation.sizing import Sizing
from unveil.methods.mioir.degradations import Span, degrade_picture
from unveil.methods.mioir.depth import DEPTHS, read_depth
from unveil.methods.mioir.tasks import OFFICIAL, TASKS

FOLDER = "mioir"
TRUTHS = "GT"
RECORD = ".made.json"

SPANS: Mapping[Span, str] = {"in": "", "out": "_outbig"}
"""What the authors add to the name of a task for sets in and out of distribution."""

SETS: tuple[tuple[str, Span], ...] = tuple((task, span) for span in SPANS for task in TASKS)


def folder_of(task: str, span: Span) -> str:
    """The authors' name of a set's folder."""
    return f"{OFFICIAL[task]}{SPANS[span]}"


@dataclass(slots=True)
class Making:
    """Writes `GT` and fourteen folders beside it; a picture that is there and made alike is left alone.

    Args:
        source: folder of clean pictures, searched with all its folders.
        home: the folder to write, `mioir` below the root of data sets.
        seed: what is drawn depends on it and on a picture's name alone.
        depths: folder of depth maps with the pictures' names, for haze; made up where there is none.
        limit: take the first so many pictures.

    Raises:
        DataSetMissing: there are no pictures.
        InvalidRequest: two pictures would have one name, or the folder was made with another seed.
    """

    source: Path
    home: Path
    seed: int = 0
    depths: Path | None = None
    limit: int | None = None
    made: dict[str, str] = field(default_factory=dict[str, str], init=False)

    def __post_init__(self) -> None:
        record = self.home / RECORD
        if not record.exists():
            return
        kept = json.loads(record.read_text(encoding="utf-8"))
        if kept["seed"] != self.seed:
            raise InvalidRequest(
                f"{self.home} was made with seed {kept['seed']}, not {self.seed}; choose another root, or remove it"
            )
        self.made = kept["pictures"]

    def pictures(self) -> dict[str, Path]:
        """Names of results and the clean pictures they are made from."""
        if not self.source.is_dir():
            raise DataSetMissing(f"{self.source} is no folder; give one of clean pictures")
        files = sorted(path for path in self.source.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
        found: dict[str, Path] = {}
        for path in files[: self.limit]:
            name = "-".join(path.relative_to(self.source).with_suffix("").parts)
            if name in found:
                raise InvalidRequest(f"{path} and {found[name]} would both be called {name}; rename one of them")
            found[name] = path
        if not found:
            raise DataSetMissing(f"{self.source} holds no pictures; give a folder of clean ones")
        return found

    def is_made(self, name: str, path: Path) -> bool:
        """Whether all files of a picture are there, made from these pixels and this depth."""
        return self.made.get(name) == self._digest(path) and all(place.exists() for place in self._places(name))

    def make(self, name: str, path: Path, tick: Callable[[int, int], object] = lambda done, of: None) -> None:
        """Write the files of one picture.

        Raises:
            PictureError: it cannot be read.
            DataError: its depth map cannot be read, or is of another shape.
        """
        clean = Sizing("corner", 4)(eight_bit(read_picture(path)))
        depth = self._depth(path)
        haze = None if depth is None else read_depth(depth, clean.shape[0], clean.shape[1])
        self._write(clean, self.home / TRUTHS / f"{name}.png")
        for done, (task, span) in enumerate(SETS, 1):
            random = chance(self.seed, name)
            degraded = degrade_picture(clean, task, random, span=span, depth=haze if task == "haze" else None)
            self._write(degraded, self.home / folder_of(task, span) / f"{name}.png")
            tick(done, len(SETS))
        self.made[name] = self._digest(path)
        record: dict[str, Any] = {"unveil": __version__, "seed": self.seed, "pictures": self.made}
        temporary = self.home / f"{RECORD}.part"
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        temporary.replace(self.home / RECORD)

    def _depth(self, path: Path) -> Path | None:
        if self.depths is None:
            return None
        return next((place for ending in DEPTHS if (place := self.depths / f"{path.stem}{ending}").exists()), None)

    def _digest(self, path: Path) -> str:
        total = hashlib.sha256()
        for file in (path, self._depth(path)):
            total.update(b"" if file is None else hashlib.sha256(file.read_bytes()).digest())
        return total.hexdigest()

    def _places(self, name: str) -> Iterator[Path]:
        yield self.home / TRUTHS / f"{name}.png"
        yield from (self.home / folder_of(task, span) / f"{name}.png" for task, span in SETS)

    @staticmethod
    def _write(picture: NDArray[np.float32], path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.part")
        Image.fromarray((picture * 255).round().astype(np.uint8)).save(temporary, "PNG", compress_level=3)
        temporary.replace(path)
