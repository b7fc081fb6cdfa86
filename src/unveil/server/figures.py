"""Counters of one server in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from pathlib import Path

from unveil.server.line import Line

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Histogram:
    """How many values were at most so large."""

    def __init__(self) -> None:
        self._counts = [0] * len(BOUNDS)
        self._sum = 0.0
        self._count = 0

    def add(self, value: float) -> None:
        for index, bound in enumerate(BOUNDS):
            self._counts[index] += value <= bound
        self._sum += value
        self._count += 1

    def lines(self, name: str, labels: str) -> list[str]:
        comma = "," if labels else ""
        around = f"{{{labels}}}" if labels else ""
        return [
            *(
                f'{name}_bucket{{{labels}{comma}le="{bound:g}"}} {count}'
                for bound, count in zip(BOUNDS, self._counts, strict=True)
            ),
            f'{name}_bucket{{{labels}{comma}le="+Inf"}} {self._count}',
            f"{name}_sum{around} {self._sum:.6f}",
            f"{name}_count{around} {self._count}",
        ]


class Figures:
    """What happened since the start. Safe to use from several threads."""

    def __init__(self, *, version: str, model: str, line: Line) -> None:
        self._about = f'version="{_escape(version)}",model="{_escape(model)}"'
        self._line = line
        self._started = time.time()
        self._lock = threading.Lock()
        self._requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._durations: defaultdict[str, Histogram] = defaultdict(Histogram)
        self._work: defaultdict[str, Histogram] = defaultdict(Histogram)
        self._problems: defaultdict[str, int] = defaultdict(int)
        self._pixels = 0
        self._received = 0
        self._sent = 0

    def answered(self, method: str, route: str, status: int, *, seconds: float, received: int, sent: int) -> None:
        """A request was answered; `route` is one of our own paths, or `other`."""
        with self._lock:
            self._requests[method, route, status] += 1
            self._durations[route].add(seconds)
            self._received += received
            self._sent += sent

    def worked(self, route: str, *, seconds: float, pixels: int) -> None:
        """The worker finished a picture."""
        with self._lock:
            self._work[route].add(seconds)
            self._pixels += pixels

    def failed(self, word: str) -> None:
        """A request ended with the problem of that word."""
        with self._lock:
            self._problems[word] += 1

    def text(self) -> str:
        """Everything, as Prometheus reads it."""
        with self._lock:
            parts = [
                *_metric("unveil_info", "gauge", "Version and model.", [f"unveil_info{{{self._about}}} 1"]),
                *_metric(
                    "unveil_requests_total",
                    "counter",
                    "Requests answered.",
                    [
                        f'unveil_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}'
                        for (method, route, status), count in sorted(self._requests.items())
                    ],
                ),
                *_metric(
                    "unveil_problems_total",
                    "counter",
                    "Requests refused or failed, by the word in the answer.",
                    [f'unveil_problems_total{{error="{word}"}} {n}' for word, n in sorted(self._problems.items())],
                ),
                *_histograms("unveil_request_seconds", "Seconds from request to answer.", self._durations),
                *_histograms("unveil_work_seconds", "Seconds of the worker, without waiting.", self._work),
                *_single("unveil_pixels_total", "counter", "Pixels of pictures worked on.", self._pixels),
                *_single("unveil_received_bytes_total", "counter", "Bytes of request bodies.", self._received),
                *_single("unveil_sent_bytes_total", "counter", "Bytes of answers.", self._sent),
            ]
        parts += [
            *_single("unveil_places", "gauge", "Places in the line.", self._line.capacity),
            *_single("unveil_places_taken", "gauge", "Places taken, from upload to answer.", self._line.taken),
            *_single("unveil_waiting", "gauge", "Pictures waiting for the worker.", self._line.waiting),
            *_single("unveil_working", "gauge", "Whether the worker is busy.", int(self._line.is_working)),
            *_single("process_start_time_seconds", "gauge", "When the server started.", f"{self._started:.3f}"),
        ]
        if (memory := resident_bytes()) is not None:
            parts += _single("process_resident_memory_bytes", "gauge", "Memory in use.", memory)
        return "\n".join(parts) + "\n"


def resident_bytes() -> int | None:
    """Memory that the process uses now, where the system tells (Linux)."""
    try:
        pages = Path("/proc/self/statm").read_text("ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def _metric(name: str, kind: str, text: str, samples: list[str]) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *samples]


def _single(name: str, kind: str, text: str, value: int | str) -> list[str]:
    return _metric(name, kind, text, [f"{name} {value}"])


def _histograms(name: str, text: str, histograms: dict[str, Histogram]) -> list[str]:
    samples = [
        line for route, known in sorted(histograms.items()) for line in known.lines(name, f'route="{_escape(route)}"')
    ]
    return _metric(name, "histogram", text, samples)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
