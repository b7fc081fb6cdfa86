"""Prints the table of docs/reference/networks.md: every network, its size, and how far it is from the official code.

    python benchmarks/networks.py > table.md

The error is the largest over the outputs of the network's reference cases (`tests/reference`), relative in the norm, in
float32 on this machine. Lines count the file that the class lies in, which several forms may share.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

from unveil import networks

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "reference"))

from cases import NAMES, Case


def errors() -> dict[str, dict[str, float]]:
    """Network -> reference case -> largest relative error of its outputs."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for name in NAMES:
        if name.endswith("training-step"):
            continue
        case = Case.load(name)
        recognised = networks.recognise(case.state())
        with torch.inference_mode():
            given = recognised.build()(*(torch.from_numpy(value) for value in case.inputs.values()))
        found[recognised.name][name] = max(
            float(np.linalg.norm(part.numpy() - wanted) / np.linalg.norm(wanted))
            for part, wanted in zip(flat(given), case.outputs.values(), strict=True)
        )
    return found


def flat(given: object) -> list[torch.Tensor]:
    if isinstance(given, torch.Tensor):
        return [given]
    assert isinstance(given, list | tuple)
    return [tensor for part in given for tensor in flat(part)]


def main() -> None:
    measured = errors()
    print("| name | form | published as | parameters | size multiple | file | lines | reference cases | error |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, entry in networks.NETWORKS.items():
        with torch.device("meta"):
            network = networks.build(name)
        count = sum(parameter.numel() for parameter in network.parameters())
        module = import_module(entry.location.split(":")[0])
        path = Path(str(module.__file__))
        lines = len(path.read_text(encoding="utf-8").splitlines())
        cases = measured.get(name, {})
        row = (
            f"`{name}`",
            entry.form,
            entry.paper,
            f"{count:,}",
            str(entry.size_multiple) if entry.restores else "any",
            f"`{'/'.join(path.parts[-2:])}`",
            str(lines),
            str(len(cases)) if cases else "none",
            f"{max(cases.values()):.1e}" if cases else "",
        )
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
