"""From a recipe to a model file, in one resumable run.

A run lives in one folder: `recipe.json`, one folder a phase (last.ckpt while it runs, final.ckpt once done,
metrics.csv, TensorBoard events), and model.safetensors at the end. A phase that has a final.ckpt is not run again; one
that has a last.ckpt goes on from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch

import unveil
from unveil.errors import RecipeError
from unveil.training import table
from unveil.training.chain import Chain, Say, record
from unveil.training.checkpoints import place
from unveil.training.fitting import Machine
from unveil.training.recipe import Recipe


def run(
    recipe: Path | str,
    *,
    data: Iterable[Path | str] = (),
    out: Path | str | None = None,
    phases: Sequence[str] = ("all",),
    overrides: Iterable[str] = (),
    resume: bool = True,
    threads: int | None = None,
    machine: Machine | None = None,
    say: Say | None = None,
) -> Path:
    """Run a recipe, or some of its phases, and return the folder of the run.

    Args:
        recipe: a YAML file.
        data: folders of clean photographs; replace those of the recipe.
        out: folder of the run; `runs/NAME` by default.
        phases: names or groups of the method's phases (ABAIR: `pretrain`, `adapt`, `adapt:noise`, `estimate`), `export`
            or `all`.
        overrides: `key.key=value`, applied on top of the recipe.
        resume: go on from what the folder holds. Otherwise a folder with results in it is an error.
        threads: CPU threads; all by default.
        machine: devices and how they work together; one by default.
        say: told, in words for people, what a phase has found.

    Raises:
        RecipeError: the recipe is wrong, a phase is unknown, or an earlier phase has not been run.
    """
    plan = Recipe.read(recipe, overrides=overrides, folders=map(str, data))
    folder = Path(out) if out is not None else Path("runs") / plan.name
    chain = table.method(plan.method).chain(plan, folder, machine)
    chain.say = say or chain.say
    chain.choose(phases)
    if not resume and any(folder.glob("**/*.ckpt")):
        raise RecipeError(f"{folder} already holds a run; resume it, or name another folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"unveil": unveil.__version__, "recipe": plan.as_dict()}
    place(json.dumps(kept, indent=2).encode(), folder / "recipe.json")
    if threads is not None:
        torch.set_num_threads(threads)
    chain.run(phases)
    return folder


def opened(path: Path | str) -> Chain[Recipe]:
    """The chain of a run that is there: of its folder, or of the folder of one of its checkpoints.

    Raises:
        RecipeError: there is no run.
    """
    path = Path(path)
    kept = path / "recipe.json"
    if path.is_dir() and kept.exists():
        recipe = Recipe.from_dict(json.loads(kept.read_text(encoding="utf-8"))["recipe"])
    else:
        found = path if path.is_file() else next(iter(sorted(path.glob("**/final.ckpt"))), None)
        if found is None:
            raise RecipeError(f"{path} holds no run: neither recipe.json nor a final.ckpt of a finished phase")
        recipe = Recipe.from_dict(record(found)["recipe"])
    return table.method(recipe.method).chain(recipe, path)
