"""What is measured: a model as users run it, variants of it, any ONNX network, and the input itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from unveil import models
from unveil.engines import Precision
from unveil.errors import EngineError, InvalidRequest
from unveil.evaluation.damage import Pixels
from unveil.evaluation.sets import EvaluationSet
from unveil.models.card import CLEAN
from unveil.restoration import Restorer, blending

INPUT = "input"

OWN, ORACLE = "own", "oracle"

Tick = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """A restored picture, and what the diagnosis said if there was one."""

    pixels: NDArray[Any]
    diagnosis: str | None = None
    weights: dict[str, float] | None = None


class Subject(Protocol):
    """One column of a table.

    `name` is unique among those measured together. `checksum` tells whether figures of an earlier run still hold.
    """

    @property
    def name(self) -> str: ...

    @property
    def checksum(self) -> str: ...

    def applies(self, benchmark: EvaluationSet) -> bool:
        """Whether it has anything to say about a set."""
        ...

    def restore(self, degraded: Pixels, benchmark: EvaluationSet, tick: Tick) -> Answer:
        """Restore H W 3, float32, 0..1. `tick` may be called with (tiles done, tiles in all)."""
        ...


@dataclass(frozen=True, slots=True)
class Unrestored:
    """The degraded picture as it is: what everything else is compared with."""

    name: str = INPUT
    checksum: str = ""

    def applies(self, benchmark: EvaluationSet) -> bool:
        return True

    def restore(self, degraded: Pixels, benchmark: EvaluationSet, tick: Tick) -> Answer:
        return Answer(degraded)


@dataclass(frozen=True, slots=True)
class ModelSubject:
    """A model file through `Restorer`, so that what is measured is what users get.

    `rule`: `own` is the model's own way, `oracle` the adapter of what the set is known to have (the base alone where
    the set is clean), `none` the base network alone, and all others are those of `unveil.restoration.blending.RULES`.
    """

    restorer: Restorer
    checksum: str
    rule: str = OWN

    @property
    def name(self) -> str:
        said = {OWN: "", "none": ", base alone"}
        return self.restorer.name + said.get(self.rule, f", {self.rule}")

    def applies(self, benchmark: EvaluationSet) -> bool:
        return self.rule != ORACLE or benchmark.degradation in (*self.restorer.card.degradations, CLEAN)

    def restore(self, degraded: Pixels, benchmark: EvaluationSet, tick: Tick) -> Answer:
        given: dict[str, Any] = {}
        if self.rule == ORACLE:
            given["blend"] = f"{ORACLE}:{benchmark.degradation}"
        elif self.rule == "none":
            given["weights"] = {}
        elif self.rule != OWN:
            given["blend"] = self.rule
        done = self.restorer.run(degraded, progress=tick, **given)
        return Answer(done.image, done.diagnosis.main if done.diagnosis else None, done.weights)


class OnnxSubject:
    """Any ONNX network of one picture: `1 3 H W`, RGB, 0..1, in and out of one size. The whole picture is one run.

    Args:
        path: of the file.
        multiple: sides are reflected to multiples of it and the result is cut back.
        threads: processor cores; None leaves it to ONNX Runtime.

    Raises:
        EngineError: ONNX Runtime cannot open it.
    """

    def __init__(self, path: Path, *, multiple: int = 1, threads: int | None = None) -> None:
        if multiple < 1:
            raise InvalidRequest(f"the multiple of sides is {multiple}, expected at least 1")
        self.name = path.stem
        self.checksum = f"{checksum_of(path)} multiple {multiple}"
        self.multiple = multiple
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise EngineError(f"{path}: ONNX Runtime cannot open it ({error}).") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            found = ", ".join(f"{entry.name} {entry.shape}" for entry in inputs)
            raise EngineError(f"{path}: takes {found}; expected one input of 1 x 3 x height x width")
        self._input = inputs[0].name

    def applies(self, benchmark: EvaluationSet) -> bool:
        return True

    def restore(self, degraded: Pixels, benchmark: EvaluationSet, tick: Tick) -> Answer:
        height, width = degraded.shape[:2]
        margins = (0, -height % self.multiple), (0, -width % self.multiple), (0, 0)
        image = np.pad(degraded, margins, mode="reflect").transpose(2, 0, 1)[None]
        try:
            result = np.asarray(self._session.run(None, {self._input: np.ascontiguousarray(image)})[0])
        except Exception as error:
            raise EngineError(
                f"{self.name}: ONNX Runtime stopped at {image.shape} ({error}). Another multiple of sides may help."
            ) from error
        if result.shape != image.shape:
            raise EngineError(f"{self.name}: gave {result.shape} for {image.shape}; expected the same shape")
        return Answer(np.clip(result[0, :, :height, :width].transpose(1, 2, 0), 0, 1))


def checksum_of(path: Path) -> str:
    """`sha256:` of a file."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def open_model(
    name: str | None,
    *,
    rules: tuple[str, ...],
    engine: str,
    threads: int | None,
    multiple: int,
    precision: Precision = "fp32",
) -> list[Subject]:
    """The subjects that a model named on a command line makes: one for each rule, or one for an `.onnx` file.

    Raises:
        ModelError, EngineError: the model cannot be opened.
        InvalidRequest: a rule that does not exist, or one that needs a diagnosis for a model without an estimator.
    """
    read = {rule: blending.read_rule(rule) for rule in rules if rule not in (OWN, ORACLE)}
    if name is not None and name.lower().endswith(".onnx"):
        if not Path(name).is_file():
            raise InvalidRequest(f"--model {name}: there is no such file")
        return [OnnxSubject(Path(name), multiple=multiple, threads=threads)]
    path = models.find(name or models.DEFAULT)
    restorer = Restorer(models.read(path), engine=engine, threads=threads, precision=precision)
    informed = [rule for rule, found in read.items() if not found.is_blind and found.name != "none"]
    if restorer.card.estimator is None and informed:
        raise InvalidRequest(
            f"the model {restorer.name} has no estimator, so there is no blend {', '.join(informed)} to measure"
        )
    for found in read.values():
        if found.degradation:
            blending.oracle(found.degradation, restorer.card.degradations)
    # Named only where it is not the usual one, so that figures of earlier versions are still known.
    checksum = f"{checksum_of(path)} engine {engine}" + (f" precision {precision}" if precision != "fp32" else "")
    return [ModelSubject(restorer, checksum, rule) for rule in rules]
