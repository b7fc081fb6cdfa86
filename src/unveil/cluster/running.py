"""A whole run: count, plan, hand out batches, hear what became of each picture."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import PathLike
from pathlib import PurePosixPath
from typing import Any

from unveil import models
from unveil.cluster import manifest, planning, pools
from unveil.cluster.planning import Batch, Done, Plan
from unveil.cluster.work import RETRIES, Order, Record, begin
from unveil.commands import formats
from unveil.commands.history import History
from unveil.commands.restoring import Wishes
from unveil.engines import Precision
from unveil.errors import InvalidRequest, StoreError
from unveil.images import PIXEL_LIMIT
from unveil.images.metadata import What
from unveil.models import Model
from unveil.stores import PART, Folder, Store, open_store

Place = str | PathLike[str]


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run ended. `skipped` pictures were done by an earlier one; `retried` were in a batch whose worker died."""

    pictures: int
    failed: int
    skipped: int
    retried: int
    seconds: float


@dataclass(slots=True)
class Run:
    """What `prepare` has found and will do."""

    plan: Plan
    order: Order
    model: Model
    engine: str | None
    actors: int | None
    pictures: int
    unlistable: list[OSError] = field(default_factory=list[OSError])
    _halt: Callable[[], object] = lambda: None

    def __call__(self, tell: Callable[[Record], object]) -> Summary:
        """Restore what is left. `tell` is called with the record of each picture; what it raises ends the run.

        Raises:
            InvalidRequest: another run is at work in the target, or there is no room for so many actors.
            StoreError: the manifest cannot be written.
        """
        started = time.perf_counter()
        counted = dict.fromkeys(("pictures", "failed", "skipped", "retried"), 0)

        def hear(record: Record) -> None:
            attempt = record.pop("attempt", 0)
            counted["pictures"] += 1
            counted["failed"] += record["error"] is not None
            counted["skipped"] += bool(record["skipped"])
            counted["retried"] += attempt > 0
            tell(record)

        with self._alone(), self._pool() as pool:
            size = pools.batch_size(self.pictures, pool.workers)
            for record in pool.records(self._batches(size, hear)):
                hear(record)
        if counted["retried"]:
            self._sweep()
        return Summary(**counted, seconds=round(time.perf_counter() - started, 3))

    def stop(self) -> None:
        """End a run that another thread is in. A Ray that was there before goes on until the next record is told."""
        self._halt()

    def rehearse(self, tell: Callable[[Record], object]) -> None:
        """Tell what a run would write, as far as can be known without opening a file."""
        for batch in self._batches(pools.LARGEST, tell):
            for task in batch.tasks:
                place = self.plan.target.place(task.candidates[0])
                tell({**begin(self._source(batch.source).place(task.source)), "output": place})

    def _batches(self, size: int, hear: Callable[[Record], object]) -> Iterator[Batch]:
        for item in self.plan.walk(size):
            if isinstance(item, Batch):
                yield item
                continue
            hear(self._record(item))

    def _record(self, done: Done) -> Record:
        found = begin(self._source(done.source).place(done.task.source))
        details: Mapping[str, Any] = done.event.get("details") or {}
        return {**found, **details, "output": self.plan.target.place(done.event["output"]), "skipped": True}

    def _source(self, number: int) -> Store:
        return self.plan.sources[number].store

    @contextlib.contextmanager
    def _pool(self) -> Iterator[pools.Here | pools.OnRay]:
        if self.engine is None:
            yield pools.Here(self.order, self.model)
            return
        with pools.session() as self._halt:
            yield pools.OnRay(self.order, self.model, actors=self.actors)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Inside, no other run of this machine works in a target that is a folder; an object store knows no locks."""
        if not isinstance(self.plan.target, Folder):
            yield
            return
        # The manifest is read folder by folder, for it may be large.
        with History(self.plan.target.root, with_manifest=False).opened(()) as history:
            self.plan.earlier.update({name: _event(name, entry) for name, entry in history.entries.items()})
            yield

    def _sweep(self) -> None:
        """Remove what workers that died have left under temporary names; none is at work any more."""
        for folder in manifest.folders(self.plan.target):
            for entry in self.plan.target.entries(folder):
                if PART.fullmatch(PurePosixPath(entry.name).name):
                    self.plan.target.remove(entry.name)


def prepare(
    sources: Sequence[Place],
    target: Place,
    *,
    wishes: Wishes,
    model: str | PathLike[str] | None = None,
    cluster: str | None = "ray",
    actors: int | None = None,
    engine: str = "auto",
    threads: int | None = None,
    format: str | None = None,
    options: Mapping[str, Any] | None = None,
    retries: int = RETRIES,
) -> Run:
    """Look at inputs and target and count the pictures; nothing is written yet. See `restore` for the arguments.

    Raises what `restore` raises before the first picture.
    """
    if cluster not in ("ray", None):
        raise InvalidRequest(f"no cluster is called {cluster!r}; known is ray")
    path = models.find(model or models.DEFAULT)
    loaded = models.read(path)
    given = dict(options or {})
    opened = planning.open_sources([str(place) for place in sources], given)
    place = open_store(target, **(given if planning.is_url(target) else {}))
    planning.refuse_overlap(opened, place)
    settings = wishes.digest(path)
    plan = Plan(
        sources=opened,
        target=place,
        settings=settings,
        suffix=formats.suffix_of(format),
        overwrite=wishes.overwrite,
        run=f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{secrets.token_hex(2)}",
        earlier={},
    )
    unlistable: list[OSError] = []
    try:
        pictures = plan.count(unlistable.append)
    except FileNotFoundError as error:
        raise StoreError(f"{error.filename}: {error.strerror}") from error
    if not pictures and not unlistable:
        looked = ", ".join(source.store.place() for source in opened)
        raise InvalidRequest(f"no pictures found in {looked}")
    order = Order(tuple(source.store for source in opened), place, wishes, settings, engine, threads, retries)
    return Run(plan, order, loaded, cluster, actors, pictures, unlistable)


def restore(
    sources: Place | Sequence[Place],
    target: Place,
    *,
    model: str | PathLike[str] | None = None,
    cluster: str | None = "ray",
    actors: int | None = None,
    engine: str = "auto",
    threads: int | None = None,
    strength: float = 1.0,
    only: Iterable[str] | None = None,
    weights: Mapping[str, float] | None = None,
    blend: str | None = None,
    rounds: int | None = None,
    ensemble: int | None = None,
    quality: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
    pixel_limit: int = PIXEL_LIMIT,
    strip: What = "none",
    precision: Precision = "fp32",
    options: Mapping[str, Any] | None = None,
    retries: int = RETRIES,
    on_picture: Callable[[Record], object] = lambda _: None,
) -> Summary:
    """Restore folders of any size into a folder or an object store; a second run does only what is left.

    Args:
        sources: folders, pictures, or URLs that fsspec knows (`s3://bucket/scans`).
        target: a folder or URL; the tree of a source is kept in it.
        model: a name, or a path on this machine; the model travels to the workers.
        cluster: "ray", or None for this process alone.
        actors: restorers at work at once; as many as the cluster has cores and memory for, by default.
        engine, threads, precision: those of `Restorer`, for each actor; one thread by default.
        strength, only, weights, blend, rounds, ensemble: those of `Restorer.run`.
        quality, format, overwrite, pixel_limit (a number), strip: those of `unveil restore`.
        options: for fsspec, such as `endpoint_url`; credentials are better left to the environment of the workers.
        retries: how often a picture is tried again whose worker died.
        on_picture: called with the record of each picture (keys as `unveil restore --json` prints them); what it
            raises ends the run.

    Raises:
        InvalidRequest: contradictions, no pictures, results that would meet, another run in the same folder.
        StoreError: a store does not answer.
        MissingExtra: Ray, or the store's package, is not installed.
        ModelError: the model cannot be read.
    """
    wishes = Wishes(
        strength=strength,
        only=None if only is None else list(only),
        weights=None if weights is None else dict(weights),
        quality=quality,
        overwrite=overwrite,
        pixel_limit=pixel_limit,
        blend=blend,
        strip=strip,
        precision=precision,
        rounds=rounds,
        ensemble=ensemble,
    )
    run = prepare(
        [sources] if isinstance(sources, str | PathLike) else sources,
        target,
        wishes=wishes,
        model=model,
        cluster=cluster,
        actors=actors,
        engine=engine,
        threads=threads,
        format=format,
        options=options,
        retries=retries,
    )
    return run(on_picture)


def tally(target: Place, **options: Any) -> manifest.Tally:
    """How often each picture was begun, finished and given up, over all runs into a target."""
    return manifest.tally(open_store(target, **options))


def _event(output: str, entry: Mapping[str, Any]) -> manifest.Event:
    """A line of a plain run's history as an event."""
    told = {name: entry.get(name) for name in ("input", "settings", "result", "details")}
    replaced = entry.get("replaces")
    return {"event": "finish", "picture": output, "output": output, **told, "before": replaced and {"result": replaced}}
