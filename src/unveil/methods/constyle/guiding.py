"""Any U-Net under ConStyle's encoder: `guide(network, encoder)`. The published guided networks are in `backbones`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from unveil import networks
from unveil.errors import InvalidRequest, UnknownNetwork
from unveil.methods.constyle.encoder import MAPS, QUERY, SLOPE, Encoder
from unveil.methods.constyle.guidance import Steered, silence
from unveil.methods.constyle.sites import SCALES, Site, Sites, find_sites
from unveil.networks.base import CodedNetwork, Mismatch, Network, Shapes

DEFAULT_MULTIPLE = 32
"""What sides are extended to multiples of, for a network that does not say."""


class Present:
    """What the encoder says of the pictures that are being restored, shared by all that act on it."""

    __slots__ = ("maps", "query", "waiting")

    def __init__(self) -> None:
        self.maps: Sequence[Tensor] = ()
        self.query: Tensor | None = None
        self.waiting: set[str] = set()


class Join(nn.Module):
    """Appends a projected map to features and mixes both to as many channels as before (DC of ConStyle v2).

    It starts as the identity, so that a trained network goes on from what it can do; this and the mixing are ours,
    since the widths of a given network cannot grow.
    """

    def __init__(self, site: Site, added: int, present: Present) -> None:
        super().__init__()
        self.site, self.present = site, present
        self.affine = nn.Sequential(
            nn.Conv2d(MAPS[SCALES.index(site.scale)], added, 1, bias=False), nn.LeakyReLU(SLOPE)
        )
        self.mix = nn.Conv2d(site.channels + added, site.channels, 1, bias=False)
        nn.init.zeros_(self.mix.weight)
        nn.init.eye_(self.mix.weight[:, : site.channels, 0, 0].data)

    def forward(self, features: Tensor, seen: Tensor) -> Tensor:
        """`B C H W`, or `B H W C` where the site is so, and a map `B M H W` -> features of the same shape."""
        x = features.permute(0, 3, 1, 2) if self.site.last else features
        x = self.mix(torch.cat((x, self.affine(seen)), 1))
        return x.permute(0, 2, 3, 1) if self.site.last else x

    def enter(self, module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The hook in front of the site's module; of several calls in one pass the first counts."""
        if self.site.module not in self.present.waiting:
            return None
        self.present.waiting.discard(self.site.module)
        return (self(given[0], self.present.maps[SCALES.index(self.site.scale)]), *given[1:])


class Gate(nn.Module):
    """Appends features times a linear function of the query and mixes both; it starts as the identity (ours)."""

    def __init__(self, site: Site, present: Present) -> None:
        super().__init__()
        self.site, self.present = site, present
        self.gate = nn.Linear(QUERY, site.channels)
        self.mix = nn.Conv2d(2 * site.channels, site.channels, 1, bias=False)
        nn.init.zeros_(self.mix.weight)
        nn.init.eye_(self.mix.weight[:, : site.channels, 0, 0].data)

    def forward(self, features: Tensor, query: Tensor) -> Tensor:
        """`B C H W`, or `B H W C` where the site is so, and queries `B 128` -> features of the same shape."""
        x = features.permute(0, 3, 1, 2) if self.site.last else features
        x = self.mix(torch.cat((x, x * self.gate(query)[..., None, None]), 1))
        return x.permute(0, 2, 3, 1) if self.site.last else x

    def leave(self, module: nn.Module, given: tuple[Any, ...], result: Any) -> Any:
        """The hook behind the site's module."""
        query = self.present.query
        if query is None or "" not in self.present.waiting:
            return None
        self.present.waiting.discard("")
        return self(result, query)


class GuidedAny(Steered):
    """Another network with ConStyle's encoder inside, which acts on features as they pass by.

    Args:
        network: `B 3 H W` -> the same shape; one of ours or any module.
        sites: where the encoder acts.
        encoder: that guides; a fresh one by default.
        added: channels that each map is projected to; half of those at the first site by default (ours).
        size_multiple: what the network needs its sides to be multiples of; 32 if it does not say.

    Shapes: `B 3 H W` -> `B 3 H W`, any size.
    """

    def __init__(
        self,
        network: nn.Module,
        sites: Sites,
        *,
        encoder: Encoder | None = None,
        added: int | None = None,
        size_multiple: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder = Encoder()
        if encoder is not None:
            state = {name: value for name, value in encoder.state_dict().items() if not name.startswith("classifier.")}
            self.encoder.load_state_dict(state)
        self.network = network
        self.sites = sites
        needed = size_multiple or int(getattr(network, "size_multiple", DEFAULT_MULTIPLE))
        self.size_multiple = math.lcm(needed, SCALES[-1])
        if isinstance(network, Network):
            self.features, self.square, self.filling = network.features, network.square, network.filling
        self._present = Present()
        width = added or max(1, sites.maps[0].channels // 2)
        self.joins = nn.ModuleList(Join(site, width, self._present) for site in sites.maps)
        self.gate = Gate(sites.bottleneck, self._present)
        for join in self.joins:
            assert isinstance(join, Join)
            # Bound methods, not closures: a copy of the network then hooks on to its own joins.
            network.get_submodule(join.site.module).register_forward_pre_hook(join.enter)
        network.get_submodule(sites.bottleneck.module).register_forward_hook(self.gate.leave)

    @classmethod
    def build(cls, *, of: dict[str, Any] | None = None, added: int | None = None, **config: Any) -> Self:
        """Around a network of the table: `of` has its name and sizes; the vanilla CNN by default."""
        if config:
            raise TypeError(f"unexpected {', '.join(config)}; sizes of the network stand below 'of'")
        sizes = dict(of or {"name": "conv"})
        inner = networks.build(sizes.pop("name", ""), **sizes)
        return cls(inner, _found(inner), added=added)

    @classmethod
    def read_sizes(cls, shapes: Shapes) -> dict[str, Any]:
        inner = {name.removeprefix("network."): shape for name, shape in shapes.items() if name.startswith("network.")}
        try:
            found = networks.recognise({name: torch.empty(shape, device="meta") for name, shape in inner.items()})
        except UnknownNetwork as error:
            raise Mismatch(str(error)) from None
        return {"of": {"name": found.name, **found.config}, "added": shapes["joins.0.affine.0.weight"][0]}

    def official(self, name: str) -> str:
        inner = name.removeprefix("network.")
        if inner == name or not isinstance(self.network, Network):
            return name
        return f"network.{self.network.official(inner)}"

    def idle(self) -> tuple[str, ...]:
        inner = self.network.idle() if isinstance(self.network, Network) else ()
        return tuple(f"network.{name}" for name in inner)

    @torch.no_grad()
    def sever(self, *, maps: bool = False, query: bool = False) -> None:
        if maps:
            silence(*(join.affine for join in self.joins if isinstance(join, Join)))
        if query:
            silence(self.gate.gate)

    def answer(self, image: Tensor, maps: Sequence[Tensor], query: Tensor) -> Tensor:
        with self._under(maps, query):
            return self.network.restore(image) if isinstance(self.network, Network) else self.network(image)

    def encode(self, image: Tensor) -> Tensor:
        """Features that feed the output convolution of a network of ours, under the picture's own code."""
        maps = self.encoder.maps(image)
        with self._under(maps, self.encoder.heads(self.encoder.pool(maps[-1]))[-1]):
            return self._split().encode(image)

    def decode(self, features: Tensor, image: Tensor) -> Tensor:
        return self._split().decode(features, image)

    def _split(self) -> Network:
        if not isinstance(self.network, Network):
            raise InvalidRequest(f"a {type(self.network).__name__} is not split into encode and decode")
        return self.network

    @contextlib.contextmanager
    def _under(self, maps: Sequence[Tensor], query: Tensor) -> Iterator[None]:
        present = self._present
        present.maps, present.query = maps, query
        present.waiting = {"", *(site.module for site in self.sites.maps)}
        try:
            yield
        finally:
            present.maps, present.query, present.waiting = (), None, set()


def guide(
    network: nn.Module,
    encoder: Encoder | None = None,
    *,
    sites: Sequence[str] | None = None,
    bottleneck: str | None = None,
    added: int | None = None,
    size_multiple: int | None = None,
) -> GuidedAny:
    """Put a U-Net under ConStyle's encoder. The network becomes a part of the result and is changed by hooks.

    At first the result does what the network did: what the encoder says is let in by training.

    Args:
        network: `B 3 H W` -> the same shape; one of ours, or any module of PyTorch.
        encoder: that guides: `read_encoder(...)`, or a fresh one to be trained along.
        sites: names of submodules that features of 1/2, 1/4 and 1/8 of the sides enter; found by itself if not given.
        bottleneck: name of the submodule at the lowest resolution that the gate follows; found by itself as well.
        added, size_multiple: as in `GuidedAny`.

    Raises:
        InvalidRequest: the network is no U-Net, has a code of its own already, or does not have these submodules.
    """
    found = _found(network, sites=sites, bottleneck=bottleneck, size_multiple=size_multiple)
    return GuidedAny(network, found, encoder=encoder, added=added, size_multiple=size_multiple)


def _found(
    network: nn.Module,
    *,
    sites: Sequence[str] | None = None,
    bottleneck: str | None = None,
    size_multiple: int | None = None,
) -> Sites:
    if isinstance(network, CodedNetwork):
        raise InvalidRequest(f"a {type(network).__name__} is guided already: it computes a code of its own")
    needed = size_multiple or int(getattr(network, "size_multiple", DEFAULT_MULTIPLE))
    return find_sites(network, multiple=math.lcm(needed, SCALES[-1]), maps=sites, bottleneck=bottleneck)
