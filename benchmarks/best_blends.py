"""How much a blend of adapters could gain at most: the weights that are best where the truth is known.

    python benchmarks/best_blends.py --pictures data/test_kodak24 [--model NAME] [--count 8] [--side 160]

For mixtures of damage (those of `shipped_model.py`): each adapter that has something to undo, alone and at its full
weight; the better one of them for each picture; and the weights, above and below zero, that descending on the error of
the picture finds from there. No rule can know these weights; what it prints is the room that rules have. One look, no
second one. PSNR on RGB in dB, means over the middle parts of the pictures.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import shipped_model
import torch
from torch import Tensor, nn

from unveil import export, models
from unveil.methods.abair.adaptation import exposed
from unveil.metrics.fidelity import capped, psnr

THERE: Mapping[str, tuple[str, ...]] = {
    "rain + JPEG 30": ("rain", "jpeg"),
    "noise 15 + JPEG 50": ("noise", "jpeg"),
    "blur + noise 15": ("blur", "noise"),
    "haze + noise 15": ("haze", "noise"),
    "dark + noise 10": ("dark", "noise"),
    "rain + noise 10 + JPEG 40": ("rain", "noise", "jpeg"),
}
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
    # Not from exactly one adapter: what has no share in a product has a gradient all the same, but a poor one.
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--model", default=models.DEFAULT)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--threads", type=int)
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    model = models.read(models.find(chosen.model))
    truths = shipped_model.read(chosen.pictures, chosen.count, chosen.side)
    blending = Blending(model)
    print(f"{model.card.name}, {len(truths)} pictures, the middle {chosen.side} x {chosen.side} pixels of each\n")
    print("| several at once | each alone | better one | best blend | its weights |\n|---|---|---:|---:|---|")
    for mixture, names in THERE.items():
        rows: list[tuple[list[float], float, Tensor]] = []
        for seed, truth in enumerate(truths):
            degraded = shipped_model.MIXED[mixture](truth, np.random.default_rng(seed))
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
    return torch.from_numpy(pixels.astype(np.float32) / 255).permute(2, 0, 1)[None]


def _bytes(picture: Tensor) -> shipped_model.Pixels:
    values = picture.detach()[0].permute(1, 2, 0).clamp(0, 1) * 255
    return values.round().byte().numpy()


if __name__ == "__main__":
    main()
