"""What is installed besides unveil itself: is every version written down, and under which licences does it come?

    python .ci/dependencies.py check      everything of `dev` that is installed has its version in constraints-cpu.txt
    python .ci/dependencies.py lock       writes the versions of `dev` that are installed into constraints-cpu.txt
    python .ci/dependencies.py licences   writes docs/licences.md

Looks at the environment it runs in, and at pyproject.toml; needs no network and nothing but `packaging`.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints-cpu.txt"
PAGE = ROOT / "docs" / "licences.md"
OURS = "unveil"

ALLOWED = """0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause BSL-1.0 CC0-1.0 CNRI-Python HPND ISC LGPL-3.0 MIT MIT-0 MIT-CMU
MPL-2.0 PSF-2.0 Python-2.0 Unlicense Zlib"""
"""SPDX names. All are permissive but LGPL (of libraries that can be exchanged) and MPL (of files that were changed)."""

# What packages say in their own words, in the classifiers of PyPI or as free text.
WORDS = {
    "apache software license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache-2.0 license": "Apache-2.0",
    "apache": "Apache-2.0",
    "bsd license": "BSD-3-Clause",
    "bsd": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0",
    "gnu lesser general public license v3 or later (lgplv3+)": "LGPL-3.0",
    "lgpl-3.0-or-later": "LGPL-3.0",
    "lgpl-3.0-only": "LGPL-3.0",
    "mit license": "MIT",
    "the mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "psf": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
}


def project() -> dict[str, list[str]]:
    """Requirements of the package itself under the empty name, and those of each extra."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"": found["dependencies"], **found["optional-dependencies"]}


def needed(extras: Iterable[str]) -> dict[str, str]:
    """Everything that is installed of what unveil needs with these extras: canonical name -> version.

    What is not installed is left out: an extra may be missing, and a system may need fewer packages than another.
    """
    wanted = project()
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    left = [Requirement(line) for extra in ("", *extras) for line in wanted[extra]]
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        if name == OURS:
            left += [Requirement(line) for extra in requirement.extras for line in wanted[extra]]
            continue
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                installed = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                break
            found[name] = installed.version
            below = (Requirement(line) for line in installed.requires or [])
            left += [each for each in below if each.marker is None or each.marker.evaluate({"extra": extra})]
    return found


def pinned() -> dict[str, str]:
    """Canonical name -> version, as constraints-cpu.txt has them."""
    lines = (line.partition("#")[0].strip() for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("==") for line in lines if line)
    return {canonicalize_name(name.strip()): version.strip() for name, _, version in pairs}


def faults() -> list[str]:
    """What is wrong with constraints-cpu.txt; nothing, if every version of `dev` is in it."""
    written, installed = pinned(), needed(["dev"])
    found = [
        f"{name} {version} is installed and not pinned" for name, version in installed.items() if name not in written
    ]
    found += [
        f"{name} is pinned to {written[name]}, and {version} is installed"
        for name, version in installed.items()
        if name in written and version.partition("+")[0] != written[name]
    ]
    found += [f"{name} is pinned and nothing that is installed needs it" for name in written if name not in installed]
    return sorted(found)


def lock() -> str:
    head = [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    lines = [f"{name}=={version.partition('+')[0]}" for name, version in sorted(needed(["dev"]).items())]
    return "\n".join([*head, *lines]) + "\n"


def licence(name: str) -> str:
    """The licence of an installed package as an SPDX expression, or what it says itself where that is none."""
    about = metadata.metadata(name)
    if said := about.get("License-Expression"):
        return said
    classifiers = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier") or [] if "License ::" in line]
    free = (about.get("License") or "").strip().splitlines()[:1]
    short = [text for text in free if text and len(text) < 60]
    for text in (*classifiers, *short):
        known = WORDS.get(text.lower().strip().rstrip("."), text if text in ALLOWED.split() else "")
        if known:
            return known
    return next(iter((*short, *classifiers)), "unknown")


def parts(expression: str) -> list[str]:
    """The licences of an expression; where one of several may be chosen, it counts as one that is allowed."""
    chosen: list[str] = []
    for both in re.split(r"\s+AND\s+", re.sub(r"\s+WITH\s+[\w.-]+|[()]", "", expression), flags=re.IGNORECASE):
        either = [WORDS.get(each.lower(), each) for each in re.split(r"\s+OR\s+", both, flags=re.IGNORECASE)]
        chosen.append(next((each for each in either if each in ALLOWED.split()), either[0]))
    return chosen


def page() -> str:
    """docs/licences.md: every package that is installed, by what needs it first."""
    listed: set[str] = set()
    rows: list[str] = []
    for extra in ("", *project()):
        for name in sorted(set(needed([extra] if extra else [])) - listed):
            listed.add(name)
            rows.append(f"| {name} | {licence(name)} | {extra or 'unveil itself'} |")
    return "\n".join([HEAD, "| package | licence | first needed by |", "|---|---|---|", *rows]) + "\n"


HEAD = """# Licences of what unveil needs

unveil is under Apache-2.0. None of the packages below is part of it or of its wheel: `pip` installs them beside it. The
list is written by

    python .ci/dependencies.py licences

from what the packages say of themselves (as [SPDX](https://spdx.org/licenses/) names; a mere "BSD" counts as
BSD-3-Clause), on Linux; other systems need a few more or fewer. The extras are `train`, `fast`, `serve`, `hub`,
`cluster` and `docs`, and `dev` for working on unveil. A test lets no licence in that is not permissive, LGPL or MPL.
"""


def main(words: list[str]) -> int:
    match words:
        case ["check"]:
            wrong = faults()
            print("\n".join(wrong) or f"{len(needed(['dev']))} packages, each with its version in {CONSTRAINTS.name}")
            return int(bool(wrong))
        case ["lock"]:
            CONSTRAINTS.write_text(lock(), encoding="utf-8")
            return 0
        case ["licences"]:
            PAGE.write_text(page(), encoding="utf-8")
            return 0
        case _:
            print(__doc__)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
