"""Low-rank adapters on any network (ABAIR, Phase II; LoRA: Hu et al., ICLR 2022).

The change of a weight is computed from the factors and added to the frozen weight before the network runs
(`torch.func.functional_call`), so one code path serves every layer type and training equals the merged network exactly.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

MODES = ("compact", "loralib", "attention_only", "pointwise_only")

_ATTENTION = ("attn", "attention", "sca")


class Adapter(nn.Module, ABC):
    """What is trained for one degradation on a frozen network.

    Attributes:
        rank, alpha: every low-rank change is scaled by `alpha / rank`.
        mode: which layers it changes, one of `MODES`.
        variant: what kind of adapter it is.
        is_mergeable: whether its change is one of weights: only then can it be blended, and be part of a model file.
    """

    variant: ClassVar[str]
    is_mergeable: ClassVar[bool] = True

    def __init__(self, *, rank: int, alpha: float | None, mode: str, modes: tuple[str, ...] = MODES) -> None:
        super().__init__()
        if mode not in modes:
            raise ValueError(f"unknown adapter mode {mode!r} of {self.variant}; known: {', '.join(modes)}")
        if rank < 1:
            raise ValueError(f"the rank of an adapter must be at least 1, got {rank}")
        self.rank, self.mode = rank, mode
        self.alpha = float(rank if alpha is None else alpha)

    @property
    def form(self) -> str:
        """Variant and mode in one word, as a card has them."""
        return self.mode if self.variant == "lora" else f"{self.variant}:{self.mode}"

    @abstractmethod
    def grouped(self) -> dict[str, dict[str, Tensor]]:
        """Weight name -> factor name -> tensor with its gradient, in the forms of a model file."""

    def changes(self) -> dict[str, Tensor]:
        """The change of every adapted weight, by the weight's name, scaled and ready to be added."""
        return {name: self._change(factors) for name, factors in self.grouped().items()}

    def merged(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights with this adapter's changes added; gradients reach the factors, not the weights."""
        changed = self.changes()
        return {
            name: weight.detach() + changed[name].reshape(weight.shape) if name in changed else weight.detach()
            for name, weight in weights.items()
        }

    def run(self, network: nn.Module, image: Tensor) -> Tensor:
        """The answer of the network with this adapter at full weight; the network stays as it is."""
        return torch.func.functional_call(network, self.merged(dict(network.named_parameters())), (image,))

    def named_factors(self) -> dict[str, dict[str, Tensor]]:
        """Weight name -> factor name -> tensor, as a model file stores them."""
        return {
            name: {factor: value.detach() for factor, value in factors.items()}
            for name, factors in self.grouped().items()
        }

    def _change(self, factors: Mapping[str, Tensor]) -> Tensor:
        if "delta" in factors:
            return factors["delta"]
        scale = self.alpha / self.rank
        if "lora_a" in factors:
            return scale * (factors["lora_b"] @ factors["lora_a"])
        return scale * torch.einsum("or,r...->o...", factors["up"], factors["down"])


class AdapterFactors(Adapter):
    """LoRA: the trainable factors of one adapter for one network.

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

    variant = "lora"

    def __init__(
        self,
        network: nn.Module,
        *,
        rank: int = 4,
        alpha: float | None = None,
        mode: str = "compact",
        vectors: bool = False,
    ) -> None:
        super().__init__(rank=rank, alpha=alpha, mode=mode)
        self.factors = nn.ParameterDict()
        for name, layer in layers(network):
            for factor, value in fresh_factors(layer, name, rank, mode).items():
                self.factors[key(name, factor)] = nn.Parameter(value)
        if vectors:
            for name, value in vectors_of(network):
                self.factors[key(name, "delta")] = nn.Parameter(torch.zeros_like(value))

    def grouped(self) -> dict[str, dict[str, Tensor]]:
        return by_weight(self.factors)


def layers(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d | nn.Linear]]:
    """Every convolution and linear layer with the name of its weight."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            yield f"{name}.weight", module


def fresh_factors(layer: nn.Conv2d | nn.Linear, name: str, rank: int, mode: str) -> dict[str, Tensor]:
    """New factors for one layer, or none where the mode leaves the layer alone."""
    out, inside, *kernel = layer.weight.shape
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    if mode == "loralib" and kernel:
        side = kernel[0]
        down = kaiming(rank * side, inside * groups * side)
        return {"lora_a": down, "lora_b": torch.zeros(out // groups * side, rank * side)}
    if not is_chosen(layer, name, mode):
        return {}
    if groups > 1:
        return {"delta": torch.zeros_like(layer.weight)}
    return {"down": kaiming(rank, inside, *kernel), "up": torch.zeros(out, rank)}


def vectors_of(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every parameter that is a vector, whatever its number of axes."""
    for name, value in network.named_parameters():
        if value.numel() == max(value.shape, default=0):
            yield name, value


def is_chosen(layer: nn.Conv2d | nn.Linear, name: str, mode: str) -> bool:
    """Whether a mode changes a layer."""
    is_grouped = isinstance(layer, nn.Conv2d) and layer.groups > 1
    if mode == "attention_only":
        return any(word in name for word in _ATTENTION)
    return not (mode == "pointwise_only" and is_grouped)


def kaiming(*shape: int) -> Tensor:
    """Uniform within 1 / sqrt(inputs), the usual start of a layer."""
    tensor = torch.empty(shape)
    nn.init.kaiming_uniform_(tensor, a=math.sqrt(5))
    return tensor


def by_weight(factors: nn.ParameterDict) -> dict[str, dict[str, Tensor]]:
    """Parameters under the keys of `key`, by weight and factor."""
    grouped: dict[str, dict[str, Tensor]] = {}
    for joined, value in factors.items():
        name, factor = _unkey(joined)
        grouped.setdefault(name, {})[factor] = value
    return grouped


def key(name: str, factor: str) -> str:
    """`ParameterDict` keys may not hold dots."""
    return f"{name}/{factor}".replace(".", "|")


def _unkey(joined: str) -> tuple[str, str]:
    name, factor = joined.replace("|", ".").rsplit("/", 1)
    return name, factor
