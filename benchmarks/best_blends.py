"""How much a blend of adapters could gain at most: the weights that are best where the truth is known.

    python benchmarks/best_blends.py --pictures data/test_kodak24 [--model NAME] [--count 8] [--side 160]

For mixtures of damage (those of `shipped_model.py`): each adapter that has something to undo, alone and at its full
weight; the better one of them for each picture; and the weights, above and below zero, that descending on the error of
the picture finds from there. No rule can know these weights; what it prints is the room that rules have. One look, no
second one. PSNR on RGB in dB, means over the middle parts of the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shipped_model
import torch
from torch import Tensor, nn

from unveil import export, models
from unveil.methods.abair.adaptation import exposed
from unveil.metrics.fidelity import capped, psnr
from unveil.metrics.sheets import as_bytes
from unveil.restoration.stitching import to_network

STEPS = 24
RATE = 0.08


class Blending:
    """The restoring network of a model at weights that gradients can be taken for."""

    def __init__(self, model: models.Model) -> None:
        base = model.weights["restore"]
        self._exposing = model.card.exposing
        self._network: nn.Module = export.network_of(model).eval()
        self._base = {name: torch.from_numpy(value.astype(np.float32)) for name, value in base.items()}
        self._changes = {
            degradation: {
                name: torch.from_numpy(models.change(factors, base[name].shape, adapter.alpha, adapter.rank))
                for name, factors in adapter.factors.items()
            }
            for degradation, adapter in model.adapters.items()
        }

    def exposed(self, picture: Tensor, names: Sequence[str]) -> Tensor:
        """`1 3 H W` as the network is to see it if one of these adapters wants pictures exposed."""
        return exposed(picture[0])[None] if set(names) & set(self._exposing) else picture

    def __call__(self, picture: Tensor, names: Sequence[str], weights: Tensor) -> Tensor:
        blended = dict(self._base)
        for degradation, weight in zip(names, weights, strict=True):
            for name, change in self._changes[degradation].items():
                blended[name] = blended[name] + weight * change
        return torch.func.functional_call(self._network, blended, (picture,))


def best(blending: Blending, picture: Tensor, truth: Tensor, names: Sequence[str]) -> tuple[list[float], float, Tensor]:
    """PSNR of every adapter alone, the best of all that was seen, and its weights."""
    alone = [_score(blending, picture, truth, names, row) for row in torch.eye(len(names))]
    start = torch.eye(len(names))[int(np.argmax(alone))]
    highest, found = max(alone), start
    # Every adapter has some share from the first step on.
    weights = (0.9 * start + 0.1).requires_grad_()
    optimiser = torch.optim.Adam([weights], RATE)
    for _ in range(STEPS):
        restored = blending(picture, names, weights)
        error = (restored - truth).square().mean()
        score = capped(psnr(_bytes(restored), _bytes(truth)))
        if score > highest:
            highest, found = score, weights.detach().clone()
        optimiser.zero_grad()
        error.log().backward()
        optimiser.step()
    return alone, highest, found


def main() -> None:
    chosen = shipped_model.options(__doc__, side=160)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    model = models.read(models.find(chosen.model))
    truths = shipped_model.read(chosen.pictures, chosen.count, chosen.side)
    blending = Blending(model)
    print(f"{model.card.name}, {len(truths)} pictures, the middle {chosen.side} x {chosen.side} pixels of each\n")
    print("| several at once | each alone | better one | best blend | its weights |\n|---|---|---:|---:|---|")
    for mixture, (names, damage) in shipped_model.MIXED.items():
        rows: list[tuple[list[float], float, Tensor]] = []
        for seed, truth in enumerate(truths):
            degraded = damage(truth, np.random.default_rng(seed))
            rows.append(best(blending, blending.exposed(_tensor(degraded), names), _tensor(truth), names))
        alone = np.mean([row[0] for row in rows], 0)
        weights = torch.stack([row[2] for row in rows]).median(0).values
        print(
            f"| {mixture} | {', '.join(f'{name} {score:.2f}' for name, score in zip(names, alone, strict=True))} "
            f"| {np.mean([max(row[0]) for row in rows]):.2f} | {np.mean([row[1] for row in rows]):.2f} "
            f"| {', '.join(f'{weight:.2f}' for weight in weights)} |",
            flush=True,
        )


def _score(blending: Blending, picture: Tensor, truth: Tensor, names: Sequence[str], weights: Tensor) -> float:
    with torch.no_grad():
        return capped(psnr(_bytes(blending(picture, names, weights)), _bytes(truth)))


def _tensor(pixels: shipped_model.Pixels) -> Tensor:
    return torch.from_numpy(to_network(pixels))


def _bytes(picture: Tensor) -> shipped_model.Pixels:
    return as_bytes(picture.detach()[0].permute(1, 2, 0).numpy())


if __name__ == "__main__":
    main()
