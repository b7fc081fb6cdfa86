"""Checks what was built: `python wheel_check.py dist [version]`. Needs nothing but Python."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

LARGEST = 40_000_000
WEIGHTS = "unveil/models/bundled/abair-fast.safetensors"
FOREIGN = (".so", ".pyd", ".dylib", ".dll", ".pyc")


def sources() -> set[str]:
    """Every file of the package, pages and tables of figures included, as a wheel names it."""
    root = Path(__file__).parents[2] / "src"
    found = (path.relative_to(root) for path in (root / "unveil").rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts and not path.name.startswith(".")}


def faults(folder: Path, version: str = "") -> list[str]:
    """What is wrong with the wheel and the source archive in a folder; nothing, if all is well."""
    wheels, archives = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(archives) != 1:
        return [f"expected one wheel and one archive, found {[path.name for path in (*wheels, *archives)]}"]
    found = [f"{path.name} has {path.stat().st_size:,} bytes" for path in wheels if path.stat().st_size > LARGEST]
    if not wheels[0].name.endswith("-py3-none-any.whl"):
        found.append(f"{wheels[0].name} is not for every system")
    if version and not wheels[0].name.startswith(f"unveil-{version}-"):
        found.append(f"{wheels[0].name} is not of version {version}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        names = wheel.namelist()
    found += [f"the wheel lacks {name}" for name in sorted({WEIGHTS, *sources()} - set(names))]
    found += [f"the wheel holds {name}" for name in names if name.endswith(FOREIGN) or name.startswith("tests/")]
    for licence in ("LICENSE", "NOTICE"):
        if not any(name.endswith(f"/licenses/{licence}") for name in names):
            found.append(f"the wheel lacks {licence}")
    with tarfile.open(archives[0]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = ("pyproject.toml", f"src/{WEIGHTS}", "docs/index.md", "tests/conftest.py", "CITATION.cff", "mkdocs.yml")
    return found + [f"the archive lacks {name}" for name in wanted if name not in held]


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
    print("\n".join(wrong) or "the wheel and the archive are sound")
    sys.exit(bool(wrong))
