"""MiOIR's training, each phase in a folder of the run: `restoration`, and for explicit prompts `classification`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from unveil import networks
from unveil.data import CropBatches
from unveil.errors import RecipeError
from unveil.methods.mioir.classification import Classification
from unveil.methods.mioir.classifier import Classifier
from unveil.methods.mioir.learning import Learning
from unveil.methods.mioir.prompts import draw_prompts, read_prompts
from unveil.methods.phase import Phase
from unveil.training.chain import Chain, record
from unveil.training.fitting import part
from unveil.training.mioir.recipe import FORMS, ClassificationStage, MioirRecipe, RestorationStage

if TYPE_CHECKING:
    from unveil.evaluation.subjects import Subject
    from unveil.models import Model


class MioirChain(Chain[MioirRecipe]):
    """The curriculum; then the classifier, which needs nothing of it."""

    def phases(self) -> tuple[str, ...]:
        recipe = self.recipe
        # What cannot work is said before hours of training, not after.
        _ = recipe.plan
        if recipe.is_explicit and recipe.classification is None:
            raise RecipeError("explicit prompts need the section 'classification', whose classifier chooses them")
        return ("restore", "classify") if recipe.is_explicit else ("restore",)

    def do(self, phase: str) -> None:
        if phase == "restore":
            self.restore()
        else:
            self.classify()

    def model(self) -> Model:
        from unveil.training.mioir import packing

        return packing.model(self)

    def subjects(self) -> list[Subject]:
        from unveil.training.mioir import subjects

        return subjects.of(self)

    def restore(self) -> None:
        """The whole curriculum."""
        recipe = self.recipe
        stage, where = recipe.restoration, self.folder / "restoration"
        if (where / "final.ckpt").exists():
            return
        torch.manual_seed(recipe.seed)
        phase = Learning(
            self.network(),
            recipe.plan,
            prompts=self.fresh_prompts(),
            decay=stage.decay,
            seed=recipe.seed,
            **stage.optimisation(),
        )
        self._fit(phase, stage, where)

    def classify(self) -> None:
        """The classifier."""
        recipe = self.recipe
        stage, where = recipe.classification, self.folder / "classification"
        assert stage is not None
        if (where / "final.ckpt").exists():
            return
        seed = recipe.seed + 1
        torch.manual_seed(seed)
        phase = Classification(
            Classifier(dim=stage.dim, out=stage.out),
            recipe.plan.order,
            stage.iterations,
            twice=stage.twice,
            seed=seed,
            **stage.optimisation(),
        )
        self._fit(phase, stage, where)

    def network(self) -> networks.Network:
        """A fresh network: the recipe's backbone under the recipe's prompts."""
        recipe = replace(self.recipe, network={**self.recipe.network, "name": self.network_name})
        return cast("networks.Network", super(MioirChain, MioirChain(recipe, self.folder)).network())

    @property
    def network_name(self) -> str:
        """What the table of networks calls the backbone under the recipe's prompts."""
        return f"{self.recipe.network.get('name', '')}{FORMS[self.recipe.prompts.form]}"

    def fresh_prompts(self) -> torch.Tensor | None:
        """The table of prompts that the recipe asks for, if it does."""
        section = self.recipe.prompts
        if not self.recipe.is_explicit:
            return None
        return read_prompts(section.file) if section.file else draw_prompts(section.seed)

    def trained(self) -> networks.Network:
        path = self._finished("restoration")
        network = self.network()
        trained = MioirRecipe.from_dict(record(path)["recipe"])
        asked, found = ((dict(recipe.network), recipe.prompts.form) for recipe in (self.recipe, trained))
        if found != asked:
            raise RecipeError(
                f"the recipe names the network {asked[0]} with prompts {asked[1]}, but {path} was trained as "
                f"{found[0]} with prompts {found[1]}"
            )
        network.load_state_dict(part(path, "average." if self.recipe.restoration.averaged else "network."))
        return network.eval()

    def prompts(self) -> torch.Tensor:
        """The table that explicit prompts were trained with."""
        return part(self._finished("restoration"), "prompts")[""]

    def classifier(self) -> Classifier | None:
        """The trained classifier, if there is one."""
        path = self.folder / "classification" / "final.ckpt"
        if not self.recipe.is_explicit or not path.exists():
            return None
        stage = MioirRecipe.from_dict(record(path)["recipe"]).classification
        assert stage is not None
        classifier = Classifier(dim=stage.dim, out=stage.out)
        classifier.load_state_dict(part(path, "network."))
        return classifier.eval()

    def _finished(self, phase: str) -> Path:
        path = self.folder if self.folder.is_file() else self.folder / phase / "final.ckpt"
        if not path.exists():
            raise RecipeError(f"{path} is missing: train first (unveil train)")
        return path

    def _fit(self, phase: Phase, stage: RestorationStage | ClassificationStage, where: Path) -> None:
        crops = CropBatches(
            self.photographs(stage.patch),
            batch=stage.batch // stage.parts,
            patch=stage.patch,
            seed=phase.seed,
            halve=self.recipe.photographs.halve,
            upright=True,
        )
        self.fit(phase, stage, crops, where)
