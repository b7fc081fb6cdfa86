"""Low-rank adapters on any network (ABAIR, Phase II; LoRA: Hu et al., ICLR 2022).

The change of a weight is computed from the factors and added to the frozen weight before the network runs
(`torch.func.functional_call`), so one code path serves every layer type and training equals the merged network exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

MODES = ("compact", "loralib", "attention_only", "pointwise_only")

_ATTENTION = ("attn", "attention", "sca")


class AdapterFactors(nn.Module):
    """The trainable factors of one adapter for one network.

    Args:
        network: whose weights are adapted; it is not changed and not kept.
        rank: r.
        alpha: the change is scaled by `alpha / rank`; `None` means `alpha = rank`.
        mode: `compact` (ours, the default): dense layers get `up (out, r)`, `down (r, in, k, k)`, depthwise layers a
            full `delta`. `loralib`: the factors of the loralib package on every convolution and linear layer, which
            reproduces the parameter counts that the paper prints. `attention_only`: compact, attention layers alone.
            `pointwise_only`: compact without depthwise deltas.

        vectors: also give every one-dimensional parameter (biases, norm scales) and residual scale a full delta. Ours,
            off by default; it costs little and helps where a degradation is a matter of brightness.

    A fresh adapter changes nothing: `up`, `delta` and `lora_b` start at zero.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        rank: int = 4,
        alpha: float | None = None,
        mode: str = "compact",
        vectors: bool = False,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"unknown adapter mode {mode!r}; known: {', '.join(MODES)}")
        if rank < 1:
            raise ValueError(f"the rank of an adapter must be at least 1, got {rank}")
        self.rank, self.mode = rank, mode
        self.alpha = float(rank if alpha is None else alpha)
        self.factors = nn.ParameterDict()
        for name, layer in _layers(network):
            for factor, value in _fresh(layer, name, rank, mode).items():
                self.factors[_key(name, factor)] = nn.Parameter(value)
        if vectors:
            for name, value in network.named_parameters():
                if value.numel() == max(value.shape, default=0):
                    self.factors[_key(name, "delta")] = nn.Parameter(torch.zeros_like(value))

    def changes(self) -> dict[str, Tensor]:
        """The change of every adapted weight, by the weight's name, scaled and ready to be added."""
        return {name: self._change(factors) for name, factors in self._grouped().items()}

    def merged(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights with this adapter's changes added; gradients reach the factors, not the weights."""
        changed = self.changes()
        return {
            name: weight.detach() + changed[name].reshape(weight.shape) if name in changed else weight.detach()
            for name, weight in weights.items()
        }

    def named_factors(self) -> dict[str, dict[str, Tensor]]:
        """Weight name -> factor name -> tensor, as a model file stores them."""
        return {
            name: {factor: value.detach() for factor, value in factors.items()}
            for name, factors in self._grouped().items()
        }

    def _grouped(self) -> dict[str, dict[str, Tensor]]:
        grouped: dict[str, dict[str, Tensor]] = {}
        for key, value in self.factors.items():
            name, factor = _unkey(key)
            grouped.setdefault(name, {})[factor] = value
        return grouped

    def _change(self, factors: Mapping[str, Tensor]) -> Tensor:
        if "delta" in factors:
            return factors["delta"]
        scale = self.alpha / self.rank
        if "lora_a" in factors:
            return scale * (factors["lora_b"] @ factors["lora_a"])
        return scale * torch.einsum("or,r...->o...", factors["up"], factors["down"])


def _layers(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d | nn.Linear]]:
    """Every convolution and linear layer with the name of its weight."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            yield f"{name}.weight", module


def _fresh(layer: nn.Conv2d | nn.Linear, name: str, rank: int, mode: str) -> dict[str, Tensor]:
    """New factors for one layer, or none where the mode leaves the layer alone."""
    out, inside, *kernel = layer.weight.shape
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    if mode == "loralib" and kernel:
        side = kernel[0]
        down = _kaiming(rank * side, inside * groups * side)
        return {"lora_a": down, "lora_b": torch.zeros(out // groups * side, rank * side)}
    if mode == "attention_only" and not any(word in name for word in _ATTENTION):
        return {}
    if groups > 1:
        return {} if mode == "pointwise_only" else {"delta": torch.zeros_like(layer.weight)}
    return {"down": _kaiming(rank, inside, *kernel), "up": torch.zeros(out, rank)}


def _kaiming(*shape: int) -> Tensor:
    tensor = torch.empty(shape)
    nn.init.kaiming_uniform_(tensor, a=math.sqrt(5))
    return tensor


def _key(name: str, factor: str) -> str:
    """`ParameterDict` keys may not hold dots."""
    return f"{name}/{factor}".replace(".", "|")


def _unkey(key: str) -> tuple[str, str]:
    name, factor = key.replace("|", ".").rsplit("/", 1)
    return name, factor
