"""Pictures, archives and a catalogue for made-up data sets."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int = 0, width: int = 24, height: int = 16) -> bytes:
    """A PNG file that compresses badly."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def fill(folder: Path, *paths: str, **options: int) -> Path:
    """Put a picture at every path."""
    for seed, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(picture(seed, **options))
    return folder


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return out.getvalue()


def tarred(files: dict[str, bytes | tuple[str, str]]) -> bytes:
    """A .tar.gz; a pair (kind, target) instead of bytes makes a link, "symbolic" or "hard"."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as bundle:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                entry.size = len(content)
                bundle.addfile(entry, io.BytesIO(content))
            else:
                entry.type = tarfile.SYMTYPE if content[0] == "symbolic" else tarfile.LNKTYPE
                entry.linkname = content[1]
                bundle.addfile(entry)
    return out.getvalue()


CATALOGUE = """
[[set]]
name = "drops"
title = "Drops 200"
aliases = ["DropSet"]
use = "tests"
home = "https://example.org"
licence = "made up"
source = "these tests"
verified = false

[[set.download]]
url = "ADDRESS/drops.zip"
keep = ["*/pairs/*"]

[[set.part]]
name = "test"
role = "test"
count = 2
size = [24, 16]
layouts = [{ input = "pairs/wet/{n}", target = "pairs/dry/{n}" }, { input = "wet/wet-{n}x2", target = "dry/dry-{n}" }]

[[set.part]]
name = "train"
role = "train"
layouts = [{ target = "more/{name}" }]

[[set]]
name = "shards"
title = "Shards"
use = "tests"
home = "https://example.org"
licence = "made up"
source = "these tests"
verified = false

[[set.download]]
url = "ADDRESS/shard-{00..03}.tar.gz"

[[set.part]]
name = "train"
role = "train"
layouts = [{ target = "{a}/{name}" }]

[[set]]
name = "hand"
title = "By hand"
use = "tests"
home = "https://example.org"
licence = "made up"
source = "these tests"
verified = false
steps = ["Write a letter.", "Wait."]

[[set.part]]
name = "test"
role = "test"
count = 2
layouts = [{ input = "eval/low/{name}", target = "eval/high/{name}" }]

[[set.part]]
name = "order"
role = "train"
layouts = [{ input = "src/{name}", target = "dst/{name}", pairing = "order" }]

[[set.part]]
name = "listed"
role = "train"
layouts = [{ input = "all/{s}/blur_{n}", target = "all/{s}/gt_{n}", list = "list.txt" }]

[[set.part]]
name = "small"
role = "train"
scale = 4
border = 1
layouts = [{ input = "lr/{name}x4", target = "hr/{name}" }]

[[overlap]]
parts = ["drops/train", "hand/test"]
text = "two pictures are the same"
source = "these tests"
names = ["a", "b"]

[[overlap]]
parts = ["drops/test", "hand/test"]
text = "all scenes are the same"
source = "these tests"
"""
