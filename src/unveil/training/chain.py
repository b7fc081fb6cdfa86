"""What the chains of all methods share: a folder, its phases, photographs, and the network that a recipe asks for."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn

import unveil
from unveil import models, networks
from unveil.data import Photographs
from unveil.errors import RecipeError
from unveil.methods.phase import Phase
from unveil.training.fitting import Batches, Machine, fit
from unveil.training.recipe import Recipe, Stage

if TYPE_CHECKING:
    from unveil.evaluation.damage import Pixels
    from unveil.evaluation.subjects import Subject

R = TypeVar("R", bound=Recipe)

EXPORT = "export"
MOST_TOLD = 10

Say = Callable[[str], object]


class Chain(ABC, Generic[R]):
    """The phases of one recipe in the folder of its run.

    Args:
        recipe: of the method that the subclass runs.
        folder: of the run; or one checkpoint of it, and then `trained` and `model` know that alone.
        machine: what to run on.
    """

    def __init__(self, recipe: R, folder: Path, machine: Machine | None = None) -> None:
        self.recipe, self.folder, self.machine = recipe, folder, machine or Machine()
        self.say: Say = lambda text: None
        """Told, in words for people, what a phase has found."""
        self._photographs: dict[int, Photographs] = {}

    @abstractmethod
    def phases(self) -> tuple[str, ...]:
        """All phases in running order, without `export`; `adapt:noise` is one of the group `adapt`."""

    @abstractmethod
    def do(self, phase: str) -> None:
        """Run one phase, or go on with it; one that is done is not run again."""

    @abstractmethod
    def model(self) -> models.Model:
        """What the run has finished, as a model.

        Raises:
            RecipeError: too little is finished.
        """

    @abstractmethod
    def trained(self) -> networks.Network:
        """The network with the weights that the run has given it, in evaluation mode.

        Raises:
            RecipeError: it is not trained yet.
        """

    def subjects(self) -> list[Subject]:
        """The ways to restore with what the run has finished, to be measured in PyTorch.

        A study compares them.
        """
        raise RecipeError(f"runs of the method {self.recipe.method} can only be measured as model files")

    def choose(self, wanted: Sequence[str]) -> list[str]:
        """Phases in the order asked for, groups spelled out; `all` are all of them and `export`.

        Raises:
            RecipeError: no phase is called so.
        """
        every = [*self.phases(), EXPORT]
        if "all" in wanted:
            return every
        chosen: list[str] = []
        for name in wanted:
            meant = [phase for phase in every if phase == name or phase.startswith(f"{name}:")]
            if not meant:
                raise RecipeError(f"unknown phase {name!r}; known: all, {', '.join(every)}")
            chosen += meant
        return chosen

    def run(self, wanted: Sequence[str]) -> None:
        """Run phases, and write the model file where `export` is among them; say which photographs were left out."""
        try:
            for phase in self.choose(wanted):
                if phase != EXPORT:
                    self.do(phase)
                elif is_first():
                    models.write(self.model(), self.folder / "model.safetensors")
        finally:
            skipped = {name: why for found in self._photographs.values() for name, why in found.skipped().items()}
            if skipped and is_first():
                self.say(left_out(skipped))

    def fit(self, phase: Phase, stage: Stage, batches: Batches, where: Path) -> None:
        """Train one phase in its folder; its checkpoints tell recipe, version and data."""
        phase.record = {
            "recipe": json.loads(json.dumps(self.recipe.as_dict())),
            "version": unveil.__version__,
            "data": batches.digest(),
            "phase": where.name,
        }
        said = fit(phase, stage, batches, where, precision=self.recipe.precision, machine=self.machine)
        if is_first():
            self.say(said)

    def network(self) -> nn.Module:
        """A fresh network, as the recipe says.

        Raises:
            RecipeError: no network is called so, or it does not take these sizes.
        """
        config = dict(self.recipe.network)
        try:
            network = networks.build(config.pop("name", ""), **config)
        except (TypeError, ValueError) as error:
            raise RecipeError(f"network: {error}") from None
        for weight in network.parameters():
            # Prompts have five axes, for which the fast order is not defined.
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        return network

    def photographs(self, shortest: int) -> Photographs:
        """The recipe's photographs whose shorter side is long enough; read once."""
        section = self.recipe.photographs
        if shortest not in self._photographs:
            self._photographs[shortest] = Photographs(section.folders, shortest=shortest, memory=section.memory)
        return self._photographs[shortest]


def is_first() -> bool:
    """Whether this process speaks and writes for all of them."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def left_out(skipped: Mapping[str, str]) -> str:
    """What was left out of the data, and why: a line each, the first ten."""
    lines = [f"  {name}: {reason}" for name, reason in list(skipped.items())[:MOST_TOLD]]
    more = [f"  and {len(skipped) - MOST_TOLD} more"] if len(skipped) > MOST_TOLD else []
    files = "1 file was" if len(skipped) == 1 else f"{len(skipped)} files were"
    return "\n".join([f"{files} left out of the photographs:", *lines, *more])


def restored(network: nn.Module, picture: Pixels, *, weights: Mapping[str, torch.Tensor] | None = None) -> Pixels:
    """A picture `H W 3`, 0..1, through a network in one piece; with other weights than its own where they are given."""
    image = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        result = torch.func.functional_call(network, dict(weights or {}), (image,))
    return np.ascontiguousarray(result[0].permute(1, 2, 0).clamp(0, 1).float().numpy())


def record(path: Path) -> dict[str, Any]:
    """What a checkpoint tells about itself, read without executing anything.

    Raises:
        RecipeError: it is none of ours.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)["unveil"]
    except Exception as error:
        raise RecipeError(f"{path} is not a checkpoint written by unveil train ({error})") from None
