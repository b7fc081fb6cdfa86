"""One phase of training under Lightning: batches shared out, checkpoints kept, a stop that loses nothing."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader, Dataset

from unveil.errors import RecipeError, Terminated
from unveil.methods.phase import Phase
from unveil.training.checkpoints import FINAL, LAST, Checkpoints
from unveil.training.guard import Guard
from unveil.training.interruption import Interruption
from unveil.training.recipe import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a run is given to run on. None of it changes what is trained, but for rounding.

    Attributes:
        devices: processes on this machine, each with a GPU where there are some.
        nodes: machines; `torchrun` or Slurm starts the processes.
        strategy: Lightning's name: `auto`, `ddp`, `fsdp`.
        compile: compile the network before training (`torch.compile`).
        every: steps between checkpoints.
        workers: processes that read data and cut crops; 4 where there is a GPU, which computes meanwhile, and otherwise
            none, as they would only take cores from the training.
    """

    devices: int | None = None
    nodes: int = 1
    strategy: str = "auto"
    compile: bool = False
    every: int = 500
    workers: int | None = None

    def arguments(self) -> dict[str, Any]:
        """What `lightning.Trainer` must know."""
        # torchrun tells each process how many siblings it has on its machine.
        devices = self.devices or int(os.environ.get("LOCAL_WORLD_SIZE", 1))
        nodes = self.nodes
        if "LOCAL_WORLD_SIZE" in os.environ:
            nodes = int(os.environ["WORLD_SIZE"]) // devices
        several = devices * nodes > 1
        strategy = "ddp" if several and self.strategy == "auto" else self.strategy
        return {"devices": devices, "num_nodes": nodes, "strategy": strategy, "use_distributed_sampler": False}


class _Bar(TQDMProgressBar):
    """The progress of one phase, called by its name instead of an epoch's number, and never on stdout."""

    def __init__(self, name: str) -> None:
        super().__init__(refresh_rate=20)
        self.name = name

    def init_train_tqdm(self) -> Tqdm:
        return Tqdm(
            desc=self.name, disable=self.is_disabled, leave=True, dynamic_ncols=True, file=sys.stderr, smoothing=0
        )

    def on_train_epoch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        # A run that goes on counts from where it stopped to the end of the whole; its speed is that of what it did.
        parts = trainer.accumulate_grad_batches
        bar = self.train_progress_bar
        bar.reset(total=trainer.max_steps * parts)
        bar.initial = bar.n = bar.last_print_n = trainer.global_step * parts
        bar.set_description(self.name)


class Batches(Protocol):
    """Gives the samples of one part of one step, whoever asks."""

    def __call__(self, step: int, part: int) -> Any: ...

    def digest(self) -> str:
        """`sha256:` of the data, so that a run resumed on other data can be told."""
        ...


class _Share(Dataset[Any]):
    """The parts of every step that fall to one of `world` processes, counted from the first step that is to be done."""

    def __init__(self, batches: Batches, stage: Stage, *, start: int, rank: int, world: int) -> None:
        self.batches, self.stage, self.start, self.rank, self.world = batches, stage, start, rank, world
        self.own = stage.parts // world

    def __len__(self) -> int:
        # The loop counts batches from the start of the whole run, also in a resumed one, and stops at the last step.
        return self.stage.iterations * self.own

    def __getitem__(self, item: int) -> Any:
        step, mine = divmod(item, self.own)
        return self.batches(self.start + step, mine * self.world + self.rank)


class _Data(lightning.LightningDataModule):
    """Asks for the share of a process once Lightning knows which one it is."""

    def __init__(self, batches: Batches, stage: Stage, *, start: int, workers: int | None) -> None:
        super().__init__()
        self.batches, self.stage, self.start = batches, stage, start
        self.workers = workers if workers is not None else 4 if torch.cuda.is_available() else 0

    def train_dataloader(self) -> DataLoader[Any]:
        assert self.trainer is not None
        share = _Share(
            self.batches, self.stage, start=self.start, rank=self.trainer.global_rank, world=self.trainer.world_size
        )
        # A plain fork of a process that has decoded a picture hangs at the next one: libvips has threads.
        context = ("spawn" if os.name == "nt" else "forkserver") if self.workers else None
        return DataLoader(
            share, batch_size=None, shuffle=False, num_workers=self.workers, multiprocessing_context=context
        )


def fit(
    phase: Phase,
    stage: Stage,
    batches: Batches,
    where: Path,
    *,
    precision: str,
    machine: Machine | None = None,
    watchers: Sequence[Callback] = (),
) -> str:
    """Train a phase to its last step, from `last.ckpt` in its folder where there is one, and write `final.ckpt`.

    Args:
        phase: what is trained; its `record` travels in every checkpoint.
        stage: how long and on how much.
        batches: called with (step, part).
        where: folder of the phase: checkpoints, metrics.csv, TensorBoard events.
        precision: Lightning's word, `bf16-mixed` say.
        machine: what to run on; one process by default.
        watchers: further callbacks. One that sets the phase's `is_done` may stop it before its last step.

    Returns:
        How many steps it took how long, and the last values that were logged; for people.

    Raises:
        RecipeError: the number of processes does not divide the parts of a batch.
        Diverged: loss or gradients of a step are no numbers; the weights have not been touched.
        CheckpointError: `final.ckpt` cannot be written, or no checkpoint of those that are there can be read.
        KeyboardInterrupt: it was stopped; the checkpoint is written and the same call goes on.
    """
    arguments = (machine or Machine()).arguments()
    processes = arguments["devices"] * arguments["num_nodes"]
    if stage.parts % processes:
        raise RecipeError(
            f"{where.name}: {processes} processes cannot share out {stage.parts} parts of a batch; "
            f"set parts to a multiple of {processes} (it changes what is drawn, so keep it when you resume)"
        )
    checkpoints = Checkpoints(where)
    last, start = checkpoints.begin()
    if machine and machine.compile:
        phase.compile_network()
    interruption = Interruption()
    keep: list[Callback] = [
        ModelCheckpoint(
            where,
            filename=Path(LAST).stem,
            every_n_train_steps=machine.every if machine else Machine().every,
            enable_version_counter=False,
        ),
        _Bar(where.name),
        Guard(where, batches, parts=stage.parts, allowed=stage.skip_steps),
        interruption,
        *watchers,
    ]
    trainer = lightning.Trainer(
        max_steps=stage.iterations,
        max_epochs=-1,
        accumulate_grad_batches=stage.parts // processes,
        precision=precision,  # type: ignore[arg-type]
        gradient_clip_val=stage.clip or None,
        callbacks=keep,
        plugins=[checkpoints],
        logger=[CSVLogger(where, name="", version=""), TensorBoardLogger(where, name="", version="")],
        log_every_n_steps=max(1, min(50, stage.iterations // 20)),
        enable_model_summary=False,
        default_root_dir=where,
        **arguments,
    )
    data = _Data(batches, stage, start=start, workers=machine.workers if machine else None)
    begun = time.perf_counter()
    trainer.fit(phase, datamodule=data, ckpt_path=last, weights_only=True)
    seconds = time.perf_counter() - begun
    if trainer.global_step < stage.iterations and not phase.is_done:
        trainer.save_checkpoint(where / LAST)
        kept = checkpoints.begin()[1] if trainer.is_global_zero else trainer.global_step
        said = f"{where.name}: stopped at step {trainer.global_step} of {stage.iterations}"
        stop = Terminated if interruption.terminated else KeyboardInterrupt
        raise stop(f"{said}; the same command goes on from step {kept}")
    trainer.save_checkpoint(where / FINAL, weights_only=True)
    trainer.strategy.barrier()
    if trainer.is_global_zero:
        checkpoints.end()
    done = trainer.global_step - start
    minutes, rest = divmod(round(seconds), 60)
    logged = ", ".join(f"{name} {float(value):.4g}" for name, value in trainer.callback_metrics.items())
    return f"{where.name}: {done} steps in {minutes} min {rest} s, {done / max(seconds, 1e-9):.2f} a second; {logged}"


def part(path: Path, prefix: str) -> dict[str, Any]:
    """The weights below one prefix of a checkpoint, read without executing anything."""
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
