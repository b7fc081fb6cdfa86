"""What becomes of a folder run when it is stopped, when the disk is full, when pictures or folders vanish.

    python benchmarks/folder_faults.py

Runs `unveil restore IN -o OUT` on a small folder once for each fault, then once more without the fault. A result is
whole if its bytes are those of a run that nothing disturbed. Prints a table and exits with 1 if a result was not whole,
a finished one was lost or made twice, a temporary file was left at the end, or the second run did not complete the
folder. Linux: a full disk and a read-only one are file systems in memory, in a namespace of the script's own
(`unshare`, no root needed).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

INSIDE = "UNVEIL_FAULTS_INSIDE"
LARGE = "05.png"
"""The picture whose restoring takes long enough to be met in the middle of it."""


@dataclass
class Place:
    """One run's folders. `wanted` is what a run that nothing disturbed made of `source`."""

    source: Path
    out: Path
    wanted: Path
    pictures: int

    def results(self) -> dict[str, tuple[int, str]]:
        """Names of results with the times of their making and their digests."""
        found = self.out.glob("*.png")
        return {path.name: (path.stat().st_mtime_ns, digest(path)) for path in found}

    def broken(self) -> int:
        """Files with a result's name that are not what they must be."""
        return sum(found != digest(self.wanted / name) for name, (_, found) in self.results().items())


@dataclass(frozen=True)
class Fault:
    """`before` prepares the folders, `during` acts once so many results are there, `after` makes all well again."""

    name: str
    before: Callable[[Place], None] | None = None
    during: Callable[[Place, subprocess.Popen[str]], None] | None = None
    after: Callable[[Place], None] | None = None
    results: int = 4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--side", type=int, default=160)
    chosen = parser.parse_args()
    if INSIDE not in os.environ:
        environment = {**os.environ, INSIDE: "1"}
        return subprocess.call(["unshare", "-rm", sys.executable, *sys.argv], env=environment)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_pictures(root / "original", chosen.pictures, chosen.side)
        make_pictures(root / "changed", chosen.pictures, chosen.side, only=LARGE)
        finish(root / "original", root / "wanted")
        print("| fault | exit code | results there | not whole | said | second run | done twice | left over |")
        print("|---" * 8 + "|")
        good = [attempt(root, fault, chosen.pictures) for fault in FAULTS]
    return int(not all(good))


def make_pictures(folder: Path, count: int, side: int, only: str = "") -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        name = f"{number:02}.png"
        if not only or name == only:
            shape = (6 * side, 6 * side, 3) if name == LARGE else (side, side, 3)
            pixels = np.random.default_rng((number, bool(only))).integers(0, 256, shape, np.uint8)
            Image.fromarray(pixels // 2 + np.uint8(60)).save(folder / name)


def start(source: Path, out: Path) -> subprocess.Popen[str]:
    # Weights by hand: a picture that the model takes for clean would be copied, which is over too quickly to be met.
    line = [sys.executable, "-m", "unveil", "restore", str(source), "-o", str(out), "--weights", "noise=1"]
    return subprocess.Popen(
        line,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finish(source: Path, out: Path) -> tuple[int, str]:
    process = start(source, out)
    said = process.communicate()[1]
    return process.returncode, said


def attempt(root: Path, fault: Fault, pictures: int) -> bool:
    """Run with the fault and without it, print a line; whether all was well."""
    place = Place(root / "in", root / "out", root / "wanted", pictures)
    for folder in (place.source, place.out):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root / "original", place.source)
    if fault.before:
        fault.before(place)
    process = start(place.source, place.out)
    if fault.during:
        while process.poll() is None and len(place.results()) < fault.results:
            time.sleep(0.002)
        fault.during(place, process)
    said = (process.communicate()[1] or "").strip().splitlines()
    first, broken = place.results(), place.broken()
    if fault.after:
        fault.after(place)
    code, _ = finish(place.source, place.out)
    second = place.results()
    # Where the fault took the results with it, they must be made again.
    twice = sum(name in second and second[name] != made for name, made in first.items())
    left = sum(1 for path in place.out.rglob("*") if path.name.endswith(".part"))
    whole = code == 0 and len(second) == pictures and not place.broken()
    again = f"{len(second)} of {pictures}, exit code {code}" + ("" if whole else ", NOT WHOLE")
    told = "<br>".join(f"`{line.replace(str(root), '')}`" for line in [*said[:1], *said[-1:]][: len(said)])
    cells = [fault.name, process.returncode, len(first), broken, told or "-", again, twice, left]
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    subprocess.call(["umount", "-q", str(place.out)], stderr=subprocess.DEVNULL)
    return whole and not broken and not twice and not left


def send(number: signal.Signals) -> Callable[[Place, subprocess.Popen[str]], None]:
    return lambda _, process: process.send_signal(number)


def fill(place: Place) -> None:
    """A disk with room for the first results and not for all of them."""
    room = sum(path.stat().st_size for path in place.wanted.glob("*.png") if path.name != LARGE) // 2 // 1024
    place.out.mkdir()
    subprocess.check_call(["mount", "-t", "tmpfs", "-o", f"size={room}k", "tmpfs", str(place.out)])


def grow(place: Place) -> None:
    subprocess.check_call(["mount", "-o", "remount,size=100m", str(place.out)])


def seal(place: Place) -> None:
    place.out.mkdir()
    subprocess.check_call(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place.out)])


def unseal(place: Place) -> None:
    subprocess.check_call(["mount", "-o", "remount,rw", str(place.out)])


def vanish(place: Place, _: object) -> None:
    for path in sorted(place.source.iterdir())[-3:]:
        path.unlink()


def come_back(place: Place) -> None:
    shutil.copytree(place.source.parent / "original", place.source, dirs_exist_ok=True)


def change(place: Place, _: object) -> None:
    """Write other contents into the picture that is being restored."""
    time.sleep(0.1)
    shutil.copy(place.source.parent / "changed" / LARGE, place.source / LARGE)


def remove_output(place: Place, _: object) -> None:
    shutil.rmtree(place.out)


def remove_input(place: Place, _: object) -> None:
    shutil.rmtree(place.source)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


FAULTS = [
    Fault("none"),
    Fault("SIGINT (Ctrl-C)", during=send(signal.SIGINT)),
    Fault("SIGTERM", during=send(signal.SIGTERM)),
    Fault("SIGKILL", during=send(signal.SIGKILL)),
    Fault("the disk gets full", before=fill, after=grow),
    Fault("the target is read-only", before=seal, after=unseal),
    Fault("three pictures vanish before their turn", during=vanish, after=come_back),
    Fault("the folder of pictures is removed", during=remove_input, after=come_back),
    Fault("a picture is changed while it is restored", during=change, after=come_back, results=5),
    Fault("the output folder is removed", during=remove_output),
]

if __name__ == "__main__":
    sys.exit(main())
