"""ABAIR's three phases, each in a folder of the run: `pretraining`, `adapters/noise` ..., `estimation`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn

from unveil import networks
from unveil.data import CropBatches, PairBatches, Pairs, Photographs
from unveil.degradations import DEGRADATIONS
from unveil.errors import RecipeError
from unveil.methods.abair import variants
from unveil.methods.abair.adaptation import Adaptation
from unveil.methods.abair.adapters import Adapter
from unveil.methods.abair.cutmix import DegradationCutMix
from unveil.methods.abair.estimation import Estimation
from unveil.methods.abair.estimator import Estimator
from unveil.methods.abair.pretraining import PairPretraining, Pretraining
from unveil.methods.phase import Phase
from unveil.training.abair import beginnings, undoing
from unveil.training.abair.recipe import AbairRecipe, AdapterStage
from unveil.training.chain import Chain, record
from unveil.training.checkpoints import keep
from unveil.training.fitting import Batches, part

if TYPE_CHECKING:
    from unveil.evaluation.subjects import Subject
    from unveil.models import Model


class AbairChain(Chain[AbairRecipe]):
    """Base, adapters, estimator. Adapters need the base; the estimator needs neither, but for `estimation.undone`."""

    def phases(self) -> tuple[str, ...]:
        recipe = self.recipe
        unknown = [name for name, stage in recipe.adapters.items() if name not in DEGRADATIONS and not stage.pairs]
        if unknown:
            raise RecipeError(
                f"adapters: no generator for {', '.join(unknown)}; known: {', '.join(DEGRADATIONS)}. "
                "What has none needs pairs: {degraded: FOLDER, clean: FOLDER}."
            )
        return ("pretrain", *(f"adapt:{name}" for name in recipe.adapters), "estimate")

    def do(self, phase: str) -> None:
        match phase.split(":"):
            case ["adapt", degradation]:
                self.adapt(degradation)
            case ["pretrain"]:
                self.pretrain()
            case _:
                self.estimate()

    def model(self) -> Model:
        from unveil.training.abair import packing

        return packing.model(self)

    def subjects(self) -> list[Subject]:
        from unveil.training.abair import subjects

        return subjects.of(self)

    def pretrain(self) -> None:
        """Phase I; nothing is left to do where the base of another model is adopted."""
        stage = self.recipe.pretraining
        where = self.folder / "pretraining"
        if stage.adopt or (where / "final.ckpt").exists():
            return
        torch.manual_seed(self.recipe.seed)
        settings = {"head_weight": stage.head_weight, "seed": self.recipe.seed, **stage.optimisation()}
        network = self.network()
        if stage.start:
            beginnings.base(network, beginnings.find(stage.start))
        if stage.pairs:
            phase: Phase = PairPretraining(network, classes=len(stage.pairs), **settings)
            batches: Batches = self._pairs(stage.pairs, batch=stage.batch // stage.parts, patch=stage.patch)
        else:
            cutmix = DegradationCutMix(dict(stage.degradations), regions=stage.regions, various=stage.various)
            phase = Pretraining(network, cutmix, **settings)
            batches = self._crops(stage.patch, batch=stage.batch // stage.parts, seed=phase.seed)
        self.fit(phase, stage, batches, where)

    def adapt(self, degradation: str) -> None:
        """Phase II for one degradation; nothing is left to do where the adapter of another model is adopted."""
        stage = self.recipe.adapters[degradation]
        where = self.folder / "adapters" / degradation
        if stage.adopt or (where / "final.ckpt").exists():
            return
        seed = self.recipe.seed + 1 + _place(degradation, self.recipe)
        torch.manual_seed(seed)
        network = self.base()
        adapter = fresh_adapter(network, stage)
        if stage.start:
            beginnings.adapter(adapter, beginnings.find(stage.start), degradation)
        phase = Adaptation(
            network,
            degradation,
            adapter,
            clean_share=stage.clean_share,
            severities=stage.severities,
            various=stage.various,
            company=stage.company,
            exposing=stage.exposure,
            teacher=undoing.teacher(stage.teacher, degradation) if stage.teacher else None,
            taught=stage.taught,
            seed=seed,
            **stage.optimisation(),
        )
        batch = stage.batch // stage.parts
        if stage.pairs:
            batches: Batches = self._pairs({degradation: stage.pairs}, batch=batch, patch=stage.patch, seed=seed)
        else:
            batches = self._crops(stage.patch, batch=batch, seed=seed, folders=stage.photographs)
        self.fit(phase, stage, batches, where)

    def estimate(self) -> None:
        """Phase III; nothing is left to do where the estimator of another model is adopted."""
        stage = self.recipe.estimation
        where = self.folder / "estimation"
        if stage.adopt or (where / "calibration.pt").exists():
            return
        seed = self.recipe.seed + 1 + len(DEGRADATIONS)
        torch.manual_seed(seed)
        classes = self.recipe.classes
        estimator = Estimator(classes=len(classes), tones=stage.tones, signs=stage.signs)
        if stage.start:
            beginnings.estimator(estimator, beginnings.find(stage.start), classes)
        phase = Estimation(
            estimator,
            classes,
            composed=stage.composed,
            cut=stage.cut,
            crops=stage.training_crops,
            global_weight=stage.global_weight,
            clean_weight=stage.clean_weight,
            emphasis=stage.emphasis,
            onsets=stage.onsets,
            yielding=stage.yielding,
            undone=stage.undone,
            undo=undoing.of(self) if any(stage.undone) else None,
            seed=seed,
            **stage.optimisation(),
        )
        side = 2 * stage.patch
        kept, held = self.photographs(side).split(stage.held_out)
        if (where / "final.ckpt").exists():
            # Trained, but stopped before its temperature was fitted.
            phase.estimator.load_state_dict(part(where / "final.ckpt", "estimator."))
        else:
            batch = stage.batch // stage.parts
            crops = CropBatches(
                kept, batch=batch, patch=side, seed=seed, halve=self.recipe.photographs.halve, upright=True
            )
            self.fit(phase, stage, crops, where)
        random = np.random.default_rng((seed, stage.iterations))
        # A few photographs held out serve several times, degraded differently.
        rounds = range(-(-stage.calibration // len(held)))
        drawn = (held.pixels(int(i)) for _ in rounds for i in random.permutation(len(held)))
        pictures = islice((pixels for pixels in drawn if pixels is not None), stage.calibration)
        phase.calibrate(
            pictures,
            side=stage.side,
            crops=stage.crops,
            global_weight=stage.global_weight,
            sharpening=stage.sharpening,
        )
        found: dict[str, Any] = {
            "temperature": phase.temperature,
            "bias": phase.bias.tolist(),
            "accuracy": phase.accuracy,
        }
        if phase.reliability is not None:
            found |= {"ece": phase.reliability.ece, "confusion": [list(row) for row in phase.reliability.confusion]}
            self.say(f"estimator: {phase.reliability.text()}")
        keep(found, where / "calibration.pt")

    def trained(self) -> networks.Network:
        return cast("networks.Network", self.base().eval())

    def base_path(self) -> Path:
        """The checkpoint of Phase I."""
        return self.folder if self.folder.is_file() else self.folder / "pretraining" / "final.ckpt"

    def base(self) -> nn.Module:
        """The network of Phase I with its final weights, or with those of the model that it is adopted from.

        Raises:
            RecipeError: there is none, or it is of another network than the recipe's.
        """
        if adopted := self.recipe.pretraining.adopt:
            network = self.network()
            beginnings.base(network, beginnings.find(adopted))
            return network
        path = self.base_path()
        if not path.exists():
            raise RecipeError(f"{path} is missing: adapters need the base of Phase I; run the phase 'pretrain' first")
        trained = AbairRecipe.from_dict(record(path)["recipe"]).network
        if trained != self.recipe.network:
            raise RecipeError(
                f"the recipe names the network {self.recipe.network}, but {path} was trained as {trained}"
            )
        network = self.network()
        network.load_state_dict(part(path, "network."))
        return network

    def _crops(self, patch: int, *, batch: int, seed: int, folders: Sequence[str] = ()) -> CropBatches:
        section = self.recipe.photographs
        found = Photographs(folders, shortest=patch, memory=section.memory) if folders else self.photographs(patch)
        return CropBatches(found, batch=batch, patch=patch, seed=seed, halve=section.halve)

    def _pairs(
        self, folders: Mapping[str, Mapping[str, str]], *, batch: int, patch: int, seed: int | None = None
    ) -> PairBatches:
        memory = self.recipe.photographs.memory // len(folders)
        found = [
            Pairs.of_set(entry["set"], shortest=patch, memory=memory)
            if "set" in entry
            else Pairs(Path(entry["degraded"]), Path(entry["clean"]), shortest=patch, memory=memory)
            for entry in folders.values()
        ]
        return PairBatches(found, batch=batch, patch=patch, seed=self.recipe.seed if seed is None else seed)


def fresh_adapter(network: nn.Module, stage: AdapterStage) -> Adapter:
    """A new adapter in the form that the recipe asks for.

    Raises:
        RecipeError: there is no such form.
    """
    settings = {"rank": stage.rank, "alpha": stage.alpha, "mode": stage.mode, "vectors": stage.vectors}
    try:
        return variants.fresh(network, variant=stage.variant, **settings)
    except ValueError as error:
        raise RecipeError(f"adapters: {error}") from None


def _place(degradation: str, recipe: AbairRecipe) -> int:
    """A number of its own for each degradation, whatever else the recipe trains."""
    known = list(DEGRADATIONS)
    if degradation in known:
        return known.index(degradation)
    return len(known) + 1 + [name for name in recipe.adapters if name not in known].index(degradation)
