"""What has been measured so far, one line a picture and subject, written the moment it is known."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unveil.errors import UnveilError
from unveil.metrics import Score

FILE = "pictures.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """Everything that a figure depends on. Where one of these changes, an old figure says nothing any more.

    Attributes:
        files: digest of the picture's files.
        settings: damage, protocols, sizing and seed of the set.
        subject: checksum of what restored it.
        versions: of unveil and of the packages that compute.
    """

    files: str
    settings: str
    subject: str
    versions: str

    def differs_from(self, other: Circumstances) -> str | None:
        """What has changed, in words; None where nothing has."""
        words = {
            "files": "its file has changed",
            "settings": "the settings of its set have changed",
            "subject": "what restores it has changed",
            "versions": "versions of unveil or of other packages have changed",
        }
        return next((said for name, said in words.items() if getattr(self, name) != getattr(other, name)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One picture of one set, restored by one subject. `scores` is by protocol."""

    set: str
    picture: str
    subject: str
    scores: dict[str, Score]
    under: Circumstances
    diagnosis: str | None = None
    weights: dict[str, float] | None = field(default=None)
    seconds: float = 0.0

    @property
    def key(self) -> tuple[str, str, str]:
        return self.set, self.picture, self.subject

    def to_json(self) -> str:
        """One line. JSON has no infinity: the PSNR of equal pictures is null."""
        values = asdict(self)
        for score in values["scores"].values():
            score["psnr"] = None if math.isinf(score["psnr"]) else score["psnr"]
        return json.dumps(values, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Record:
        values: dict[str, Any] = json.loads(line)
        scores: Mapping[str, Mapping[str, Any]] = values.pop("scores")
        under = Circumstances(**values.pop("under"))
        return cls(
            scores={
                name: Score(math.inf if score["psnr"] is None else score["psnr"], score["ssim"])
                for name, score in scores.items()
            },
            under=under,
            **values,
        )


class Ledger:
    """The records of a folder of results. A line that an earlier run could not finish is dropped."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._records: dict[tuple[str, str, str], Record] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._load()
        except OSError as error:
            raise UnveilError(f"{error.filename or folder}: {error.strerror or error}; name another -o") from error

    def get(self, set: str, picture: str, subject: str) -> Record | None:
        """The newest record of one picture, whatever it was measured under."""
        return self._records.get((set, picture, subject))

    def add(self, record: Record) -> None:
        """Keep a record, in the file too before this returns."""
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(record.to_json() + "\n")
        self._records[record.key] = record

    def _load(self) -> None:
        if not self.path.exists():
            return
        text = self.path.read_text(encoding="utf-8")
        for line in filter(None, text.split("\n")):
            try:
                record = Record.from_json(line)
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
            self._records[record.key] = record
        rewritten = "".join(record.to_json() + "\n" for record in self._records.values())
        if rewritten != text:
            temporary = self.path.with_suffix(".part")
            temporary.write_text(rewritten, encoding="utf-8")
            temporary.replace(self.path)
