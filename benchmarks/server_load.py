"""`unveil serve` under load: good and bad requests mixed, ten times more than it has places for, and kills.

    python benchmarks/server_load.py --minutes 10

Starts a server on the loopback address and asks it from threads of this process. First comes the mixture, for so many
minutes; then ten times as many callers at once as there are places; then the server is killed (SIGKILL) and started
again while callers go on; at last it is asked to stop while it has work in hand. Every answer is compared with what it
must be, good ones byte for byte. Prints tables and exits with 1 if anything was not as it must be.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from server_requests import LARGEST, LEFT, Kind, all_kinds, ask, fault

BUSY = (429,)
# In the place of a status: the answer broke off or never came; nobody listened.
BROKEN, DEAF = -1, -2
WORDS = {LEFT: "left", BROKEN: "broke off", DEAF: "nobody listened"}


@dataclass
class Outcomes:
    """What callers met with: statuses of answers, or one of the above."""

    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: Kind, status: int, seconds: float, fault: str) -> None:
        with self.lock:
            self.seconds[kind.name].append(seconds)
            self.statuses[kind.name][status] += 1
            if fault:
                self.wrong.append(f"{kind.name}: {fault}")


class Server:
    """One `unveil serve`, and its memory."""

    def __init__(self, queue: int, threads: int, port: int = 0) -> None:
        options = ["--port", str(port), "--queue", str(queue), "--threads", str(threads), "--quiet"]
        line = [sys.executable, "-m", "unveil", "serve", *options, "--max-upload", str(LARGEST / 1e6)]
        self.process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        found = re.search(r":(\d+)/", self.process.stderr.readline())
        if found is None:
            raise SystemExit("the server did not start")
        self.port = int(found[1])

    def memory(self, what: str = "VmRSS") -> float:
        """MB in use now, or with VmHWM at most so far (Linux)."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(rf"{what}:\s+(\d+)", text)[0]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the mixture")
    parser.add_argument("--callers", type=int, default=6)
    parser.add_argument("--overload", type=float, default=60.0, help="seconds with ten times as many callers as places")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--queue", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    server = Server(chosen.queue, chosen.threads)
    kinds = all_kinds()
    good = [kind for kind in kinds if kind.expected == (200,) and kind.method == "POST"]
    wanted = {kind.name: ask(server.port, kind)[1] for kind in good}
    mixed = mix(server, kinds, wanted, chosen.callers, 60 * chosen.minutes, chosen.seed)
    places = chosen.queue + 1
    flooded = overload(server, good[:1], wanted, 10 * places, chosen.overload, places)
    killed, server = kill(server, good, wanted, chosen)
    stopped = stop(server, good[0])
    wrong = [*mixed, *flooded, *killed, *stopped]
    print(f"\n{len(wrong)} answers were not as they must be", *wrong[:20], sep="\n- ")
    return int(bool(wrong))


def call(
    port: Callable[[], int],
    kinds: list[Kind],
    wanted: dict[str, bytes],
    outcomes: Outcomes,
    until: Callable[[], bool],
    *,
    callers: int,
    also: tuple[int, ...] = (),
    may_break: bool = False,
    seed: int = 1,
) -> list[threading.Thread]:
    """Start callers that ask one after the other until it is over."""

    def work(number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        while not until():
            (kind,) = chance.choices(kinds, [kind.share for kind in kinds])
            started = time.perf_counter()
            try:
                status, said = ask(port(), kind)
                wrong = fault(kind, status, said, wanted, also)
            except (OSError, http.client.HTTPException) as error:
                status = DEAF if isinstance(error, ConnectionRefusedError) else BROKEN
                wrong = "" if may_break else f"broke off: {error!r}"
                time.sleep(0.05)
            outcomes.add(kind, status, time.perf_counter() - started, wrong)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(callers)]
    for thread in threads:
        thread.start()
    return threads


def mix(
    server: Server, kinds: list[Kind], wanted: dict[str, bytes], callers: int, seconds: float, seed: int
) -> list[str]:
    outcomes, started = Outcomes(), time.monotonic()
    memory = [server.memory()]
    # A place that its caller left is given back a moment later, so now and then all are taken.
    threads = call(
        lambda: server.port, kinds, wanted, outcomes, lambda: time.monotonic() > started + seconds,
        callers=callers, also=BUSY, seed=seed,
    )  # fmt: skip
    while any(thread.is_alive() for thread in threads):
        time.sleep(min(1.0, seconds / 20))
        memory.append(server.memory())
    took = time.monotonic() - started
    total = sum(map(len, outcomes.seconds.values()))
    print(f"## {took:.0f} s of everything mixed, {callers} callers\n")
    print(f"{total} requests, {total / took:.1f} a second, load of the machine {os.getloadavg()[1]:.1f}\n")
    print_kinds([kind.name for kind in kinds], outcomes)
    tenth = max(len(memory) // 10, 1)
    highest = [max(memory[tenth * part : tenth * (part + 1)] or memory[-1:]) for part in range(10)]
    cells = [memory[0], *highest, server.memory("VmHWM")]
    print("\n| | start |" + "".join(f" {10 * part} % |" for part in range(1, 11)) + " peak of the process |")
    print("|---" * 13 + "|")
    print("| memory, MB, at most in that tenth of the time | " + " | ".join(f"{cell:.0f}" for cell in cells) + " |")
    return outcomes.wrong


def print_kinds(names: list[str], outcomes: Outcomes) -> None:
    print("| request | n | status: count | p50, ms | p99, ms |\n|---|---|---|---|---|")
    for name in names:
        times = outcomes.seconds[name]
        if not times:
            continue
        counts = ", ".join(f"{WORDS.get(status, status)}: {n}" for status, n in sorted(outcomes.statuses[name].items()))
        middle, late = (1000 * float(np.percentile(times, part)) for part in (50, 99))
        print(f"| {name} | {len(times)} | {counts} | {middle:.0f} | {late:.0f} |")


def overload(
    server: Server, kinds: list[Kind], wanted: dict[str, bytes], callers: int, seconds: float, places: int
) -> list[str]:
    outcomes, started = Outcomes(), time.monotonic()
    before = server.memory()
    threads = call(
        lambda: server.port, kinds, wanted, outcomes, lambda: time.monotonic() > started + seconds,
        callers=callers, also=BUSY,
    )  # fmt: skip
    health: list[float] = []
    while any(thread.is_alive() for thread in threads):
        asked = time.perf_counter()
        status, _ = ask(server.port, Kind("health", 1, (200,), path="/health", method="GET"))
        health.append(time.perf_counter() - asked if status == 200 else 60.0)
        time.sleep(0.2)
    took = time.monotonic() - started
    counts = outcomes.statuses[kinds[0].name]
    print(f"\n## {took:.0f} s with {callers} callers for {places} places\n")
    print(f"{counts[200] / took:.1f} answered a second and {counts[429] / took:.1f} refused; ", end="")
    print(f"/health p99 {1000 * float(np.percentile(health, 99)):.0f} ms; memory {before:.0f} MB before, ", end="")
    print(f"{server.memory():.0f} MB after, {server.memory('VmHWM'):.0f} MB at most\n")
    print_kinds([kind.name for kind in kinds], outcomes)
    return outcomes.wrong


def kill(
    server: Server, kinds: list[Kind], wanted: dict[str, bytes], chosen: argparse.Namespace
) -> tuple[list[str], Server]:
    outcomes, over, chance = Outcomes(), threading.Event(), random.Random(chosen.seed)
    port = server.port
    threads = call(
        lambda: port, kinds, wanted, outcomes, over.is_set, callers=chosen.callers, also=BUSY, may_break=True
    )
    back: list[float] = []
    for _ in range(chosen.kills):
        time.sleep(chance.uniform(2, 4))
        server.process.kill()
        server.process.wait()
        killed = time.monotonic()
        server = Server(chosen.queue, chosen.threads, port)
        back.append(time.monotonic() - killed)
    time.sleep(3)
    over.set()
    for thread in threads:
        thread.join()
    print(f"\n## {chosen.kills} kills (SIGKILL) and restarts during load\n")
    if back:
        print(f"Listening again on the same port {max(back):.1f} s after the kill at the latest.\n")
    print_kinds([kind.name for kind in kinds], outcomes)
    return outcomes.wrong, server


def stop(server: Server, kind: Kind) -> list[str]:
    """SIGTERM with work in hand: everything inside is answered, the exit code is 0."""
    answers: list[int] = []

    def work() -> None:
        try:
            answers.append(ask(server.port, kind)[0])
        except (OSError, http.client.HTTPException):
            answers.append(-1)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    health = Kind("health", 1, (200,), path="/health", method="GET")
    while b'"places_taken":0' in ask(server.port, health)[1]:
        pass
    time.sleep(0.1)
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    code = server.process.wait(60)
    print(f"\n## SIGTERM with six requests in hand\n\nanswers: {sorted(answers)}; exit code {code}")
    return [] if (code, answers) == (0, [200] * 6) else [f"stopped with {code} and {answers}"]


if __name__ == "__main__":
    sys.exit(main())
