"""What becomes of a training run when it is stopped, when the disk is full, when a checkpoint or the data are damaged.

    python benchmarks/training_faults.py

Runs the first phase of a toy recipe once for each fault, then once more without it. Prints a table: what was said, from
which step the second run went on, and whether its weights are, bit for bit, those of a run that nothing disturbed.
Exits with 1 if some are not. Linux: the full disk is a file system in memory, in a namespace of the script's own
(`unshare`, no root needed).
"""

from __future__ import annotations

import argparse
import os
import re
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
import torch
from PIL import Image

INSIDE = "UNVEIL_FAULTS_INSIDE"
STEPS, EVERY = 60, 10
RECIPE = f"""
name: toy
precision: 32-true
network: {{name: fastnaf, width: 8, encoder: [1], middle: 1, decoder: [1]}}
pretraining:
  {{degradations: {{noise: 1, blur: 1, clean: 1}}, iterations: {STEPS}, batch: 2, patch: 32, learning_rate: 1.0e-3}}
adaptation: {{rank: 2, iterations: 1, batch: 2, patch: 32, learning_rate: 1.0e-2}}
adapters: {{noise: {{}}}}
estimation: {{iterations: 1, batch: 2, patch: 32, side: 48, learning_rate: 1.0e-3}}
"""


@dataclass(frozen=True)
class Fault:
    """`before` prepares, `during` acts once a checkpoint of step 20 is there, `between` before the second run."""

    name: str
    before: Callable[[Path], None] | None = None
    during: Callable[[Path, subprocess.Popen[str]], None] | None = None
    between: Callable[[Path], None] | None = None
    options: tuple[str, ...] = ()
    again: bool = True
    same: bool = True
    """Whether the weights must be those of the undisturbed run."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="faults whose names fit this expression")
    chosen = parser.parse_args()
    if INSIDE not in os.environ:
        return subprocess.call(["unshare", "-rm", sys.executable, *sys.argv], env={**os.environ, INSIDE: "1"})
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "toy.yaml").write_text(RECIPE)
        make_photographs(root / "photographs")
        start(root, root / "wanted").communicate()
        print("| fault | exit code | checkpoints left | said | second run: from step, exit code | weights equal |")
        print("|---" * 6 + "|")
        good = [attempt(root, fault) for fault in FAULTS if re.search(chosen.only, fault.name)]
    return int(not all(good))


def make_photographs(folder: Path) -> None:
    folder.mkdir()
    for number in range(4):
        coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(coarse).resize((128, 96), Image.Resampling.BICUBIC).save(folder / f"{number}.png")


def start(root: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "unveil", "train", str(root / "toy.yaml"), "--out", str(out)]
    line += ["--data", str(root / "photographs"), "--phase", "pretrain", "--checkpoint-every", str(EVERY)]
    return subprocess.Popen(
        [*line, "--threads", "1", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "400"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def attempt(root: Path, fault: Fault) -> bool:
    """Run with the fault and without it, print a line; whether all was well."""
    out = root / "run"
    shutil.rmtree(out, ignore_errors=True)
    if fault.before:
        fault.before(root)
    process = start(root, out, *fault.options)
    if fault.during:
        while process.poll() is None and not (out / "pretraining" / "former.ckpt").exists():
            time.sleep(0.01)
        fault.during(root, process)
    said = telling(process.communicate()[1], root)
    left = {path.name: step(path) for path in sorted(out.glob("**/*.ckpt"))}
    if fault.between:
        fault.between(root)
    second, equal = "-", "-"
    good = True
    if fault.again:
        again = start(root, out)
        told = again.communicate()[1]
        second = f"{begun(told, left)}, {again.returncode}"
        good = again.returncode == 0 and (not fault.same or same(root / "wanted", out))
        equal = ("yes" if good else "NO") if fault.same else "-"
        said += "".join(f"; then: {line}" for line in telling(told, root).split("<br>") if "going on" in line)
    kept = ", ".join(f"{name}: {number}" for name, number in left.items())
    print(f"| {fault.name} | {process.returncode} | {kept or '-'} | {said or '-'} | {second} | {equal} |", flush=True)
    subprocess.call(["umount", "-q", str(out)], stderr=subprocess.DEVNULL)
    return good


def telling(text: str, root: Path) -> str:
    """The lines that unveil itself has written."""
    lines = (line for part in text.splitlines() for line in part.split("\r"))
    ours = (
        line for line in lines if re.match(r"(error|warning|interrupted):|\d+ files? (was|were) left|  \S+: ", line)
    )
    # Lightning and PyTorch have warnings of their own.
    ours = (line for line in ours if not line.startswith("warning:") or re.search(r"\.ckpt|: in step", line))
    kept = [line.replace(str(root), "").replace("|", "/") for line in ours]
    return "<br>".join(f"`{line.strip()}`" for line in dict.fromkeys(kept))


def begun(told: str, left: dict[str, str]) -> str:
    found = re.search(r"going on from step (\d+)", told)
    return found[1] if found else left.get("final.ckpt") or left.get("last.ckpt") or left.get("former.ckpt") or "0"


def step(path: Path) -> str:
    try:
        return str(torch.load(path, weights_only=True, map_location="cpu")["global_step"])
    except Exception:
        return "damaged"


def same(one: Path, other: Path) -> bool:
    first, second = (
        torch.load(place / "pretraining" / "final.ckpt", weights_only=True)["state_dict"] for place in (one, other)
    )
    return all(torch.equal(first[name], second[name]) for name in first)


def send(number: signal.Signals) -> Callable[[Path, subprocess.Popen[str]], None]:
    return lambda _, process: process.send_signal(number)


def damage(root: Path) -> None:
    path = root / "run" / "pretraining" / "last.ckpt"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def fill(root: Path) -> None:
    """A disk with room for about one checkpoint and a half."""
    size = 3.2 * (root / "wanted" / "pretraining" / "final.ckpt").stat().st_size * 1.5
    (root / "run").mkdir()
    subprocess.check_call(["mount", "-t", "tmpfs", "-o", f"size={int(size) // 1024}k", "tmpfs", str(root / "run")])


def grow(root: Path) -> None:
    subprocess.check_call(["mount", "-o", "remount,size=100m", str(root / "run")])


def spoil(root: Path) -> None:
    (root / "photographs" / "0.png").write_bytes((root / "photographs" / "0.png").read_bytes()[:2000])
    (root / "photographs" / "1.png").write_bytes(b"")


def mend(root: Path) -> None:
    shutil.rmtree(root / "photographs")
    make_photographs(root / "photographs")


FAULTS = [
    Fault("SIGINT (Ctrl-C)", during=send(signal.SIGINT)),
    Fault("SIGTERM", during=send(signal.SIGTERM)),
    Fault("SIGKILL", during=send(signal.SIGKILL)),
    Fault("SIGKILL, and the last checkpoint is damaged", during=send(signal.SIGKILL), between=damage),
    Fault("the disk gets full", before=fill, between=grow),
    Fault("the weights run away", options=("--set", "pretraining.learning_rate=1.0e+36"), again=False),
    Fault("two of four photographs are damaged", before=spoil, between=mend, again=False),
]

if __name__ == "__main__":
    sys.exit(main())
