"""Mutation testing: one small change of the source at a time; do the tests notice?

    python benchmarks/mutation.py --limit 200             200 mutants of images and models, goes on where it stopped
    python benchmarks/mutation.py --limit 200 --seed 1    another sample
    python benchmarks/mutation.py --report                what is known so far: counts, and every survivor
    python benchmarks/mutation.py --again --report        first tries the survivors once more, after tests were added

A run of the tests under coverage says first which tests pass through which line; a mutant then meets only those. It is
made in a copy of the package (links, but for the changed file), never in the checkout. Results are kept in
build/mutation, by the text of the changed module: after a change of a module its mutants are new.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "unveil"
STATE = ROOT / "build" / "mutation"
TESTS = {
    "images": ["tests/images", "tests/corpus/test_odd_files.py"],
    "models": ["tests/models", "tests/test_hub.py"],
}
MOST_TESTS = 25
PATIENCE = 120

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """The change of one node of a module, the `node`-th of its tree, in one of the ways that there are."""

    name: str
    module: str
    line: int
    said: str
    node: int
    variant: int

    def source(self) -> str:
        """The module's whole new text."""
        tree = ast.parse((PACKAGE / self.module).read_text(encoding="utf-8"))
        change(list(ast.walk(tree))[self.node], self.variant)
        return ast.unparse(ast.fix_missing_locations(tree))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=0, help="mutants to try in this run")
    parser.add_argument("--seed", type=int, default=0, help="which ones, among all")
    parser.add_argument("--package", choices=sorted(TESTS), action="append")
    parser.add_argument("--again", action="store_true", help="try the survivors once more")
    parser.add_argument("--report", action="store_true")
    chosen = parser.parse_args()
    packages = chosen.package or sorted(TESTS)
    STATE.mkdir(parents=True, exist_ok=True)
    known, every = results(), {mutant.name: mutant for package in packages for mutant in mutants(package)}
    order = sorted(every)
    random.Random(chosen.seed).shuffle(order)
    work = [name for name in order if name not in known][: chosen.limit]
    if chosen.again:
        work += [name for name in order if known.get(name, {}).get("outcome") == "survived"]
    if work:
        reached = {package: tests_by_line(package) for package in packages}
        for number, name in enumerate(work, 1):
            mutant = every[name]
            known[name] = attempt(mutant, reached[mutant.module.split("/")[0]])
            print(
                f"{number}/{len(work)} {known[name]['outcome']}: {mutant.module}:{mutant.line} {mutant.said}",
                flush=True,
            )
    if chosen.report or not work:
        report(known, every)
    return 0


def mutants(package: str) -> Iterator[Mutant]:
    """All mutants of a package's modules, in the order of their text."""
    for path in sorted((PACKAGE / package).glob("*.py")):
        text = path.read_bytes()
        tree, state = ast.parse(text), hashlib.sha256(text).hexdigest()[:12]
        module = path.relative_to(PACKAGE).as_posix()
        spoken = {part for node in ast.walk(tree) for kind in _annotations(node) for part in ast.walk(kind)}
        for index, node in enumerate(list(ast.walk(tree))):
            if node in spoken:
                continue
            before = dict(vars(node))
            for variant in range(3):
                said = change(node, variant)
                if said is None:
                    break
                vars(node).update(before)
                name = f"{module}:{state}:{index}:{variant}"
                yield Mutant(name, module, getattr(node, "lineno", 0), said, index, variant)


def _annotations(node: ast.AST) -> Iterator[ast.AST]:
    """Types, which nothing looks at when the program runs."""
    for name in ("annotation", "returns"):
        if isinstance(kind := getattr(node, name, None), ast.AST):
            yield kind


def change(node: ast.AST, variant: int) -> str | None:
    """Change a node in one way; what was done, or None where there is no such way."""
    match node, variant:
        case ast.Compare(ops=[only]), 0:
            node.ops = [_COMPARISONS[type(only)]()]
            return f"{_sign(only)} became {_sign(node.ops[0])}"
        case ast.BinOp(left=ast.Constant(value=str())), _:
            return None
        case ast.BinOp(op=operator), 0 if type(operator) in _OPERATORS:
            node.op = _OPERATORS[type(operator)]()
            return f"{_sign(operator)} became {_sign(node.op)}"
        case ast.BoolOp(op=operator), 0:
            node.op = ast.Or() if isinstance(operator, ast.And) else ast.And()
            return f"{_sign(operator)} became {_sign(node.op)}"
        case ((ast.If() | ast.IfExp() | ast.While()), 0):
            said = ast.unparse(node.test)
            node.test = ast.UnaryOp(ast.Not(), node.test)
            return f"condition turned round: {said}"
        case ast.Return(value=ast.AST() as value), 0 if not isinstance(value, ast.Constant):
            said = ast.unparse(value)
            node.value = ast.Constant(None)
            return f"returns None instead of {said[:60]}"
        case ast.Constant(value=bool(value)), 0:
            node.value = not value
            return f"{value} became {node.value}"
        case ast.Constant(value=int(value)), (0 | 1) if not isinstance(value, bool):
            node.value = value + (1 if variant == 0 else -1)
            return f"{value} became {node.value}"
        case ((ast.FunctionDef() | ast.With() | ast.If() | ast.For() | ast.Try()), _):
            return drop(node, variant - (0 if not isinstance(node, ast.If) else 1))
    return None


def drop(node: Any, variant: int) -> str | None:
    """Leave out the first or second statement of a body that raises or only calls."""
    places = [at for at, part in enumerate(node.body) if isinstance(part, ast.Raise) or _is_call(part)]
    if not 0 <= variant < len(places):
        return None
    said = ast.unparse(node.body[places[variant]])
    node.body = [ast.Pass() if at == places[variant] else part for at, part in enumerate(node.body)]
    return f"left out: {said[:70]}"


def _is_call(part: ast.stmt) -> bool:
    return isinstance(part, ast.Expr) and isinstance(part.value, ast.Call)


def _sign(operator: ast.AST) -> str:
    return type(operator).__name__


def tests_by_line(package: str) -> dict[str, dict[int, list[str]]]:
    """Module -> line -> tests that pass through it, from a run under coverage; kept until a module changes."""
    import coverage

    files = [*sorted((PACKAGE / package).glob("*.py")), *(path for part in TESTS[package] for path in _files(part))]
    state = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    data = STATE / f"coverage-{package}-{state}"
    if not data.exists():
        print(f"running the tests of {package} under coverage", flush=True)
        settings = STATE / f"{package}.ini"
        settings.write_text(
            f"[run]\nsource_pkgs = unveil.{package}\ndynamic_context = test_function\ndata_file = {data}\n"
        )
        line = [sys.executable, "-m", "coverage", "run", f"--rcfile={settings}", "-m", "pytest", "-q"]
        subprocess.run([*line, "-p", "no:cacheprovider", *TESTS[package]], cwd=ROOT, check=False)
    found = coverage.CoverageData(str(data))
    found.read()
    homes = {path.stem: path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    reached: dict[str, dict[int, list[str]]] = {}
    for file in found.measured_files():
        lines = found.contexts_by_lineno(file)
        reached[Path(file).relative_to(PACKAGE).as_posix()] = {
            line: sorted({node for name in names if (node := _node(name, homes))}) for line, names in lines.items()
        }
    return reached


def _files(part: str) -> list[Path]:
    place = ROOT / part
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


def _node(context: str, homes: dict[str, str]) -> str | None:
    module, _, function = context.rpartition(".")
    home = homes.get(module.rpartition(".")[2])
    return f"{home}::{function}" if home and function.startswith("test_") else None


def attempt(mutant: Mutant, reached: dict[str, dict[int, list[str]]]) -> dict[str, Any]:
    """Try a mutant against the tests that pass through its line (of constants of a module: all that reach it)."""
    lines = reached.get(mutant.module, {})
    tests = lines.get(mutant.line) or sorted({test for names in lines.values() for test in names})
    random.Random(mutant.name).shuffle(tests)
    started = time.perf_counter()
    outcome = run(mutant, tests[:MOST_TESTS]) if tests else "not reached"
    entry = {
        "name": mutant.name,
        "outcome": outcome,
        "module": mutant.module,
        "line": mutant.line,
        "said": mutant.said,
        "seconds": round(time.perf_counter() - started, 1),
    }
    with (STATE / "results.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry) + "\n")
    return entry


def run(mutant: Mutant, tests: list[str]) -> str:
    """`killed`, `survived` or `hung`, in a copy of the package that is links but for the changed module."""
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / "unveil"
        mirror(PACKAGE, copied)
        changed = copied / mutant.module
        mirror_folder = changed.parent
        mirror_folder.unlink()
        mirror(PACKAGE / changed.parent.name, mirror_folder)
        changed.unlink()
        changed.write_text(mutant.source(), encoding="utf-8")
        env = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        line = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", *tests]
        try:
            done = subprocess.run(line, cwd=ROOT, env=env, capture_output=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            return "hung"
    return "survived" if done.returncode == 0 else "killed"


def mirror(folder: Path, copied: Path) -> None:
    copied.mkdir()
    for entry in folder.iterdir():
        if entry.name != "__pycache__":
            (copied / entry.name).symlink_to(entry)


def results() -> dict[str, dict[str, Any]]:
    """The last outcome of every mutant that was tried."""
    path = STATE / "results.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {entry["name"]: entry for entry in map(json.loads, lines)}


def report(known: dict[str, dict[str, Any]], every: dict[str, Mutant]) -> None:
    tried = {name: known[name] for name in every if name in known}
    print("\n| package | mutants | tried | killed | hung | survived | not reached |\n|---|---|---|---|---|---|---|")
    for package in sorted({name.split("/")[0] for name in every}):
        mine = [entry["outcome"] for name, entry in tried.items() if name.startswith(f"{package}/")]
        count = sum(name.startswith(f"{package}/") for name in every)
        parts = [mine.count(outcome) for outcome in ("killed", "hung", "survived", "not reached")]
        print(f"| {package} | {count} | {len(mine)} | {' | '.join(map(str, parts))} |")
    print("\n| survivor | change |\n|---|---|")
    for entry in sorted(tried.values(), key=lambda entry: (entry["module"], entry["line"])):
        if entry["outcome"] in ("survived", "not reached"):
            said = entry["said"].replace("|", "\\|").replace("\n", " ")
            print(f"| `{entry['module']}:{entry['line']}` | {entry['outcome']}: {said} |")


if __name__ == "__main__":
    sys.exit(main())
