"""From a recipe to a model file: ABAIR's three phases in one resumable run.

A run lives in one folder:

    recipe.json                         the resolved recipe
    pretraining/                        last.ckpt while it runs, final.ckpt once done, metrics.csv, TensorBoard events
    adapters/noise/ ...                 the same for each adapter
    estimation/                         the same for the estimator
    model.safetensors                   once all phases are done

A phase that has a final.ckpt is not run again; one that has a last.ckpt goes on from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

import unveil
from unveil import networks
from unveil.data import CropBatches, Photographs
from unveil.degradations import DEGRADATIONS
from unveil.errors import RecipeError
from unveil.methods.abair.adaptation import Adaptation
from unveil.methods.abair.adapters import AdapterFactors
from unveil.methods.abair.cutmix import DegradationCutMix
from unveil.methods.abair.estimation import Estimation
from unveil.methods.abair.estimator import Estimator
from unveil.methods.abair.pretraining import Pretraining
from unveil.methods.phase import Phase
from unveil.training.interruption import Interruption
from unveil.training.recipe import AdapterStage, EstimationStage, Recipe, Stage

PHASES = ("pretrain", "adapt", "estimate", "export")


def run(
    recipe: Path | str,
    *,
    data: Iterable[Path | str] = (),
    out: Path | str | None = None,
    phases: Sequence[str] = ("all",),
    overrides: Iterable[str] = (),
    resume: bool = True,
    threads: int | None = None,
) -> Path:
    """Run a recipe, or some of its phases, and return the folder of the run.

    Args:
        recipe: a YAML file.
        data: folders of clean photographs; replace those of the recipe.
        out: folder of the run; `runs/NAME` by default.
        phases: any of `pretrain`, `adapt`, `adapt:noise` (one adapter), `estimate`, `export`, or `all`.
        overrides: `key.key=value`, applied on top of the recipe.
        resume: go on from what the folder holds. Otherwise a folder with results in it is an error.
        threads: CPU threads; all by default.

    Raises:
        RecipeError: the recipe is wrong, a phase is unknown, or an earlier phase has not been run.
    """
    plan = Recipe.read(recipe, overrides=overrides, folders=map(str, data))
    chosen = _choose(phases, plan)
    folder = Path(out) if out is not None else Path("runs") / plan.name
    if not resume and any(folder.glob("**/*.ckpt")):
        raise RecipeError(f"{folder} already holds a run; resume it, or name another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    _keep_recipe(folder / "recipe.json", plan)
    if threads is not None:
        torch.set_num_threads(threads)
    training = Run(plan, folder)
    for phase in chosen:
        match phase.split(":"):
            case ["pretrain"]:
                training.pretrain()
            case ["adapt", degradation]:
                training.adapt(degradation)
            case ["estimate"]:
                training.estimate()
            case _:
                training.export()
    return folder


class Run:
    """One run of a recipe in its folder."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe = recipe
        self.folder = folder
        self._photographs: dict[int, Photographs] = {}

    def pretrain(self) -> None:
        """Phase I."""
        stage = self.recipe.pretraining
        where = self.folder / "pretraining"
        if (where / "final.ckpt").exists():
            return
        torch.manual_seed(self.recipe.seed)
        phase = Pretraining(
            self._network(),
            DegradationCutMix(dict(stage.degradations), regions=stage.regions),
            head_weight=stage.head_weight,
            seed=self.recipe.seed,
            **stage.optimisation(),
        )
        self._fit(phase, stage, where, side=stage.patch)

    def adapt(self, degradation: str) -> None:
        """Phase II for one degradation."""
        stage = self.recipe.adapters[degradation]
        where = self.folder / "adapters" / degradation
        if (where / "final.ckpt").exists():
            return
        seed = self.recipe.seed + 1 + list(DEGRADATIONS).index(degradation)
        torch.manual_seed(seed)
        network = self.base()
        phase = Adaptation(
            network,
            degradation,
            fresh_adapter(network, stage),
            clean_share=stage.clean_share,
            severities=stage.severities,
            seed=seed,
            **stage.optimisation(),
        )
        self._fit(phase, stage, where, side=stage.patch)

    def estimate(self) -> None:
        """Phase III."""
        stage = self.recipe.estimation
        where = self.folder / "estimation"
        if (where / "calibration.pt").exists():
            return
        seed = self.recipe.seed + 1 + len(DEGRADATIONS)
        torch.manual_seed(seed)
        classes = self.recipe.classes
        estimator = Estimator(classes=len(classes), tones=stage.tones)
        if stage.start:
            _begin_with(estimator, Path(stage.start), classes)
        phase = Estimation(
            estimator,
            classes,
            composed=stage.composed,
            cut=stage.cut,
            crops=stage.training_crops,
            global_weight=stage.global_weight,
            clean_weight=stage.clean_weight,
            onsets=stage.onsets,
            seed=seed,
            **stage.optimisation(),
        )
        if (where / "final.ckpt").exists():
            # Trained, but stopped before its temperature was fitted.
            phase.estimator.load_state_dict(part(where / "final.ckpt", "estimator."))
        else:
            self._fit(phase, stage, where, side=2 * stage.patch)
        photographs = self._load_photographs(2 * stage.patch).split(stage.held_out)[1]
        random = np.random.default_rng((seed, stage.iterations))
        # A few photographs held out serve several times, degraded differently.
        rounds = range(-(-stage.calibration // len(photographs)))
        drawn = (photographs.pixels(int(i)) for _ in rounds for i in random.permutation(len(photographs)))
        pictures = islice((pixels for pixels in drawn if pixels is not None), stage.calibration)
        phase.calibrate(pictures, side=stage.side, crops=stage.crops, global_weight=stage.global_weight)
        found = {"temperature": phase.temperature, "bias": phase.bias.tolist(), "accuracy": phase.accuracy}
        torch.save(found, where / "calibration.pt")

    def export(self) -> Path:
        """Write the model file of a finished run."""
        from unveil import export, models

        return models.write(export.model_from_checkpoint(self.folder), self.folder / "model.safetensors")

    def base(self) -> nn.Module:
        """The network of Phase I with its final weights."""
        path = self.folder / "pretraining" / "final.ckpt"
        if not path.exists():
            raise RecipeError(f"{path} is missing: adapters need the base of Phase I; run the phase 'pretrain' first")
        network = self._network()
        network.load_state_dict(part(path, "network."))
        return network

    def _network(self) -> nn.Module:
        config = dict(self.recipe.network)
        try:
            network = networks.build(config.pop("name", ""), **config)
        except (TypeError, ValueError) as error:
            raise RecipeError(f"network: {error}") from None
        return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def _load_photographs(self, shortest: int) -> Photographs:
        section = self.recipe.photographs
        if shortest not in self._photographs:
            self._photographs[shortest] = Photographs(section.folders, shortest=shortest, memory=section.memory)
        return self._photographs[shortest]

    def _batches(self, stage: Stage, *, side: int, start: int, steps: int, seed: int) -> DataLoader[torch.Tensor]:
        photographs = self._load_photographs(side)
        is_estimation = isinstance(stage, EstimationStage)
        if is_estimation:
            photographs = photographs.split(stage.held_out)[0]
        batches = CropBatches(
            photographs,
            batch=stage.batch,
            patch=side,
            steps=steps,
            start=start,
            seed=seed,
            halve=self.recipe.photographs.halve,
            upright=is_estimation,
        )
        # On a GPU the crops are cut while it computes; on a CPU workers would only take cores from the training.
        workers = 4 if torch.cuda.is_available() else 0
        return DataLoader(batches, batch_size=None, shuffle=False, num_workers=workers)

    def _fit(self, phase: Phase, stage: Stage, where: Path, *, side: int) -> None:
        last = where / "last.ckpt"
        start = int(torch.load(last, weights_only=True, mmap=True)["global_step"]) if last.exists() else 0
        loader = self._batches(stage, side=side, start=start, steps=stage.iterations, seed=phase.seed)
        batches = loader.dataset
        assert isinstance(batches, CropBatches)
        phase.record = {
            "recipe": json.loads(json.dumps(self.recipe.as_dict())),
            "version": unveil.__version__,
            "data": batches.photographs.digest(),
            "phase": where.name,
        }
        keep: list[Callback] = [
            ModelCheckpoint(where, filename="last", every_n_train_steps=500, enable_version_counter=False),
            TQDMProgressBar(refresh_rate=20),
            Interruption(),
        ]
        loggers = [CSVLogger(where, name="", version=""), TensorBoardLogger(where, name="", version="")]
        trainer = lightning.Trainer(
            max_steps=stage.iterations,
            max_epochs=-1,
            devices=1,
            precision=self.recipe.precision,  # type: ignore[arg-type]
            gradient_clip_val=stage.clip,
            callbacks=keep,
            logger=loggers,
            log_every_n_steps=50,
            enable_model_summary=False,
            default_root_dir=where,
        )
        trainer.fit(phase, loader, ckpt_path=last if last.exists() else None, weights_only=True)
        if trainer.global_step < stage.iterations:
            trainer.save_checkpoint(last)
            raise KeyboardInterrupt(f"stopped at step {trainer.global_step} of {stage.iterations}; run again to go on")
        trainer.save_checkpoint(where / "final.ckpt", weights_only=True)
        last.unlink(missing_ok=True)


def fresh_adapter(network: nn.Module, stage: AdapterStage) -> AdapterFactors:
    """A new adapter in the form that the recipe asks for."""
    return AdapterFactors(network, rank=stage.rank, alpha=stage.alpha, mode=stage.mode, vectors=stage.vectors)


def _begin_with(estimator: Estimator, path: Path, classes: tuple[str, ...]) -> None:
    """Give a new estimator the weights of a model file's; inputs that the former did not have start at zero."""
    from unveil import models

    model = models.read(path)
    found = model.card.estimator.classes if model.card.estimator else ()
    if found != classes:
        raise RecipeError(
            f"estimation.start: {path} tells {', '.join(found) or 'nothing'} apart, expected {', '.join(classes)}"
        )
    for name, parameter in estimator.named_parameters():
        former = torch.from_numpy(model.weights["estimate"][name].astype(np.float32))
        grown = [0, parameter.shape[-1] - former.shape[-1]] if name == "hidden.weight" else [0, 0]
        parameter.data.copy_(nn.functional.pad(former, grown))


def part(path: Path, prefix: str) -> dict[str, Any]:
    """The weights below one prefix of a checkpoint, read without executing anything."""
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _choose(phases: Sequence[str], recipe: Recipe) -> list[str]:
    """Phases in running order, `adapt` spelled out per degradation."""
    unknown = [name for name in recipe.adapters if name not in DEGRADATIONS]
    if unknown:
        raise RecipeError(f"adapters: no generator for {', '.join(unknown)}; known: {', '.join(DEGRADATIONS)}")
    chosen: list[str] = []
    for phase in PHASES if "all" in phases else phases:
        kind, _, degradation = phase.partition(":")
        if kind not in PHASES or (degradation and degradation not in recipe.adapters):
            adapters = [f"adapt:{name}" for name in recipe.adapters]
            raise RecipeError(f"unknown phase {phase!r}; known: all, {', '.join([*PHASES, *adapters])}")
        if kind == "adapt" and not degradation:
            chosen += [f"adapt:{name}" for name in recipe.adapters]
        else:
            chosen.append(phase)
    return chosen


def _keep_recipe(path: Path, recipe: Recipe) -> None:
    path.write_text(json.dumps({"unveil": unveil.__version__, "recipe": recipe.as_dict()}, indent=2), encoding="utf-8")
