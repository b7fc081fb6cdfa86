"""A folder on a local Ray, one of whose actors is killed while it writes; the speed beside that of a plain run; S3.

    python benchmarks/cluster.py --pictures 500

Small noisy pictures are made and restored by `unveil restore`, which says what is right and how fast that is. Then they
are restored with `--cluster ray`; after half of them, a worker is killed (SIGKILL) at a moment when a half result lies
there under its temporary name. Every result must be that of the plain run, and the manifest must count one finish for
each picture, and one start, but for what the killed worker had in hand. Then some pictures make the way to an S3 server
of this machine (moto) and back. Prints tables and exits with 1 if anything is wrong. Linux only: it looks into /proc.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from unveil import cluster
from unveil.cluster import manifest
from unveil.stores import open_store

# Weights by hand: a picture that the model takes for clean would be copied.
COMMAND = [sys.executable, "-m", "unveil", "restore", "--weights", "noise=1"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--height", type=int, default=192)
    parser.add_argument("--actors", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--remote", type=int, default=40, help="pictures that go to the S3 server")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        make_pictures(root / "in", chosen.pictures, chosen.width, chosen.height)
        size = chosen.width * chosen.height / 1e6
        print(f"{chosen.pictures} pictures of {chosen.width} x {chosen.height}, load {os.getloadavg()[0]:.1f}\n")
        print("| run | first result after | pictures/s | megapixels/s | whole run |\n|---|---|---|---|---|")
        plain(root, size)
        victim = on_ray(root, size, chosen.actors)
        faults = check(root, chosen.pictures, victim)
        faults += second_run(root, chosen.pictures, chosen.actors)
        faults += through_s3(root, chosen.remote, chosen.actors)
        print(f"\nload at the end {os.getloadavg()[0]:.1f}; {faults or 'no'} faults")
        return int(faults > 0)


def make_pictures(folder: Path, count: int, width: int, height: int) -> None:
    """Noise on a gradient, each other noise, in folders of a hundred."""
    slope = np.linspace(60, 180, width)[None, :, None]
    for number in range(count):
        noise = np.random.default_rng(number).normal(0, 15 + number % 20, (height, width, 3))
        file = folder / f"{number // 100}" / f"{number:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((slope + noise).clip(0, 255).astype(np.uint8)).save(file)


def plain(root: Path, size: float) -> None:
    started = time.time()
    subprocess.run([*COMMAND, str(root / "in"), "-o", str(root / "plain"), "-q"], check=True)
    show("plain", started, root / "plain", size)


def on_ray(root: Path, size: float, actors: int) -> tuple[str, int] | None:
    """A run with --cluster ray; the worker killed, and the bytes of its half result."""
    words = [str(root / "in"), "-o", str(root / "out"), "-q", "--cluster", "ray", "--actors", str(actors)]
    started = time.time()
    process = subprocess.Popen([*COMMAND, *words])
    victim = kill_in_mid_write(process, root / "out", len(results(root / "plain")) // 2)
    if process.wait() != 0:
        print("the run on Ray failed")
    show(f"Ray, {actors} actors, one killed", started, root / "out", size)
    return victim


def kill_in_mid_write(process: subprocess.Popen[bytes], out: Path, after: int) -> tuple[str, int] | None:
    """Wait for so many results, then kill a worker while it writes; where the write ended first, try the next."""
    while process.poll() is None and len(results(out)) < after:
        time.sleep(0.05)
    workers = {event["worker"] for event in events(out) if event["event"] == "start"}
    while process.poll() is None:
        time.sleep(0.0005)
        for part in out.glob("*/.unveil-*.part"):
            owner = next((pid for pid in workers if holds(pid, part)), None)
            if owner is None:
                continue
            os.kill(owner, signal.SIGKILL)
            time.sleep(0.2)
            if part.exists():
                left = part.stat().st_size
                return f"worker {owner} killed with {left} bytes written under {part.name}", owner
            workers.discard(owner)
    return None


def holds(pid: int, file: Path) -> bool:
    try:
        return any(link.readlink() == file for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def check(root: Path, count: int, victim: tuple[str, int] | None) -> int:
    wanted, found = results(root / "plain"), results(root / "out")
    equal = sum(path.read_bytes() == wanted[name].read_bytes() for name, path in found.items())
    tally = cluster.tally(root / "out")
    names = Counter(wanted.keys())
    again = tally.starts - names
    left = list((root / "out").rglob("*.part"))
    print(f"\n{victim[0] if victim else 'no worker was caught in mid-write'}")
    print(f"{equal} of {count} results there and equal to those of the plain run")
    print(f"starts {tally.starts.total()}, finishes {tally.finishes.total()}, failures {tally.failures.total()}")
    print(f"begun twice: {', '.join(again) or 'none'}; finished twice: {len(tally.finishes - names)}")
    print(f"temporary files left: {len(left)}\n")
    wrong = (equal != count, tally.finishes != names, again.total() > 2, bool(left), victim is None)
    return sum(wrong)


def second_run(root: Path, count: int, actors: int) -> int:
    before = cluster.tally(root / "out")
    words = [str(root / "in"), "-o", str(root / "out"), "--json", "--cluster", "ray", "--actors", str(actors)]
    started = time.time()
    done = subprocess.run([*COMMAND, *words], check=True, capture_output=True)
    skipped = sum(record["skipped"] for record in json.loads(done.stdout)["results"])
    same = cluster.tally(root / "out") == before
    seconds = time.time() - started
    print(f"\na second run: {skipped} of {count} were done before, {seconds:.1f} s; the manifest grew: {not same}")
    return int(skipped != count or not same)


def through_s3(root: Path, count: int, actors: int) -> int:
    """Upload, restore from bucket to bucket, download, compare."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    options = {"endpoint_url": address, "key": "nobody", "secret": "nothing"}
    import fsspec

    fsspec.filesystem("s3", **options).mkdir("museum")
    wanted = dict(list(results(root / "plain").items())[:count])
    scans = open_store("s3://museum/scans", **options)
    for name in wanted:
        scans.write(name, (root / "in" / name).read_bytes())
    told = {"FSSPEC_S3_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}
    words = ["s3://museum/scans", "-o", "s3://museum/restored", "-q", "--cluster", "ray", "--actors", str(actors)]
    started = time.time()
    subprocess.run([*COMMAND, *words], check=True, env=os.environ | told)
    seconds = time.time() - started
    restored = open_store("s3://museum/restored", **options)
    names = [entry.name for _, entries in restored.walk(print) for entry in entries]
    found = restored.read_all(names)
    equal = sum(found.get(name) == path.read_bytes() for name, path in wanted.items())
    tally = manifest.tally(restored)
    right = equal == count == len(found) and tally.starts == tally.finishes == Counter(wanted.keys())
    print(f"S3: {equal} of {count} results equal, {len(found)} objects, {seconds:.1f} s with the start of Ray")
    server.stop()
    return int(not right)


def show(name: str, started: float, out: Path, size: float) -> None:
    made = sorted(path.stat().st_mtime for path in results(out).values())
    rate = (len(made) - 1) / (made[-1] - made[0])
    print(
        f"| {name} | {made[0] - started:.1f} s | {rate:.2f} | {rate * size:.3f} | {time.time() - started:.1f} s |",
        flush=True,
    )


def results(folder: Path) -> dict[str, Path]:
    """Every finished result, by its name below the folder."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.glob("*/*.png"))}


def events(out: Path) -> Iterator[manifest.Event]:
    store = open_store(out)
    for folder in manifest.folders(store):
        yield from manifest.read(store, folder)


if __name__ == "__main__":
    sys.exit(main())
