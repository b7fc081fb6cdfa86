"""A newcomer's first minutes: every step in a fresh environment, with its seconds.

    python benchmarks/newcomer.py [--write docs/newcomer.md]

Installs this checkout into a new virtual environment below the system's folder for temporary files, as the README does,
and goes through the first steps. Downloads come from wherever pip is set to get them, so the seconds of installing say
as much about that place as about unveil.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "noisy-cat.jpg"
MARKS = ("<!-- log -->", "<!-- /log -->")


class Log:
    """Steps with their commands and seconds, printed as they are done."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.rows: list[tuple[str, str, str]] = []

    def add(self, step: str, command: str, seconds: float) -> None:
        self.rows.append((step, f"`{command}`" if command else "", f"{seconds:.1f}"))
        print(f"{seconds:6.1f} s  {step}: {command}", file=sys.stderr)

    def run(self, step: str, command: str, *, shown: str | None = None) -> None:
        """Run a command line in the place; it must succeed."""
        started = time.perf_counter()
        done = subprocess.run(command, shell=True, cwd=self.place, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        self.add(step, shown or command.replace("venv/bin/", ""), time.perf_counter() - started)


def megabytes(folder: Path) -> float:
    """What the files of a folder take, in units of a million bytes; links count nothing."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def pictures(folder: Path, count: int) -> None:
    """Photographs of 1200 x 800: the example continued by its mirror images, with noise of sigma 25, each another."""
    folder.mkdir()
    source = np.asarray(Image.open(EXAMPLE).convert("RGB"), np.float32)
    rows, columns = 800 - source.shape[0], 1200 - source.shape[1]
    large = np.pad(source, ((0, rows), (0, columns), (0, 0)), mode="symmetric")
    for index in range(count):
        noise = np.random.default_rng(index).standard_normal(large.shape, dtype=np.float32) * 25
        Image.fromarray((large + noise).clip(0, 255).round().astype(np.uint8)).save(folder / f"{index}.jpg", quality=95)


def serve(log: Log) -> None:
    """Start the server, open the page, restore one picture over HTTP, stop."""
    port = 8765
    started = time.perf_counter()
    with subprocess.Popen(
        ["venv/bin/unveil", "serve", "--port", str(port), "--quiet"], cwd=log.place, stderr=subprocess.DEVNULL
    ) as process:
        try:
            base = f"http://127.0.0.1:{port}"
            for _ in range(300):
                try:
                    page = urllib.request.urlopen(f"{base}/").read()
                    break
                except OSError:
                    time.sleep(0.1)
            else:
                raise SystemExit("the server did not start")
            log.add("server, until the page is there", f"unveil serve --port {port}", time.perf_counter() - started)
            assert b"<html" in page
            mark = uuid.uuid4().hex
            part = 'Content-Disposition: form-data; name="file"; filename="cat.jpg"\r\nContent-Type: image/jpeg'
            head = f"--{mark}\r\n{part}\r\n\r\n"
            body = head.encode() + (log.place / "cat.jpg").read_bytes() + f"\r\n--{mark}--\r\n".encode()
            request = urllib.request.Request(
                f"{base}/v1/restore", body, {"Content-Type": f"multipart/form-data; boundary={mark}"}
            )
            started = time.perf_counter()
            answer = urllib.request.urlopen(request).read()
            log.add(
                "one picture over HTTP",
                f"curl -F file=@cat.jpg {base}/v1/restore -o out.jpg",
                time.perf_counter() - started,
            )
            assert answer[:3] == b"\xff\xd8\xff"
        finally:
            process.terminate()


def machine() -> str:
    """Processor, cores, system and Python, and how busy the machine is."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        cpu = next(iter(re.findall(r"model name\s*: (.+)", info.read_text())), cpu)
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return f"{cpu}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}{load}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="page whose log is replaced")
    arguments = parser.parse_args()
    where = machine()
    with tempfile.TemporaryDirectory(prefix="unveil-newcomer-") as folder:
        place = Path(folder)
        log = Log(place)
        shutil.copy(EXAMPLE, place / "cat.jpg")
        pictures(place / "holiday", 10)
        log.run("environment", f"{sys.executable} -m venv venv", shown="python3 -m venv venv")
        empty = megabytes(place / "venv")
        log.run("install", f"venv/bin/pip install --no-cache-dir {ROOT}", shown="pip install --no-cache-dir .")
        light = megabytes(place / "venv")
        log.run("first picture (451 x 300)", "venv/bin/unveil restore cat.jpg")
        log.run("what is wrong with it", "venv/bin/unveil diagnose cat.jpg")
        log.run("folder of 10 (1200 x 800 each)", "venv/bin/unveil restore holiday/ -o better/ --only noise")
        same = [
            path.name
            for path in (place / "holiday").iterdir()
            if path.read_bytes() == (place / "better" / path.name).read_bytes()
        ]
        if same:
            raise SystemExit(f"{same} came back as they were, so the folder says nothing about speed")
        log.run("the same folder again", "venv/bin/unveil restore holiday/ -o better/ --only noise")
        known = subprocess.run([place / "venv/bin/unveil", "--help"], capture_output=True, text=True, check=True).stdout
        if re.search(r"\breport\b", known):
            log.run("report of the folder, as one HTML file", "venv/bin/unveil report holiday/ -o report.html")
        if re.search(r"\bserve\b", known):
            log.run(
                "install the server",
                f"venv/bin/pip install --no-cache-dir '{ROOT}[serve]'",
                shown="pip install --no-cache-dir '.[serve]'",
            )
            serve(log)
        served = megabytes(place / "venv")
        packages = json.loads(
            subprocess.run(
                [place / "venv/bin/pip", "list", "--format", "json"], capture_output=True, text=True, check=True
            ).stdout
        )
    rows = "\n".join(f"| {' | '.join(row)} |" for row in log.rows)
    text = f"""{where}; {time.strftime("%Y-%m-%d")}.

| step | command | seconds |
|---|---|---|
{rows}

Installed: {light - empty:.0f} MB beside Python and pip themselves ({empty:.0f} MB);
with the server {served - empty:.0f} MB, {len(packages)} packages in all, pip included."""
    print(text)
    if arguments.write:
        page = arguments.write.read_text(encoding="utf-8")
        before, after = page.partition(MARKS[0])[0], page.partition(MARKS[1])[2]
        arguments.write.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
