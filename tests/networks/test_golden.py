"""Every network gives what the official code gave: same weights by name, same inputs, same outputs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from unveil import networks  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent.parent / "reference"))

from cases import NAMES, Case  # noqa: E402

TOLERANCE = 1e-5
TRAINING = {"constyle-v1-training-step", "constyle-v2-training-step"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TRAINING])
def test_every_output_equals_the_official_one(name: str) -> None:
    case = Case.load(name)
    network = networks.from_state(case.state())
    with torch.inference_mode():
        given = network(*(torch.from_numpy(value) for value in case.inputs.values()))
    found = dict(zip(case.outputs, flat(given), strict=True))
    for key, wanted in case.outputs.items():
        error = np.linalg.norm(found[key].numpy() - wanted) / np.linalg.norm(wanted)
        assert error < TOLERANCE, key


def flat(given: object) -> list[torch.Tensor]:
    """The tensors of nested lists and tuples in order: those of the reference outputs."""
    if isinstance(given, torch.Tensor):
        return [given]
    assert isinstance(given, list | tuple)
    return [tensor for part in given for tensor in flat(part)]
