"""The odd input corpus, tried out: every case with what has to come of it and whether it did.

    python benchmarks/corpus.py            the whole table, Markdown
    python benchmarks/corpus.py --brief    a line a group: cases, those that ended otherwise, slowest case

The cases are those of tests/corpus, so this needs a checkout. Exits with 1 if a case ends otherwise. Cases that need
the right to mount a file system (a full disk) are left out without it, and said so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "corpus"), str(TESTS)]

import numpy as np  # noqa: E402
import odd_changes  # noqa: E402, F401
import odd_disks  # noqa: E402, F401
import odd_names  # noqa: E402, F401
from odd_arrays import odd_arrays  # noqa: E402
from odd_case import OddFile  # noqa: E402
from odd_damage import damaged_files  # noqa: E402
from odd_files import ordinary_files  # noqa: E402
from odd_places import SCENARIOS, Impossible, Place  # noqa: E402

from toy import toy_model  # noqa: E402
from unveil import images, models  # noqa: E402
from unveil.errors import InvalidRequest, PictureError  # noqa: E402
from unveil.restoration import Restorer  # noqa: E402


@dataclass(frozen=True, slots=True)
class Row:
    """One case: what has to happen, and what tries it and says what happened."""

    group: str
    case: str
    outcome: str
    attempt: Callable[[], str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brief", action="store_true")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        return report(list(rows(root)), brief=chosen.brief)


def rows(root: Path) -> Iterator[Row]:
    """All cases. Files are read and, where that works, restored."""
    model = models.write(toy_model(), root / "toy.safetensors")
    restorer = Restorer(models.read(model))
    for number, odd in enumerate((*ordinary_files(), *damaged_files())):
        path = root / "files" / f"{number} {odd.name}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(odd.make())
        yield Row(odd.group, odd.case, odd.outcome, lambda odd=odd, path=path: try_file(odd, path, restorer))
    for array in odd_arrays():
        yield Row("Arrays", array.case, array.outcome, lambda array=array: try_array(array.make(), restorer))
    for number, scenario in enumerate(SCENARIOS):
        place = Place(root / f"{number}", model, restorer)
        place.root.mkdir()
        yield Row(scenario.group, scenario.case, scenario.outcome, lambda s=scenario, p=place: s.attempt(p))


def try_file(odd: OddFile, path: Path, restorer: Restorer) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            picture = images.read(path)
        except PictureError as error:
            said = odd.said if odd.said in str(error) else str(error)
            return f"`{type(error).__name__}`" + (f": {said}" if said else "")
        restored = restorer.run(picture, weights={"noise": 1}).image
    values = picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])
    if odd.pixels is not None and not np.array_equal(values, odd.pixels):
        return "other pixels"
    if restored.pixels.shape != picture.pixels.shape or restored.pixels.dtype != picture.pixels.dtype:
        return "restored to another shape or depth"
    said = " ".join(str(entry.message) for entry in caught)
    return f"read, with a warning: {odd.said if odd.said in said else said}" if said else "read"


def try_array(array: np.ndarray, restorer: Restorer) -> str:
    try:
        result = restorer.restore(array, weights={"noise": 1})
    except InvalidRequest as error:
        known = ("not finite", "must be 0 to 1", "is no image")
        return f"`InvalidRequest`: {next((words for words in known if words in str(error)), str(error))}"
    same = result.shape == array.shape and result.dtype == array.dtype
    return "restored, same shape and dtype" if same else "restored to another shape or dtype"


def report(table: list[Row], *, brief: bool) -> int:
    """Print what happened; 1 if a case ended otherwise."""
    groups: dict[str, list[tuple[bool | None, float]]] = {}
    if not brief:
        print("| case | what has to happen | so it did |\n|---|---|---|")
    for row in table:
        started = time.perf_counter()
        try:
            found = row.attempt()
            right = found == row.outcome
        except Impossible as reason:
            found, right = f"not tried: {reason}", None
        except Exception as error:
            found, right = f"{type(error).__name__}: {error}", False
        seconds = time.perf_counter() - started
        if not brief and row.group not in groups:
            print(f"| **{row.group}** | | |")
        groups.setdefault(row.group, []).append((right, seconds))
        if not brief or right is not True:
            print(f"| {row.case} | {row.outcome} | {'yes' if right else found} |", flush=True)
    print("\n| group | cases | ended otherwise | not tried here | slowest |\n|---|---|---|---|---|")
    for group, found in groups.items():
        wrong, untried = sum(right is False for right, _ in found), sum(right is None for right, _ in found)
        print(f"| {group} | {len(found)} | {wrong} | {untried} | {max(seconds for _, seconds in found):.1f} s |")
    every = [right for found in groups.values() for right, _ in found]
    print(f"| all | {len(every)} | {every.count(False)} | {every.count(None)} | |")
    return int(False in every)


if __name__ == "__main__":
    sys.exit(main())
