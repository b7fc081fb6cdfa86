"""Reference cases of the published networks: reproducible weights and inputs, and what the official code gave.

A case's JSON names the official class, its arguments, the names and shapes of its state, and the inputs; the NPZ beside
it holds the outputs. Weights are drawn from a stream seeded by the tensor's official name, so none need to be carried.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.npz"))


def tensor(name: str, shape: list[int]) -> np.ndarray:
    """The float32 array that stands for the official parameter or buffer `name`."""
    noise = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("running_var"):
        value = 1 + 0.1 * np.abs(noise)
    elif len(shape) >= 2:
        value = noise / np.sqrt(np.prod(shape[1:]))
    elif name.endswith("weight"):
        value = 1 + 0.1 * noise
    else:
        value = 0.1 * noise
    return value.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `inputs` are by name in the order of the call; `parameters` counts the published full-size build."""

    name: str
    about: str
    arguments: dict[str, Any]
    parameters: int | None
    shapes: dict[str, list[int]]
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]

    @classmethod
    def load(cls, name: str) -> Case:
        found = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
        with np.load(HERE / f"{name}.npz") as outputs:
            return cls(
                name,
                found["about"],
                found["arguments"],
                found["parameters_full_size"],
                found["state"],
                {
                    key: np.random.RandomState(seed).uniform(size=shape).astype(np.float32)
                    for key, (seed, *shape) in found["inputs"].items()
                },
                dict(outputs),
            )

    def state(self) -> dict[str, np.ndarray]:
        """The official state: floating-point tensors only (integer buffers follow from the geometry)."""
        return {name: tensor(name, shape) for name, shape in self.shapes.items()}
