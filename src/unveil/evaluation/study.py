"""Studies: one recipe in several variants, each trained from several seeds, all measured on the same pictures.

A study is a YAML file (see `Study`). Its runs and figures lie in one folder and are taken up again: what is trained is
not trained again, what is measured holds while nothing that it depends on has changed.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from unveil import training
from unveil.errors import RecipeError
from unveil.evaluation.damage import Composed, Damage, Generated, PublishedTask
from unveil.evaluation.ledger import Ledger
from unveil.evaluation.measuring import Measuring
from unveil.evaluation.sets import EvaluationSet, Folder, FoundSet
from unveil.evaluation.sizing import Sizing
from unveil.evaluation.subjects import INPUT, Unrestored
from unveil.evaluation.suites import DAMAGES, PAIRED
from unveil.evaluation.tables import rows
from unveil.methods.mioir.degradations import Span
from unveil.methods.mioir.tasks import TASKS
from unveil.training.recipe import read_mapping, section


@dataclass(frozen=True, slots=True, kw_only=True)
class Tests:
    """What the variants are measured on.

    Attributes:
        pictures: folder of clean pictures, below the root of the sets.
        damages: name -> a name of the suite `local` (`noise-25`, `rain` ...), `{degradation, severity}` of one of our
            generators, `{task: rain, range: in|out}` of MiOIR's, or a list of those, one after the other; or
            `{degradation, pairs}` with a folder below the root that holds ready pairs in `input` and `target`.
        count: the first so many pictures.
        crop: the middle of each, so many pixels square.
        border: pixels that PSNR and SSIM leave out on every side.
    """

    pictures: str
    damages: Mapping[str, Any]
    count: int | None = None
    crop: int = 256
    border: int = 0

    def sets(self, root: Path) -> list[FoundSet]:
        """The sets, found below a root.

        Raises:
            DataSetMissing: the pictures are not there.
            RecipeError: a damage is not known.
        """
        return [self._set(name, value).find(root).first(self.count) for name, value in self.damages.items()]

    def _set(self, name: str, value: Any) -> EvaluationSet:
        degradations, damage = read_damage(value)
        folder = Folder(self.pictures) if damage else Folder(value["pairs"], "input/*", PAIRED)
        return EvaluationSet(
            name=name,
            printed=Path(folder.folder).name,
            label=name,
            degradation="+".join(degradations),
            folders=(folder,),
            damage=damage,
            protocols=(f"rgb8:{self.border}" if self.border else "rgb",),
            sizing=Sizing("square", self.crop),
            ours=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One row of the table.

    Attributes:
        changes: `key.key=value`, applied to the recipe.
        recipe: another recipe than the study's.
        taken: phases' folders that are taken from another variant of the same seed instead of being trained.
        of: that variant.
        phases, ways: in place of the study's.
    """

    changes: tuple[str, ...] = ()
    recipe: str = ""
    taken: tuple[str, ...] = ()
    of: str = ""
    phases: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of a study: which tests, variants and ways of restoring it holds, all of them by default.

    Attributes:
        shows: `psnr` in dB, `ssim`, or `diagnosed`, the share of pictures whose likeliest class is what is wrong.
    """

    tests: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()
    shows: Literal["psnr", "ssim", "diagnosed"] = "psnr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A question, and how it is answered.

    Attributes:
        name, question: for people.
        recipe: path, below the folder of the study's file or as it stands.
        variants: name -> `Variant`.
        tests: what is measured on.
        seeds: of the recipe, one run each.
        phases: of the recipe's method.
        ways: names of subjects (`Chain.subjects`) to measure; all by default.
        tables: title -> `Table`; one of everything by default.
        folder: where the study's file lies.
    """

    name: str
    recipe: str
    variants: Mapping[str, Variant]
    tests: Tests
    question: str = ""
    seeds: tuple[int, ...] = (0, 1, 2)
    phases: tuple[str, ...] = ("all",)
    ways: tuple[str, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict[str, Table])
    folder: Path = field(default=Path())

    @classmethod
    def read(cls, path: Path | str) -> Study:
        """Read a study's file.

        Raises:
            RecipeError: the file is missing, or has unknown, missing or impossible keys.
        """
        values = read_mapping(path)
        values["tests"] = section(Tests, values.get("tests") or {}, "tests")
        values["variants"] = {
            str(name): section(Variant, _variant(given), f"variants.{name}")
            for name, given in dict(values.get("variants") or {}).items()
        }
        values["tables"] = {
            str(title): section(Table, given or {}, f"tables.{title}")
            for title, given in dict(values.get("tables") or {}).items()
        }
        study = section(cls, {**values, "folder": Path(path).parent}, "")
        for name, variant in study.variants.items():
            if variant.of and (variant.of not in study.variants or not variant.taken):
                raise RecipeError(f"variants.{name}: 'of' names a variant and 'taken' its phases, found {variant}")
        for title, table in study.tables.items():
            for name in (*(set(table.tests) - set(study.tests.damages)), *(set(table.variants) - set(study.variants))):
                raise RecipeError(f"tables.{title}: {name!r} is neither a test nor a variant of the study")
        return study

    def recipe_of(self, variant: Variant) -> Path:
        """The recipe's file."""
        given = variant.recipe or self.recipe
        beside = self.folder / given
        return beside if beside.exists() else Path(given)

    def tasks(self) -> list[tuple[str, int]]:
        """Variants and seeds, one seed after the other, those that others take something from first."""
        ordered = sorted(self.variants, key=lambda name: bool(self.variants[name].of))
        return [(name, seed) for seed in self.seeds for name in ordered]


def read_damage(value: Any) -> tuple[list[str], Damage | None]:
    """Identifiers of what is wrong, and the damage, from the words of a study's file; none for ready pairs.

    Raises:
        RecipeError: it is not known.
    """
    if isinstance(value, list):
        parts = [read_damage(entry) for entry in value]
        damages = tuple(damage for _, damage in parts if damage is not None)
        if len(damages) < len(parts):
            raise RecipeError(f"tests.damages: ready pairs cannot be one of several damages, found {value}")
        return [name for names, _ in parts for name in names], Composed(damages)
    if isinstance(value, str) and value in DAMAGES:
        degradation, _, damage = DAMAGES[value]
        return [degradation], damage
    if isinstance(value, dict) and set(value) == {"degradation", "pairs"}:
        return [value["degradation"]], None
    if isinstance(value, dict) and set(value) == {"degradation", "severity"}:
        return [value["degradation"]], Generated(value["degradation"], float(value["severity"]))
    if isinstance(value, dict) and set(value) == {"task", "range"} and value["task"] in TASKS:
        spans: dict[Any, Span] = {"in": "in", "out": "out"}
        if span := spans.get(value["range"]):
            return [value["task"]], PublishedTask(value["task"], span)
    raise RecipeError(
        f"tests.damages: {value!r} is unknown; known are {', '.join(DAMAGES)}, {{degradation: NAME, severity: 0..1}}, "
        "{degradation: NAME, pairs: FOLDER}, "
        f"{{task: NAME, range: in or out}} with {', '.join(TASKS)}, and lists of these"
    )


def run_task(
    study: Study,
    variant: str,
    seed: int,
    *,
    data: Sequence[Path],
    root: Path,
    out: Path,
    threads: int | None = None,
    say: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Train one variant from one seed and measure it: figures by way of restoring, then by test.

    Args:
        study: of which the variant is one.
        data: folders of clean photographs.
        root: of the tests.
        out: folder of the study's runs.
        threads: CPU threads.
        say: told what is happening.

    Returns:
        `{way: {test: {psnr, ssim, gain, diagnosed}}}`; `input` is one of the ways.
    """
    chosen = study.variants[variant]
    folder = run_folder(out, variant, seed)
    for phase in chosen.taken:
        source = run_folder(out, chosen.of, seed) / phase
        if not (folder / phase).exists():
            shutil.copytree(source, folder / phase)
    recipe = study.recipe_of(chosen)
    say(f"{variant}, seed {seed}: training")
    training.run(
        recipe,
        data=data,
        out=folder,
        phases=chosen.phases or study.phases,
        overrides=[*chosen.changes, f"seed={seed}"],
        threads=threads,
    )
    say(f"{variant}, seed {seed}: measuring")
    chain = training.opened(folder)
    ways = chosen.ways or study.ways
    subjects = [subject for subject in chain.subjects() if not ways or subject.name in ways]
    sets = study.tests.sets(root)
    ledger = Ledger(folder / "measured")
    measuring = Measuring(sets, [Unrestored(), *subjects], ledger)
    for task in measuring.agenda().tasks:
        measuring.work(task, lambda done, of: None)
    found: dict[str, Any] = {name: {} for name in (INPUT, *(subject.name for subject in subjects))}
    for row in rows(measuring):
        for name, column in row.columns.items():
            score = column.means[row.of.protocols[0]]
            found[name][row.of.name] = {
                "psnr": score.psnr,
                "ssim": score.ssim,
                "gain": column.gain,
                "diagnosed": column.diagnosed,
            }
    (folder / "figures.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    return found


def run_folder(out: Path, variant: str, seed: int) -> Path:
    """Where one run of a study lies."""
    return out / re.sub(r"[^A-Za-z0-9.-]+", "_", variant).strip("_") / f"seed-{seed}"


def collected(study: Study, out: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """The figures that are there: variant -> seed -> figures."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for variant in study.variants:
        for seed in study.seeds:
            path = run_folder(out, variant, seed) / "figures.json"
            if path.exists():
                found.setdefault(variant, {})[seed] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _variant(given: Any) -> dict[str, Any]:
    """A variant may be a list of changes, or a mapping."""
    return {"changes": given or []} if given is None or isinstance(given, list) else dict(given)
