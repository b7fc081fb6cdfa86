"""Ctrl-C or SIGTERM during training: finish the step, keep a checkpoint, lose nothing."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback


class Interruption(Callback):
    """Turns the first Ctrl-C or SIGTERM into a stop after the present step; a second one stops at once.

    A stop in the middle of a step would leave weights and optimiser states of different steps in the checkpoint.
    """

    def __init__(self) -> None:
        self._earlier: dict[int, Any] = {}
        self._asked = False
        self.terminated = False
        """Whether it was SIGTERM that asked."""

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        # Not between the parts of a batch: half a sum of gradients cannot be resumed.
        if self._asked and (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            trainer.should_stop = True

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if threading.current_thread() is not threading.main_thread():
            return

        def stop(number: int, frame: FrameType | None) -> None:
            self._asked = True
            self.terminated |= number == signal.SIGTERM
            signal.signal(number, signal.default_int_handler)

        # Not earlier: Lightning sets handlers of its own before it begins, and what it does on SIGTERM keeps nothing.
        for number in (signal.SIGINT, signal.SIGTERM):
            self._earlier[number] = signal.signal(number, stop)

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._restore()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, exception: BaseException
    ) -> None:
        self._restore()

    def _restore(self) -> None:
        while self._earlier:
            signal.signal(*self._earlier.popitem())
