"""Fit NIQE's table of natural pictures, and measure how well its scores rank degrees of damage.

    python benchmarks/niqe.py fit PHOTOGRAPHS ... [-o src/unveil/metrics/niqe.npz]
    python benchmarks/niqe.py rank CLEAN [--pictures N]

`fit` takes folders of clean photographs that are in no test set. `rank` damages the pictures of a folder at severities
0, 0.1, 0.2, 0.4, 0.6, 0.8 and 1 of each of unveil's generators, seed 0, and prints Spearman's rank correlation of score
and severity: the mean over the pictures, one by one, and over all pictures together.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from unveil import images
from unveil.degradations import DEGRADATIONS
from unveil.errors import UnveilError
from unveil.evaluation.damage import Generated, chance
from unveil.metrics.niqe import TABLE, features, fit, niqe

SEVERITIES = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def pictures(folders: list[Path]) -> list[Path]:
    endings = {ending for form in images.FORMATS.values() for ending in form.suffixes}
    return [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix.lower() in endings]


def fitted(folders: list[Path], target: Path) -> None:
    found = []
    for path in pictures(folders):
        try:
            found.append(features(images.read(path).srgb()))
        except UnveilError as error:
            print(f"left out: {error}")
    natural = fit(found)
    np.savez(target, mean=natural.mean.astype(np.float32), covariance=natural.covariance.astype(np.float32))
    print(f"{len(found)} pictures -> {target}")


def ranked(folder: Path, count: int | None) -> None:
    print("| degradation | each picture by itself | all together | clean | at 0.2 | at 0.6 | at 1 |")
    print("|---|---|---|---|---|---|---|")
    paths = pictures([folder])[:count]
    for name in DEGRADATIONS:
        scores = np.array([[score(path, name, severity) for severity in SEVERITIES] for path in paths])
        each = np.mean([spearmanr(SEVERITIES, row).statistic for row in scores])
        together = spearmanr(np.tile(SEVERITIES, len(paths)), scores.ravel()).statistic
        means = dict(zip(SEVERITIES, scores.mean(0), strict=True))
        figures = " | ".join(f"{means[severity]:.2f}" for severity in (0.0, 0.2, 0.6, 1.0))
        print(f"| {name} | {each:+.2f} | {together:+.2f} | {figures} |", flush=True)


def score(path: Path, name: str, severity: float) -> float:
    picture = images.read(path).srgb().astype(np.float32) / np.float32(255)
    return niqe(Generated(name, severity)(picture, chance(0, path.stem)) if severity else picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    fitting = commands.add_parser("fit")
    fitting.add_argument("photographs", type=Path, nargs="+")
    fitting.add_argument("-o", "--output", type=Path, default=TABLE)
    ranking = commands.add_parser("rank")
    ranking.add_argument("clean", type=Path)
    ranking.add_argument("--pictures", type=int, default=None)
    arguments = parser.parse_args()
    if arguments.command == "fit":
        fitted(arguments.photographs, arguments.output)
    else:
        ranked(arguments.clean, arguments.pictures)


if __name__ == "__main__":
    main()
