"""One worker, and a line of bounded length before it.

A place in the line is taken before an upload is read and given back when its answer is sent, so places bound the memory
of uploads and answers, and the single worker that of decoded pictures.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Tick = Callable[[int, int], None]
State = Literal["receiving", "waiting", "working", "answering"]


class LineFull(Exception):
    """Raised when every place is taken."""


class LineClosed(Exception):
    """Raised when the server is stopping and takes nothing more."""


class Dropped(Exception):
    """Ends work whose caller has left or waited too long."""


@dataclass(slots=True, eq=False)
class Place:
    """One request's place. `done` and `total` count tiles once it is worked on."""

    line: Line
    name: str | None
    state: State = "receiving"
    done: int = 0
    total: int = 0
    left: bool = False
    job: Job | None = None

    async def work(self, task: Callable[[Tick], T], *, seconds: float) -> T:
        """Run `task` in the worker when its turn comes.

        `task` gets a function to call with the tiles done and in all; it raises `Dropped` when nobody waits any more.

        Raises:
            TimeoutError: waiting and work took longer than `seconds`.
        """
        job = Job(self, task)
        self.line.append(job)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(job.outcome), seconds)
        finally:
            self.line.drop(job)
            self.state = "answering"

    def leave(self) -> None:
        """Give the place back; if the worker is still busy for it, as soon as that ends."""
        self.line.leave(self)


@dataclass(slots=True, eq=False)
class Job:
    place: Place
    task: Callable[[Tick], Any] | None
    outcome: Future[Any] = field(default_factory=Future[Any])
    dropped: threading.Event = field(default_factory=threading.Event)
    dropped_at: float = 0.0

    def tick(self, done: int, total: int) -> None:
        if self.dropped.is_set():
            raise Dropped
        self.place.done, self.place.total = done, total


class Line:
    """Places for `waiting` requests beside the one that is worked on."""

    def __init__(self, *, waiting: int) -> None:
        self.capacity = waiting + 1
        self._places: list[Place] = []
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._stopped = False
        self._working: Job | None = None
        # A daemon, so that a second Ctrl-C ends the process whatever the worker is at.
        self._worker = threading.Thread(target=self._serve, name="unveil-worker", daemon=True)

    def start(self) -> None:
        self._worker.start()

    def enter(self, name: str | None = None) -> Place:
        """Take a place; under `name`, if given and free, others can ask how far it is.

        Raises:
            LineFull, LineClosed
        """
        with self._changed:
            if self._closed:
                raise LineClosed
            if len(self._places) >= self.capacity:
                raise LineFull
            if any(place.name == name for place in self._places):
                name = None
            place = Place(self, name)
            self._places.append(place)
            return place

    def leave(self, place: Place) -> None:
        with self._changed:
            place.left = True
            if place.job is None and place in self._places:
                self._places.remove(place)

    def find(self, name: str) -> Place | None:
        """The place of that name, if it is still taken."""
        with self._changed:
            return next((place for place in self._places if place.name == name), None)

    def before(self, place: Place) -> int:
        """How many are waiting or worked on before this place."""
        with self._changed:
            waiting = [job.place for job in self._jobs]
            return waiting.index(place) + (self._working is not None) if place in waiting else 0

    def append(self, job: Job) -> None:
        with self._changed:
            job.place.state = "waiting"
            job.place.job = job
            self._jobs.append(job)
            self._changed.notify()

    def drop(self, job: Job) -> None:
        """Nobody waits for this job any more: forget it, or ask the worker to stop."""
        job.dropped_at = time.monotonic()
        job.dropped.set()
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
                job.place.job = None

    @property
    def taken(self) -> int:
        """Places that are taken."""
        with self._changed:
            return len(self._places)

    @property
    def waiting(self) -> int:
        """Jobs before the worker."""
        with self._changed:
            return len(self._jobs)

    @property
    def is_working(self) -> bool:
        with self._changed:
            return self._working is not None

    @property
    def overdue(self) -> float:
        """Seconds for which the worker has been busy with a job that nobody waits for any more."""
        with self._changed:
            job = self._working
            return time.monotonic() - job.dropped_at if job is not None and job.dropped.is_set() else 0.0

    @property
    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Take nobody else in. Who is inside is served."""
        # No lock: called by a signal handler, which may have interrupted whoever holds it.
        self._closed = True

    def stop(self, *, seconds: float) -> None:
        """Close, let the worker finish what it has, and wait for that."""
        self.close()
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._worker.is_alive():
            self._worker.join(seconds)

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._stopped:
                    self._changed.wait()
                if not self._jobs:
                    return
                job = self._working = self._jobs.popleft()
                job.place.state = "working"
            tell = self._run(job)
            with self._changed:
                self._working = None
                job.place.job = None
                if job.place.left and job.place in self._places:
                    self._places.remove(job.place)
            # Last, so that a caller who has the answer and leaves finds the worker free and gives the place back.
            # The loop of a caller that has left may be closed.
            with contextlib.suppress(RuntimeError):
                tell()
            del job, tell

    def _run(self, job: Job) -> Callable[[], None]:
        """Do the work. What comes back tells the caller how it ended."""
        task, job.task = job.task, None
        if task is None or not job.outcome.set_running_or_notify_cancel():
            return _nothing
        try:
            result = task(job.tick)
        except BaseException as error:
            _let_go(error)
            return partial(job.outcome.set_exception, error)
        return partial(job.outcome.set_result, result)


def _nothing() -> None:
    """Nobody waits."""


def _let_go(error: BaseException) -> None:
    """Forget the variables of the frames that an error came through.

    They hold the picture, and an error that refers to itself lives until the next collection of garbage.
    """
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        traceback.clear_frames(following.__traceback__)
        following = following.__cause__ or following.__context__
