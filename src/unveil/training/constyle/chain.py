"""The two phases of ConStyle, each in a folder of the run: `encoder` (stage 1 of v2) and `restoration`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from unveil import networks
from unveil.data import CropBatches, PairBatches, Pairs
from unveil.errors import RecipeError
from unveil.methods.constyle.damage import AddedNoise, Mixture
from unveil.methods.constyle.degradations import TwoRounds
from unveil.methods.constyle.encoder import ConStyleV2, Encoder
from unveil.methods.constyle.encoder_file import write_encoder
from unveil.methods.constyle.guidance import Steered
from unveil.methods.constyle.pretraining import EncoderTraining
from unveil.methods.constyle.restoring import RestorationTraining
from unveil.training.chain import EXPORT, Chain
from unveil.training.constyle.encoders import ENCODER_FILE, find_encoder
from unveil.training.constyle.pictures import PretextBatches, classes_of
from unveil.training.constyle.recipe import ConStyleRecipe, EncoderStage, RestorationStage
from unveil.training.fitting import Batches, part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unveil.evaluation.subjects import Subject
    from unveil.models import Model

ENCODE, RESTORE = "encode", "restore"


class ConStyleChain(Chain[ConStyleRecipe]):
    """Encoder, then restoration network; a recipe may have one of the two alone."""

    def phases(self) -> tuple[str, ...]:
        stages = {ENCODE: self.recipe.encoder, RESTORE: self.recipe.restoration}
        return tuple(phase for phase, stage in stages.items() if stage is not None)

    def choose(self, wanted: Sequence[str]) -> list[str]:
        chosen = super().choose(wanted)
        # An encoder alone restores nothing: it leaves an encoder file, not a model file.
        return chosen if self.recipe.restoration else [phase for phase in chosen if phase != EXPORT]

    def do(self, phase: str) -> None:
        self.encode() if phase == ENCODE else self.restore()

    def model(self) -> Model:
        from unveil.training.constyle import packing

        return packing.model(self)

    def subjects(self) -> list[Subject]:
        from unveil.training.constyle import subjects

        return subjects.of(self)

    def trained(self) -> networks.Network:
        """The restoration network; of a recipe for an encoder alone, that encoder."""
        if self.recipe.restoration is None:
            return cast("networks.Network", self.trained_encoder())
        path = self.folder if self.folder.is_file() else self.folder / "restoration" / "final.ckpt"
        network = self.network()
        network.load_state_dict(_result(path, self.recipe.restoration.decay, RESTORE))
        return cast("networks.Network", network.eval())

    def trained_encoder(self) -> Encoder:
        """The encoder of stage 1, with its head.

        Raises:
            RecipeError: it is not trained yet, or not part of the recipe.
        """
        if self.recipe.encoder is None:
            raise RecipeError("the recipe trains no encoder by itself")
        path = self.folder if self.folder.is_file() else self.folder / "encoder" / "final.ckpt"
        state = _result(path, self.recipe.encoder.decay, ENCODE)
        encoder = ConStyleV2(classes=len(state["classifier.3.weight"]))
        encoder.load_state_dict(state)
        return encoder.eval()

    def encode(self) -> None:
        """Stage 1 of v2."""
        stage, where = self.recipe.encoder, self.folder / "encoder"
        assert stage is not None
        if not (where / "final.ckpt").exists():
            self._pretrain(stage, where)
        if not (self.folder / ENCODER_FILE).exists():
            write_encoder(
                self.trained_encoder(),
                self.folder / ENCODER_FILE,
                name=self.recipe.name,
                recipe=self.recipe.shareable(),
                summary=self.recipe.card.summary,
                licence=self.recipe.card.licence,
                training_data=self.recipe.card.training_data,
            )

    def _pretrain(self, stage: EncoderStage, where: Path) -> None:
        seed = self.recipe.seed
        torch.manual_seed(seed)
        photographs = self.photographs(1)
        labels, classes = classes_of(photographs)
        weights = stage.losses()
        told = stage.classes == "folders" and len(classes) > 1
        if not told:
            labels, weights["classification"] = [0] * len(photographs), 0.0
            if not any(weights.values()):
                raise RecipeError("encoder: without folders of classes no loss is left; see encoder.classes")
        batches = PretextBatches(
            photographs,
            labels,
            batch=stage.batch,
            patch=stage.patch,
            resize=stage.resize,
            scale=stage.scale,
            snow=0.0 if stage.mixture else stage.snow,
            one=stage.crops == "one",
            seed=seed,
        )
        phase = EncoderTraining(
            ConStyleV2(classes=len(classes) if told else stage.outputs),
            partial(_spoilt, Mixture(stage.mixture) if stage.mixture else TwoRounds()),
            weights=weights,
            classification_until=stage.classification_until,
            distillation_until=stage.distillation_until,
            memory=stage.remembering(),
            seed=seed,
            **stage.averaging(),
        )
        self.fit(phase, stage, batches, where)

    def restore(self) -> None:
        """`Original`, v1, or stage 2 of v2."""
        stage, where = self.recipe.restoration, self.folder / "restoration"
        assert stage is not None
        if (where / "final.ckpt").exists():
            return
        seed = self.recipe.seed + 1
        torch.manual_seed(seed)
        network = self.network()
        self._prepare(network, stage)
        phase = RestorationTraining(
            network,
            _damage(stage),
            encoder_until=stage.encoder_until,
            weights=stage.losses(),
            key=stage.key,
            memory=stage.remembering(),
            seed=seed,
            **stage.averaging(),
        )
        self.fit(phase, stage, self._batches(stage, seed), where)

    def _prepare(self, network: nn.Module, stage: RestorationStage) -> None:
        """Give a guided network its encoder, and cut it off from what the recipe leaves out."""
        if not isinstance(network, Steered):
            if stage.encoder or stage.encoder_until > 0 or not (stage.maps and stage.query):
                raise RecipeError(
                    f"the network {self.recipe.network['name']} is guided by no encoder; leave out encoder, "
                    "encoder_until, maps and query, or take a guided one: constyle-conv, constyle-nafnet, guided ..."
                )
            return
        encoder = None
        if stage.encoder:
            encoder = find_encoder(stage.encoder)
        elif self.recipe.encoder is not None:
            encoder = self.trained_encoder()
        elif stage.encoder_until <= 0:
            raise RecipeError(
                "restoration: the encoder is frozen from the start but trained nowhere; give its file with encoder, "
                "add a section encoder, or train it along with encoder_until"
            )
        if encoder is not None:
            state = {name: value for name, value in encoder.state_dict().items() if not name.startswith("classifier.")}
            network.encoder.load_state_dict(state)
        network.sever(maps=not stage.maps, query=not stage.query)

    def _batches(self, stage: RestorationStage, seed: int) -> Batches:
        batch = stage.batch // stage.parts
        section = self.recipe.photographs
        if stage.pairs:
            if name := stage.pairs.get("set"):
                pairs = Pairs.of_set(name, shortest=stage.patch, memory=section.memory)
            else:
                folders = (Path(stage.pairs["degraded"]), Path(stage.pairs["clean"]))
                pairs = Pairs(*folders, shortest=stage.patch, memory=section.memory)
            return PairBatches([pairs], batch=batch, patch=stage.patch, seed=seed)
        photographs = self.photographs(stage.patch)
        return CropBatches(photographs, batch=batch, patch=stage.patch, seed=seed, halve=section.halve)


def _damage(stage: RestorationStage) -> AddedNoise | Mixture | None:
    if stage.pairs:
        return None
    return AddedNoise(*stage.noise) if stage.noise else Mixture(stage.mixture)


def _spoilt(damage: TwoRounds | Mixture, clean: Tensor, spoilt: Tensor, generator: torch.Generator) -> Tensor:
    """Degrade the pictures of a batch that are not spoilt yet."""
    rest = torch.nonzero(~spoilt)[:, 0]
    degraded = clean.clone()
    if len(rest):
        degraded[rest] = damage(clean[rest], generator)
    return degraded


def _result(path: Path, decay: float, phase: str) -> dict[str, Any]:
    """The weights that a finished phase hands on."""
    if not path.exists():
        raise RecipeError(f"{path} is missing: nothing is trained yet; run the phase {phase!r} first")
    return part(path, "average." if decay else "network.")
