"""The kinds of adapters by name (ABAIR, Table 7)."""

from __future__ import annotations

from torch import nn

from unveil.methods.abair.adapters import Adapter, AdapterFactors
from unveil.methods.abair.conv_lora import ConvLoraFactors
from unveil.methods.abair.vera import VeraFactors

VARIANTS: dict[str, type[AdapterFactors | VeraFactors]] = {
    "lora": AdapterFactors,
    "vera": VeraFactors,
    "conv_lora": ConvLoraFactors,
}


def fresh(
    network: nn.Module,
    *,
    variant: str = "lora",
    rank: int = 4,
    alpha: float | None = None,
    mode: str = "compact",
    vectors: bool = False,
) -> Adapter:
    """A new adapter of a kind for a network, which it does not change.

    Raises:
        ValueError: an unknown kind, a mode that the kind does not have, or a rank below 1.
    """
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r} of adapters; known: {', '.join(VARIANTS)}")
    return VARIANTS[variant](network, rank=rank, alpha=alpha, mode=mode, vectors=vectors)
