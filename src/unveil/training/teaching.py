"""Teaching a model a new kind of damage: one adapter more, and an estimator that knows it (ABAIR, extension).

The base and all old adapters stay bit for bit what they were. Held-back pairs are split in two: one half decides when
to stop, the other half alone is reported on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor

import unveil
from unveil import export, graphs, models
from unveil.data import CropBatches, PairBatches, Pairs, Photographs, middle
from unveil.data.alignment import displacement
from unveil.errors import InvalidRequest
from unveil.methods.abair import variants
from unveil.methods.abair.adaptation import Adaptation
from unveil.methods.abair.adapters import AdapterFactors
from unveil.methods.abair.estimator import Estimator
from unveil.methods.abair.extension import Extension
from unveil.metrics.fidelity import capped, psnr
from unveil.models import Model
from unveil.packing import arrays, to_array
from unveil.training.fitting import Machine, fit, part
from unveil.training.recipe import Stage

FEWEST = 10
"""Pairs below which neither the adapter nor the report on it would mean anything."""
SEEN = 256
"""Side of the middle of a held-back picture that decides when to stop."""
LEAST = 0.05
"""dB that an adapter must gain on the watched pairs: less is no reason to carry one."""

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """How a kind of damage is taught; all of it is ours.

    Attributes:
        rank: of the adapter.
        iterations, batch, patch, learning_rate: of the adapter.
        patience: checks without a better result, one every `every` steps, after which the adapter is taken as learnt.
        recognition: steps of the estimator.
        seed: of all draws.
    """

    rank: int = 8
    iterations: int = 800
    batch: int = 8
    patch: int = 96
    learning_rate: float = 2e-3
    every: int = 50
    patience: int = 5
    recognition: int = 500
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Material:
    """The pairs, parted: `learnt` from, `watched` to know when to stop, and `kept` for the report."""

    degraded: Path
    clean: Path
    learnt: tuple[str, ...]
    watched: tuple[str, ...]
    kept: tuple[str, ...]

    def pairs(self, names: Sequence[str], *, shortest: int) -> Pairs:
        """Some of the pairs, ready to be read."""
        return Pairs(self.degraded, self.clean, shortest=shortest, only=names)


def gather(degraded: Path, clean: Path) -> Material:
    """Check the pairs of two folders, and part them.

    Raises:
        RecipeError: a folder is missing, or a picture has no partner.
        InvalidRequest: too few pairs, sides too short, pairs that are equal, of different sizes, or shifted.
    """
    pairs = Pairs(degraded, clean, shortest=64)
    if len(pairs) < FEWEST:
        raise InvalidRequest(
            f"{len(pairs)} pairs are in {degraded} and {clean}, expected at least {FEWEST}: an adapter learnt from "
            "fewer would know these pictures and not the damage. More pictures, or several parts of large ones, help."
        )
    equal: list[str] = []
    shifted: list[str] = []
    usable: list[str] = []
    for index, name in enumerate(pairs.names):
        pair = pairs.pixels(index)
        if pair is None:
            continue
        usable.append(name)
        if np.array_equal(*pair):
            equal.append(name)
        elif (shift := displacement(*pair)) != (0, 0):
            shifted.append(f"{name} (by {shift[0]} down and {shift[1]} right)")
    if len(usable) < FEWEST:
        raise InvalidRequest(
            f"only {len(usable)} of {len(pairs)} pairs can be read and have sides of 64 pixels or more, expected at "
            f"least {FEWEST}"
        )
    if len(equal) == len(usable):
        raise InvalidRequest(f"the pictures of {degraded} and {clean} are equal: there is no damage to learn")
    if 4 * len(shifted) > len(usable):
        raise InvalidRequest(
            f"{len(shifted)} of {len(usable)} pairs do not lie on each other: {', '.join(shifted[:3])}. An adapter "
            "would learn to blur. Align the pictures, or cut both from one file."
        )
    usable = [name for name in usable if name not in equal]
    order = [usable[index] for index in np.random.default_rng(0).permutation(len(usable))]
    held = max(2, min(12, round(0.12 * len(order))))
    return Material(
        degraded, clean, tuple(sorted(order[2 * held :])), tuple(order[:held]), tuple(order[held : 2 * held])
    )


def teach(
    model: Model,
    material: Material,
    name: str,
    *,
    printed: str | None = None,
    lesson: Lesson | None = None,
    folder: Path,
    data: Sequence[Path] = (),
    threads: int | None = None,
    say: Say = print,
) -> Model:
    """A model that can undo and recognise one kind of damage more.

    Args:
        model: with the base and the old adapters.
        material: pairs, as `gather` parts them.
        name: of the new degradation: small letters, digits, `-` and `_`.
        printed: its name for people.
        lesson: how it is learnt.
        folder: of checkpoints; the same call goes on where it was stopped.
        data: further folders of clean photographs, that old degradations are made of for the estimator.
        threads: CPU threads.
        say: told what is happening.

    Raises:
        InvalidRequest: the model has such an adapter already, or the adapter has learnt nothing of use.
    """
    lesson = lesson or Lesson()
    if name in model.adapters:
        raise InvalidRequest(f"{model.card.name} has an adapter {name!r} already; choose another --name.")
    if threads is not None:
        torch.set_num_threads(threads)
    adapter = _adapter(model, material, name, lesson, folder / "adapter", say)
    learnt = models.add_adapter(
        model,
        models.AdapterFile(
            path=None,
            adapter=models.Adapter(
                degradation=name,
                rank=adapter.rank,
                alpha=adapter.alpha,
                mode=adapter.mode,
                base_checksum=model.card.base_checksum,
                factors={
                    weight: {factor: to_array(value, half=True) for factor, value in group.items()}
                    for weight, group in adapter.named_factors().items()
                    if weight in model.weights["restore"]
                },
            ),
            printed=printed or name.replace("_", " "),
            network=model.card.network,
            training_data=f"{len(material.learnt)} pairs of the user's own",
            code_version=unveil.__version__,
        ),
    )
    if model.card.estimator is None:
        return learnt
    return _recognising(learnt, model, material, name, lesson, folder / "estimator", data, say)


def _adapter(model: Model, material: Material, name: str, lesson: Lesson, folder: Path, say: Say) -> AdapterFactors:
    """The adapter that was best on the watched pairs."""
    network = export.network_of(model)
    patch = lesson.patch - lesson.patch % getattr(network, "size_multiple", 1)
    torch.manual_seed(lesson.seed)
    adapter = cast("AdapterFactors", variants.fresh(network, variant="lora", rank=lesson.rank, vectors=True))
    final = folder / "final.ckpt"
    if not final.exists():
        stage = Stage(
            iterations=lesson.iterations,
            batch=lesson.batch,
            patch=patch,
            learning_rate=lesson.learning_rate,
            warm_up=40,
        )
        phase = Adaptation(network, name, adapter, seed=lesson.seed, **stage.optimisation())
        pairs = material.pairs(material.learnt, shortest=patch)
        watched = _Watch(material.pairs(material.watched, shortest=64), phase, lesson)
        say(f"learning to undo {name} from {len(pairs)} pairs, watching {len(material.watched)}")
        phase.record = _record(model, lesson, name)
        batches = PairBatches([pairs], batch=lesson.batch, patch=patch, seed=lesson.seed)
        fit(phase, stage, batches, folder, precision="32-true", machine=Machine(every=100), watchers=[watched])
        if watched.best_gain < LEAST:
            # Not kept: the same command would take it for learnt.
            final.unlink()
            raise InvalidRequest(
                f"after {phase.global_step} steps the adapter makes held-back pictures no better "
                f"({watched.best_gain:+.2f} dB): the damage cannot be undone this way, or the pairs do not show it"
            )
    adapter.load_state_dict(part(final, "adapter."))
    return adapter.eval()


class _Watch(Callback):
    """Measures the adapter on held-back pairs now and then, keeps the best, and stops when it gets no better."""

    def __init__(self, pairs: Pairs, phase: Adaptation, lesson: Lesson) -> None:
        self.lesson, self.phase = lesson, phase
        self.pairs = [_seen(pair) for index in range(len(pairs)) if (pair := pairs.pixels(index)) is not None]
        self.best_gain, self.waited = float("-inf"), 0
        self.best: dict[str, Tensor] = {}
        self.before = float(np.mean([_psnr(degraded, clean) for degraded, clean in self.pairs]))

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        step = trainer.global_step
        if step % self.lesson.every and step < self.lesson.iterations:
            return
        with torch.inference_mode():
            after = np.mean([_psnr(self.phase.restore(degraded), clean) for degraded, clean in self.pairs])
        gain = float(after) - self.before
        pl_module.log("held-back gain", gain, prog_bar=True)
        if gain > self.best_gain + 0.01:
            self.best_gain, self.waited = gain, 0
            self.best = {key: value.detach().clone() for key, value in self.phase.adapter.state_dict().items()}
        else:
            self.waited += 1
        if self.waited >= self.lesson.patience:
            self.phase.is_done = True
            trainer.should_stop = True

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self.phase.is_done or trainer.global_step >= self.lesson.iterations:
            self.phase.adapter.load_state_dict(self.best)

    def state_dict(self) -> dict[str, Any]:
        return {"best_gain": self.best_gain, "waited": self.waited, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_gain, self.waited, self.best = (state_dict[key] for key in ("best_gain", "waited", "best"))


def _recognising(
    learnt: Model,
    model: Model,
    material: Material,
    name: str,
    lesson: Lesson,
    folder: Path,
    data: Sequence[Path],
    say: Say,
) -> Model:
    """The model with an estimator that knows the new class too."""
    card = model.card.estimator
    assert card is not None
    teacher = Estimator(**card.config)
    weights = {key: torch.from_numpy(value.astype(np.float32)) for key, value in model.weights["estimate"].items()}
    teacher.load_state_dict(weights)
    pairs = material.pairs(material.learnt, shortest=64)
    shortest = min(min(pair[0].shape[:2]) for index in range(len(pairs)) if (pair := pairs.pixels(index)) is not None)
    # Two views wide, as in the estimator's own training, where the pictures allow it.
    side = min(256, shortest - shortest % 32)
    onsets = dict(model.card.recipe.get("estimation", {}).get("onsets", {}))
    stage = Stage(iterations=lesson.recognition, batch=4, patch=side, learning_rate=5e-4, warm_up=40)
    phase = Extension(
        teacher,
        card.classes,
        name,
        temperature=card.temperature,
        global_weight=card.global_weight,
        onsets={key: value for key, value in onsets.items() if key in card.classes},
        seed=lesson.seed + 1,
        **stage.optimisation(),
    )
    final = folder / "final.ckpt"
    if not final.exists():
        say(f"learning to recognise {name} among {', '.join(card.classes)}")
        own = PairBatches([pairs], batch=3, patch=side, seed=lesson.seed + 1, upright=True)
        more: CropBatches | PairBatches = PairBatches([pairs], batch=5, patch=side, seed=lesson.seed + 2, upright=True)
        if data:
            photographs = Photographs(data, shortest=side)
            more = CropBatches(photographs, batch=5, patch=side, seed=lesson.seed + 2, upright=True)
        batches = _Both(own, more)
        phase.record = _record(model, lesson, name)
        fit(phase, stage, batches, folder, precision="32-true", machine=Machine(every=100))
    phase.estimator.load_state_dict(part(final, "estimator."))
    estimator = phase.estimator.eval()
    graph = graphs.estimating(estimator, card.side)
    config: Mapping[str, Any] = {**card.config, "classes": len(phase.all)}
    changed = replace(
        learnt.card,
        # Figures of the former estimator say nothing of the new one.
        estimator=replace(card, config=dict(config), classes=phase.all, accuracy=None, ece=None, confusion=()),
        code_version=unveil.__version__,
        metrics=(),
    )
    return replace(
        learnt,
        card=changed,
        weights={**learnt.weights, "estimate": arrays(estimator, graph.weights)},
        graphs={**learnt.graphs, "estimate": graph.data},
    )


class _Both:
    """Pairs of the new damage, and clean crops for the old ones: the clean sides of other pairs, or photographs."""

    def __init__(self, pairs: PairBatches, more: CropBatches | PairBatches) -> None:
        self.pairs, self.more = pairs, more

    def __call__(self, step: int, part: int) -> tuple[Any, Tensor]:
        more = self.more(step, part)
        return self.pairs(step, part), more if isinstance(more, Tensor) else more[1]

    def digest(self) -> str:
        return f"{self.pairs.digest()} {self.more.digest()}"


def _record(model: Model, lesson: Lesson, name: str) -> dict[str, Any]:
    return {
        "taught": name,
        "base": model.card.base_checksum,
        "lesson": asdict(lesson),
        "version": unveil.__version__,
    }


def _seen(pair: tuple[NDArray[Any], NDArray[Any]]) -> tuple[Tensor, Tensor]:
    cut = (torch.from_numpy(middle(picture, SEEN)) for picture in pair)
    degraded, clean = (picture.permute(2, 0, 1)[None].float() / 255 for picture in cut)
    return degraded, clean


def _psnr(image: Tensor, clean: Tensor) -> float:
    return capped(psnr(image.numpy(), clean.numpy()))
