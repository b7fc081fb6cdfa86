"""Fuzzing for longer: spoilt pictures, tags, cards, graphs and model files, until something ends as it should not.

    python benchmarks/fuzz.py --minutes 10                  all targets, by our own spoilers
    python benchmarks/fuzz.py --minutes 10 --atheris        guided by coverage (pip install atheris)
    python benchmarks/fuzz.py --minutes 5 --target graphs

Every target works in a process of its own with bounded memory, so that a crash of a library or a hang is found as well.
What was found is put into tests/fuzzing/found, where the tests run it from then on, and makes the exit code 1. The
targets are those of tests/fuzzing, so this needs a checkout.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random

FUZZING = Path(__file__).parents[1] / "tests" / "fuzzing"
FOUND = FUZZING / "found"
sys.path[:0] = [str(FUZZING)]

NAMES = ("pictures", "tags", "cards", "graphs", "models")
LONGEST = 20
"""Seconds for one file, on a machine with other work."""
MEMORY = 6 << 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="in all, shared out evenly")
    parser.add_argument("--target", choices=NAMES, action="append")
    parser.add_argument("--seed", type=int, default=0, help="another one spoils in other ways")
    parser.add_argument("--atheris", action="store_true")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    names = chosen.target or list(NAMES)
    seconds = chosen.minutes * 60 / len(names)
    if chosen.work:
        return follow(names[0], seconds, chosen.seed) if chosen.atheris else spoil(names[0], seconds, chosen)
    print("| target | files | seconds | files a second | found |\n|---|---|---|---|---|")
    wrong = 0
    for name in names:
        started = time.perf_counter()
        before = set((FOUND / name).glob("*"))
        runs = watch(name, seconds, chosen)
        spent = time.perf_counter() - started
        found = len(set((FOUND / name).glob("*")) - before)
        wrong += found
        print(f"| {name} | {runs:,} | {spent:.0f} | {runs / spent:.0f} | {found} |", flush=True)
    return int(wrong > 0)


def watch(name: str, seconds: float, chosen: argparse.Namespace) -> int:
    """Let a process work on a target, start it again after a crash; how many files it was given."""
    runs, until, seed = 0, time.monotonic() + seconds, chosen.seed
    with tempfile.TemporaryDirectory() as folder:
        while (left := until - time.monotonic()) > 1:
            line = [sys.executable, "-X", "faulthandler", __file__, "--minutes", f"{left / 60}", "--target", name]
            line += ["--seed", str(seed), "--work", folder, *(["--atheris"] if chosen.atheris else [])]
            done = subprocess.run(line, capture_output=True, text=True, errors="replace", check=False)
            said = re.findall(r"(?:Done |stat::number_of_executed_units:\s*)(\d+)", done.stdout + done.stderr)
            runs += int(said[-1]) if said else 0
            if done.returncode == 0:
                break
            print(f"{name}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}", file=sys.stderr)
            current = Path(folder) / "current"
            if done.returncode < 0 and current.exists():
                keep(name, current.read_bytes())
            seed += 1_000_003
    return runs


def spoil(name: str, seconds: float, chosen: argparse.Namespace) -> int:
    """Spoil files until the time is over. Each is written down before it is tried, for who finds this process dead."""
    from targets import TARGETS

    bound_memory()
    target, current = TARGETS[name], Path(chosen.work) / "current"
    runs, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        data = target.spoilt(Random(chosen.seed + runs))
        current.write_bytes(data)
        runs += 1
        try:
            signal.alarm(LONGEST)
            target.run(data)
        except Exception:
            traceback.print_exc()
            keep(name, data)
        finally:
            signal.alarm(0)
    print(f"Done {runs}")
    return 0


def follow(name: str, seconds: float, seed: int) -> int:
    """Let atheris look for ways that no file has gone yet, with our spoilers to get past lengths and check sums."""
    import atheris

    with atheris.instrument_imports(include=["unveil"]):
        from targets import TARGETS
    target = TARGETS[name]
    spoils = [spoiler for _, spoiler in target.seeds()]

    def mutate(data: bytes, most: int, chance: int) -> bytes:
        random = Random(chance)
        if random.random() < 0.3:
            return atheris.Mutate(data, most)
        with contextlib.suppress(Exception):
            return random.choice(spoils)(random, data)[:most]
        return atheris.Mutate(data, most)

    with tempfile.TemporaryDirectory() as corpus:
        for number, (data, _) in enumerate(target.seeds()):
            (Path(corpus) / f"{number}").write_bytes(data)
        (FOUND / name).mkdir(parents=True, exist_ok=True)
        options = [f"-max_total_time={seconds:.0f}", f"-seed={seed + 1}", f"-timeout={LONGEST}", "-max_len=200000"]
        options += [f"-rss_limit_mb={MEMORY >> 20}", f"-artifact_prefix={FOUND / name}/", "-print_final_stats=1"]
        atheris.Setup([name, *options, corpus], target.run, custom_mutator=mutate)
        atheris.Fuzz()
    return 0


def keep(name: str, data: bytes) -> None:
    (FOUND / name).mkdir(parents=True, exist_ok=True)
    (FOUND / name / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


def bound_memory() -> None:
    with contextlib.suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    sys.exit(main())
