"""Conv-LoRA adapters (Zhong et al., ICLR 2024), one of the kinds that ABAIR compares with LoRA in its Table 7.

Between the two factors of LoRA stands a mixture of small convolutions, each at a scale of its own, of which every
picture takes the one that a gate chooses:

    y = W x + s * up( sum_e g_e(x) E_e(down(x)) )          s = alpha / rank

What it does depends on the picture, so it is no change of weights: it cannot be merged, blended or put into a model
file, and runs in PyTorch alone. Number and form of the experts, and a gate without noise, are ours.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.errors import InvalidRequest
from unveil.methods.abair.adapters import AdapterFactors, layers

MODES = ("compact", "attention_only", "pointwise_only")

SCALES = (1, 2)
"""By how much each expert enlarges the map before its convolution. Two of them meet the printed sizes best."""


class Mixture(nn.Module):
    """The experts and the gate of one layer: `down(x)`, `B r H W`, and `x` to a map like the first.

    Experts begin as the identity, so that training begins as LoRA's does, at the gate's share.
    """

    def __init__(self, inside: int, rank: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Conv2d(rank, rank, 3, padding=1, bias=False) for _ in SCALES)
        for expert in self.experts:
            nn.init.dirac_(expert.weight)  # pyright: ignore[reportArgumentType]
        self.gate = nn.Linear(inside, len(SCALES), bias=False)

    def forward(self, narrow: Tensor, x: Tensor) -> Tensor:
        shares = self.gate(x.mean((2, 3))).softmax(1)
        shares = shares * F.one_hot(shares.argmax(1), len(SCALES))
        mixed = torch.zeros_like(narrow)
        for scale, expert, share in zip(SCALES, self.experts, shares.unbind(1), strict=True):
            # In training every expert takes part, or several processes would wait for each other's gradients.
            if not self.training and not share.any():
                continue
            wide = narrow if scale == 1 else F.interpolate(narrow, scale_factor=scale, mode="bilinear")
            found = expert(wide)
            # The mean over an enlarged pixel brings any size back exactly.
            mixed = mixed + share[:, None, None, None] * (found if scale == 1 else F.avg_pool2d(found, scale))
        return mixed


class ConvLoraFactors(AdapterFactors):
    """The factors of one Conv-LoRA adapter.

    Convolutions get LoRA's factors with a mixture between them; depthwise and linear layers, and vectors, what
    `compact` LoRA gives them.

    Args:
        network, rank, alpha, vectors: as of LoRA (`AdapterFactors`).
        mode: `compact` (all layers), `attention_only` or `pointwise_only`.
    """

    variant = "conv_lora"
    is_mergeable = False

    def __init__(
        self,
        network: nn.Module,
        *,
        rank: int = 4,
        alpha: float | None = None,
        mode: str = "compact",
        vectors: bool = False,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"unknown adapter mode {mode!r} of {self.variant}; known: {', '.join(MODES)}")
        super().__init__(network, rank=rank, alpha=alpha, mode=mode, vectors=vectors)
        own = self.grouped()
        self.branched = [
            name for name, layer in layers(network) if isinstance(layer, nn.Conv2d) and "down" in own.get(name, ())
        ]
        wide = {name: layer.weight.shape[1] for name, layer in layers(network)}
        self.mixtures = nn.ModuleDict({name.replace(".", "|"): Mixture(wide[name], rank) for name in self.branched})

    def changes(self) -> dict[str, Tensor]:
        raise self._not_mergeable()

    def named_factors(self) -> dict[str, dict[str, Tensor]]:
        raise self._not_mergeable()

    def run(self, network: nn.Module, image: Tensor) -> Tensor:
        factors = self.grouped()
        branched = {name: factors.pop(name) for name in self.branched}
        changed = {name: self._change(factor) for name, factor in factors.items()}
        weights = {
            name: weight.detach() + changed[name].reshape(weight.shape) if name in changed else weight.detach()
            for name, weight in network.named_parameters()
        }
        hooks = [
            network.get_submodule(name.removesuffix(".weight")).register_forward_hook(self._hook(name, factor))
            for name, factor in branched.items()
        ]
        try:
            return torch.func.functional_call(network, weights, (image,))
        finally:
            for hook in hooks:
                hook.remove()

    def _hook(self, name: str, factors: dict[str, Tensor]) -> Any:
        mixture = self.mixtures[name.replace(".", "|")]

        def add(layer: nn.Conv2d, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            (x,) = inputs
            narrow = F.conv2d(x, factors["down"], None, layer.stride, layer.padding, layer.dilation)
            found = F.conv2d(mixture(narrow, x), factors["up"][:, :, None, None])
            return output + self.alpha / self.rank * found

        return add

    def _not_mergeable(self) -> InvalidRequest:
        return InvalidRequest(
            "what a Conv-LoRA adapter changes depends on the picture, so it is no change of weights: it can be neither "
            "merged nor blended nor put into a model file. Run it in PyTorch (`run`), or train the variant lora."
        )
