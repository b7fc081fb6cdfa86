"""Where workers run: in this process, or as actors of Ray Data."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from unveil.cluster import manifest
from unveil.cluster.planning import Batch
from unveil.cluster.work import Order, Record, Worker
from unveil.errors import InvalidRequest, MissingExtra

if TYPE_CHECKING:
    from unveil.models import Model

WINDOW = 2000
"""Batches that the driver holds at least. Between two windows the actors are started anew."""

LARGEST = 64
"""Pictures of a batch, at most."""

SHARES = 8
"""Batches that each worker should get at least, so that none waits long for the last one."""

IN_FLIGHT = 2
"""Batches that an actor is given before it has finished one; more would only wait there."""

MEMORY = 2_000_000_000
"""Bytes that an actor should find: for the sessions of the shipped model, and a large picture in several copies."""

OBJECTS = 256 << 20
"""Bytes of Ray's object store where we start Ray: only the model and records travel, never a picture."""


@contextlib.contextmanager
def session() -> Generator[Callable[[], object]]:
    """Inside, Ray is there: the one of this process, the cluster that RAY_ADDRESS names, or one on this machine.

    Nothing is reported to Ray's makers and no dashboard is opened. What was started here is ended here; what this
    gives, called by another thread, ends it at once.

    Raises MissingExtra where Ray is not installed.
    """
    # Read when Ray is imported, so they come first. A choice of the user's stays.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # A call from a run that was stopped would start another Ray.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtra("--cluster ray", "cluster") from error
    if ray.is_initialized():
        yield lambda: None
        return
    started: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if not os.environ.get("RAY_ADDRESS"):
        # Nobody else should reach its ports; without a token of ours, Ray would leave one in the user's home.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        local = {"_node_ip_address": "127.0.0.1", "num_cpus": _cores(), "object_store_memory": OBJECTS}
        started |= {"include_dashboard": False, **local}
    _speak_on_stderr()
    ray.init(**started)

    def halt() -> None:
        # Ray Data, which is in the middle of its work, would report what it meets as faults of its own.
        logging.getLogger("ray.data").setLevel(logging.CRITICAL + 1)
        ray.shutdown()

    try:
        yield halt
    finally:
        ray.shutdown()


class Here:
    """One worker in this process."""

    workers = 1

    def __init__(self, order: Order, model: Model) -> None:
        self.order, self.model = order, model

    def records(self, batches: Iterator[Batch]) -> Generator[Record]:
        worker = Worker(self.order, self.model)
        for batch in batches:
            yield from worker(batch)


class OnRay:
    """Workers as actors of Ray Data, inside a `session`; records come in the order in which batches are finished.

    An actor that dies is started anew and its batch is tried again; the worker counts how often a picture has killed
    one, and gives it up. Where the cluster has GPUs and PyTorch is installed, each actor gets one and runs the engine
    'torch', unless another was asked for.

    Raises InvalidRequest where more actors are asked for than the cluster has room for.
    """

    def __init__(self, order: Order, model: Model, *, actors: int | None = None) -> None:
        import ray

        room: Mapping[str, float] = ray.cluster_resources()
        self.order, self.needs = _fitted(order, room)
        self.workers = _actors(actors, self.needs, room)
        self._sent: Any = ray.put((self.order, replace(model, path=None)))

    def records(self, batches: Iterator[Batch]) -> Generator[Record]:
        import ray.data
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        for window in manifest.batched(batches, max(WINDOW, 2 * SHARES * self.workers)):
            rows = [{"batch": pickle.dumps(batch)} for batch in window]
            size = min(self.workers, len(rows))
            records = ray.data.from_items(rows, override_num_blocks=len(rows)).flat_map(
                Actor,
                fn_constructor_args=(self._sent,),
                compute=ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=IN_FLIGHT),
                **self.needs,
            )
            for block in records.iter_batches(batch_size=None, prefetch_batches=0):
                yield from (pickle.loads(record) for record in block["record"])


class Actor:
    """A worker as Ray Data calls it: a row with a batch in, a row for each picture out."""

    def __init__(self, sent: Any) -> None:
        import ray

        order, model = ray.get(sent)
        # Read when libvips is loaded: it would start a thread a core in every actor.
        os.environ.setdefault("VIPS_CONCURRENCY", str(order.threads or 1))
        self.worker = Worker(order, model)

    def __call__(self, row: dict[str, Any]) -> list[dict[str, bytes]]:
        return [{"record": pickle.dumps(record)} for record in self.worker(pickle.loads(row["batch"]))]


def _speak_on_stderr() -> None:
    """Ray tells of dead workers on stdout, which belongs to results; there is no setting for it."""
    with contextlib.suppress(ImportError, AttributeError):
        from ray._private import worker

        tell = worker.print_to_stdstream
        worker.print_to_stdstream = lambda data, ignore_prefix: tell({**data, "is_err": True}, ignore_prefix)


def batch_size(pictures: int, workers: int) -> int:
    """How many pictures make a batch."""
    return max(1, min(LARGEST, pictures // (workers * SHARES)))


def _cores() -> int:
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _fitted(order: Order, room: Mapping[str, float]) -> tuple[Order, dict[str, Any]]:
    """The order with engine and threads settled, and what an actor needs of the cluster."""
    has_gpu = room.get("GPU", 0) >= 1 and order.engine in ("auto", "torch") and find_spec("torch") is not None
    if has_gpu:
        return replace(order, engine="torch"), {"num_cpus": order.threads or 1, "num_gpus": 1}
    # One thread an actor: many pictures at once use cores better than many threads at one picture.
    return replace(order, threads=order.threads or 1), {"num_cpus": order.threads or 1}


def _actors(wished: int | None, needs: Mapping[str, Any], room: Mapping[str, float]) -> int:
    fits = int(room.get("CPU", 1) // needs["num_cpus"])
    if "num_gpus" in needs:
        fits = min(fits, int(room["GPU"]))
    if wished is not None:
        if wished > fits:
            raise InvalidRequest(
                f"--actors {wished}: the cluster has room for {fits} of {needs['num_cpus']:g} cores each; "
                "ask for fewer, or for fewer --threads"
            )
        return wished
    return max(1, min(fits, int(room.get("memory", MEMORY) // MEMORY)))
