"""A folder run killed at random moments and continued: is every result there and right, and is nothing done twice?

    python benchmarks/interrupted_folder.py --pictures 200 --kills 10

Small noisy pictures are restored once without interruption, which says what is right and how long it takes. Then the
same folder is restored into another one by a process that is killed (SIGKILL) at a random moment, and continued,
until it has been killed so many times; a last run finishes. Prints a table and exits with 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    chance = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        make_pictures(root / "in", chosen.pictures, chosen.side)
        starting, working = measure(root)
        print(f"uninterrupted: {starting:.1f} s to the first result, {working:.1f} s for {chosen.pictures}\n")
        print("| run | killed after | results before | results after | done twice |\n|---|---|---|---|---|")
        twice = 0
        for kill in range(chosen.kills):
            # After a random number of results, such that enough is left for the kills that follow, and then at a random
            # moment of the time that two pictures take; with no new result, at a moment of starting.
            left = chosen.pictures - len(results(root, "out"))
            count = chance.randint(0, max(2 * left // (chosen.kills - kill + 1), 1))
            delay = chance.uniform(0, 2 * working / chosen.pictures if count else starting)
            twice += report(root, f"{kill + 1}", min(count, left - 1), delay)
        twice += report(root, "last", None, 0.0)
        return verdict(root, chosen.pictures, twice)


def make_pictures(folder: Path, count: int, side: int) -> None:
    """Noise of many kinds, in folders of fifty."""
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
        file = folder / f"{number // 50}" / f"{number:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels // 2 + np.uint8(60)).save(file)


def start(root: Path, out: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "unveil", "restore", str(root / "in"), "-o", str(root / out), "--quiet"]
    # Weights by hand: a picture that the model takes for clean would be copied, which is over too quickly to be hit.
    return subprocess.Popen([*command, "--weights", "noise=1"])


def measure(root: Path) -> tuple[float, float]:
    """Seconds of a whole run until its first result, and from there to its end."""
    started = time.perf_counter()
    process = start(root, "wanted")
    while process.poll() is None and not results(root, "wanted"):
        time.sleep(0.01)
    first = time.perf_counter() - started
    process.wait()
    return first, time.perf_counter() - started - first


def results(root: Path, out: str) -> dict[str, int]:
    """Every finished result with the time of its making."""
    folder = root / out
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*.png")}


def report(root: Path, name: str, count: int | None, delay: float) -> int:
    """Run, kill so many seconds after so many new results, print a line; how many results have been made once more."""
    before = results(root, "out")
    process = start(root, "out")
    started = time.perf_counter()
    if count is not None:
        while process.poll() is None and len(results(root, "out")) < len(before) + count:
            time.sleep(0.002)
        time.sleep(delay)
        process.kill()
    ended = process.wait() == 0
    said = "-" if ended else f"{time.perf_counter() - started:.2f} s"
    after = results(root, "out")
    twice = sum(after.get(path) != made for path, made in before.items())
    print(f"| {name} | {said} | {len(before)} | {len(after)} | {twice} |", flush=True)
    return twice


def verdict(root: Path, count: int, twice: int) -> int:
    right = sum(digest(root / "out" / path) == digest(root / "wanted" / path) for path in results(root, "out"))
    left = [path for path in (root / "out").rglob("*") if path.name.endswith(".part")]
    lines = (root / "out" / ".unveil" / "history.jsonl").read_text().splitlines()
    begun = sum(1 for line in lines if is_json(line)) - count
    print(f"\n{right} of {count} results there and equal to those of the uninterrupted run")
    print(f"{twice} finished results made again; {begun} in hand at a kill after their line was written")
    print(f"{len(left)} temporary files left")
    return int(right != count or twice > 0 or bool(left))


def is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
