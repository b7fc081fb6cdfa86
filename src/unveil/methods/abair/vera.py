"""VeRA adapters (Kopiczko et al., ICLR 2024), one of the kinds that ABAIR compares with LoRA in its Table 7.

One pair of random matrices serves all layers and is never trained; a layer learns two vectors that scale them:

    change = s * diag(b) B diag(d) A          s = alpha / rank

`up = diag(b) B` and `down = diag(d) A` are the factors of a model file, so a VeRA adapter is merged, blended and stored
as any other, exactly; only in training it is smaller.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unveil.methods.abair.adapters import Adapter, by_weight, is_chosen, kaiming, key, layers, vectors_of

MODES = ("compact", "attention_only", "pointwise_only")


class VeraFactors(Adapter):
    """The trainable vectors of one VeRA adapter, and the random matrices that its layers share.

    Layers of one size of kernel share one matrix A, all layers one B, cut to their widths (ours where the paper speaks
    of linear layers alone; a depthwise layer is taken as one of a single input). The matrices are drawn when the
    adapter is made, and travel in its checkpoints.

    Args:
        network, rank, alpha, vectors: as of LoRA (`AdapterFactors`).
        mode: `compact` (all layers), `attention_only` or `pointwise_only`.

    A fresh adapter changes nothing: b starts at zero, d at 0.1.
    """

    variant = "vera"

    def __init__(
        self,
        network: nn.Module,
        *,
        rank: int = 4,
        alpha: float | None = None,
        mode: str = "compact",
        vectors: bool = False,
    ) -> None:
        super().__init__(rank=rank, alpha=alpha, mode=mode, modes=MODES)
        self.factors = nn.ParameterDict()
        self.shapes: dict[str, tuple[int, ...]] = {}
        for name, layer in layers(network):
            if is_chosen(layer, name, mode):
                self.shapes[name] = tuple(layer.weight.shape)
                self.factors[key(name, "b")] = nn.Parameter(torch.zeros(layer.weight.shape[0]))
                self.factors[key(name, "d")] = nn.Parameter(torch.full((rank,), 0.1))
        if vectors:
            for name, value in vectors_of(network):
                self.factors[key(name, "delta")] = nn.Parameter(torch.zeros_like(value))
        kernels: dict[tuple[int, ...], int] = {}
        for shape in self.shapes.values():
            kernels[shape[2:] or (1, 1)] = max(kernels.get(shape[2:] or (1, 1), 0), shape[1])
        for kernel, inside in kernels.items():
            self.register_buffer(_matrix(kernel), kaiming(rank, inside, *kernel))
        self.register_buffer("up", kaiming(max((shape[0] for shape in self.shapes.values()), default=1), rank))

    def grouped(self) -> dict[str, dict[str, Tensor]]:
        return {name: self._factors(name, learnt) for name, learnt in by_weight(self.factors).items()}

    def _factors(self, name: str, learnt: dict[str, Tensor]) -> dict[str, Tensor]:
        if "delta" in learnt:
            return {"delta": learnt["delta"]}
        out, inside, *kernel = self.shapes[name]
        shared = self.get_buffer(_matrix(tuple(kernel) or (1, 1)))[:, :inside]
        down = learnt["d"].view(-1, *(1 for _ in shared.shape[1:])) * shared
        return {
            "down": down if kernel else down.flatten(1),
            "up": learnt["b"][:, None] * self.get_buffer("up")[:out],
        }


def _matrix(kernel: tuple[int, ...]) -> str:
    return "down_" + "x".join(map(str, kernel))
