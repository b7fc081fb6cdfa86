"""Which network a file of weights belongs to, told from the names and shapes of its tensors alone."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unveil.errors import UnknownNetwork
from unveil.networks.base import Mismatch, Published
from unveil.networks.table import NETWORKS, Entry

logger = logging.getLogger(__name__)

CONTAINERS = ("params", "params_ema", "state_dict", "model", "ema", "network", "net")
PREFIXES = ("module.", "net.", "network.", "model.", "net_g.", "_orig_mod.")
OPTIMISERS = ({"state", "param_groups"}, {"optimizers", "schedulers"}, {"optimizer_states"})

# The momentum encoder and the queue of negatives serve training alone; the tables follow from the geometry.
DROPPED = re.compile(r"(^|\.)encoder_k\.|(^|\.)queue(_ptr)?$|relative_position_index$|attn_mask$|num_batches_tracked$")

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a file of weights was found to be.

    Attributes:
        name: of the network in the table `NETWORKS`.
        config: arguments that build it.
        weights: tensors under the names that our network has.
        container: the entry of the file they were in, `""` where the file is the state itself.
        others: further entries with weights of the same network.
        prefix: what stood before every name.
        dropped: official tensors that restoring does not need.
    """

    name: str
    config: dict[str, Any]
    weights: dict[str, Tensor] = field(repr=False)
    container: str
    others: tuple[str, ...]
    prefix: str
    dropped: tuple[str, ...]

    @property
    def count(self) -> int:
        """Numbers in the weights."""
        return sum(value.numel() for value in self.weights.values())

    def describe(self) -> str:
        """One line for people: name, sizes, and what was done to the file."""
        sizes = ", ".join(f"{key} {_short(value)}" for key, value in self.config.items())
        parts = [f"{self.name} ({sizes})" if sizes else self.name]
        parts.append(f"{len(self.weights)} tensors, {self.count:,} numbers")
        if self.container:
            other = f" (the file also has {', '.join(map(repr, self.others))})" if self.others else ""
            parts.append(f"from {self.container!r}{other}")
        if self.prefix:
            parts.append(f"prefix {self.prefix!r} removed")
        if self.dropped:
            parts.append(f"{len(self.dropped)} tensors dropped that serve training only or are computed anew")
        return "; ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: everything but the weights."""
        return {
            "network": self.name,
            "config": self.config,
            "tensors": len(self.weights),
            "numbers": self.count,
            "container": self.container,
            "prefix": self.prefix,
            "dropped": list(self.dropped),
        }

    def build(self) -> nn.Module:
        """The network with these weights, in evaluation mode."""
        network = NETWORKS[self.name].load().build(**self.config)
        # Not strict: buffers that are constants of the network are in no file. `recognise` has compared the rest.
        network.load_state_dict(self.weights, strict=False)
        return network.eval()


def from_state(state: Mapping[str, Any], *, container: str | None = None) -> nn.Module:
    """The network that a state belongs to, with its weights, in evaluation mode.

    Architecture, form and sizes are told by official tensor names and shapes alone. What was found is logged (INFO);
    `recognise` gives it.

    Args:
        state: official tensor name to tensor or array; prefixes (`module.`, `net.`) and containers (`params`,
            `params_ema`, `state_dict`) are understood.
        container: which container to take; None takes the one that the network's published tests load.

    Raises:
        UnknownNetwork: no network of the table fits; the message lists what was recognised and what is missing.
    """
    found = recognise(state, container=container)
    logger.info("recognised %s", found.describe())
    return found.build()


def recognise(state: Mapping[str, Any], *, container: str | None = None) -> Recognition:
    """What a state is, without building it; arguments and errors as `from_state`."""
    found = _containers(state)
    if container is not None:
        if container not in found:
            raise UnknownNetwork(f"The file has no weights under {container!r}; it has: {_names(found)}.")
        return _match(found[container], container, tuple(name for name in found if name != container))
    first = next(iter(found))
    recognition = _match(found[first], first, tuple(name for name in found if name != first))
    preferred = NETWORKS[recognition.name].load().container
    if preferred in found and preferred != first:
        return _match(found[preferred], preferred, tuple(name for name in found if name != preferred))
    return recognition


def _containers(state: Mapping[str, Any]) -> dict[str, dict[str, Tensor]]:
    """The states in a file, by the name of the entry that holds them; `""` is the file itself."""
    flat = _tensors(state)
    if flat:
        return {"": flat}
    found = {name: _tensors(state[name]) for name in CONTAINERS if isinstance(state.get(name), Mapping)}
    found = {name: tensors for name, tensors in found.items() if tensors}
    if found:
        return found
    if any(keys <= set(state) for keys in OPTIMISERS):
        raise UnknownNetwork(
            "This is the state of an optimiser (what a training run needs to go on), not the weights of a network. "
            "Give the file with the network's weights, usually the larger one beside it (net_g_*.pth, *.ckpt)."
        )
    raise UnknownNetwork(
        f"No tensors were found. The file holds: {_names(state) or 'nothing'}; expected tensors by name, or one of "
        f"{', '.join(CONTAINERS)} holding them."
    )


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if isinstance(value, Tensor):
            found[str(name)] = value.detach()
        elif isinstance(value, np.ndarray):
            found[str(name)] = torch.from_numpy(np.array(value))
    return found


def _match(tensors: dict[str, Tensor], container: str, others: tuple[str, ...]) -> Recognition:
    tensors, prefix = _without_prefix(tensors)
    kept = {name: value for name, value in tensors.items() if not DROPPED.search(name)}
    attempts: list[Attempt] = []
    for name, entry in NETWORKS.items():
        attempt = _attempt(name, entry, kept)
        if attempt is None:
            continue
        if attempt.fits:
            dropped = tuple(sorted((set(tensors) - set(kept)) | set(attempt.superfluous)))
            return Recognition(name, attempt.config, attempt.weights, container, others, prefix, dropped)
        attempts.append(attempt)
    raise UnknownNetwork(_complaint(attempts, kept))


@dataclass(frozen=True, slots=True)
class Attempt:
    """How well one network of the table fits a state."""

    name: str
    config: dict[str, Any]
    weights: dict[str, Tensor]
    matching: int
    missing: tuple[str, ...]
    foreign: tuple[str, ...]
    reshaped: tuple[str, ...]
    superfluous: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return not (self.missing or self.foreign or self.reshaped)


def _attempt(name: str, entry: Entry, tensors: dict[str, Tensor]) -> Attempt | None:
    """Read the sizes of one network off a state, build it without memory and compare; None if its marks are absent."""
    if any(mark not in tensors for mark in entry.marks):
        return None
    network = entry.load()
    superfluous = tuple(key for key in tensors if re.search(network.superfluous, key))
    kept = {key: value for key, value in tensors.items() if key not in superfluous}
    try:
        config = network.read_sizes({key: tuple(value.shape) for key, value in kept.items()})
        with torch.device("meta"):
            built = network.build(**config)
        ours = {built.official(key): key for key in built.state_dict()}
        expected = {key: tuple(value.shape) for key, value in official_state(built).items()}
    except Mismatch:
        return None
    except KeyError as error:
        return Attempt(name, {}, {}, 0, (str(error.args[0]),), (), (), superfluous)
    except (ValueError, IndexError, ZeroDivisionError, RuntimeError):
        return None
    fitting = {key: value for key, value in kept.items() if key in expected}
    reshaped = {key: tuple(value.shape) for key, value in fitting.items() if tuple(value.shape) != expected[key]}
    return Attempt(
        name,
        config,
        {ours[key]: value for key, value in fitting.items()},
        len(fitting) - len(reshaped),
        tuple(sorted(key for key in expected if key not in kept)),
        tuple(sorted(key for key in kept if key not in expected)),
        tuple(f"{key} is {shape}, expected {expected[key]}" for key, shape in reshaped.items()),
        superfluous,
    )


def official_state(network: Published) -> dict[str, Tensor]:
    """The weights of a network under the names of its official implementation.

    Buffers that follow from the geometry are left out, as `from_state` does not ask for them; `Published.geometry` has
    those.
    """
    return {network.official(name): value for name, value in network.state_dict().items() if value.is_floating_point()}


def _without_prefix(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Remove what wrappers put before every name, one wrapper after the other."""
    removed = ""
    while True:
        prefix = next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in tensors)), None)
        if prefix is None or not tensors:
            return tensors, removed
        removed += prefix
        tensors = {name[len(prefix) :]: value for name, value in tensors.items()}


def _complaint(attempts: list[Attempt], tensors: dict[str, Tensor]) -> str:
    if not attempts:
        return (
            f"These {len(tensors)} tensors ({_names(tensors)}) belong to no network that unveil knows: "
            f"{', '.join(NETWORKS)}. If the network is one of these, the file is incomplete or its names were changed."
        )
    best = max(attempts, key=lambda attempt: attempt.matching)
    looks = f"The tensors look like {best.name}"
    if best.config:
        looks += f" ({', '.join(f'{key} {_short(value)}' for key, value in best.config.items())})"
    parts = [f"{looks}: {best.matching} of them fit"]
    for what, names in (
        ("missing", best.missing),
        ("not part of it", best.foreign),
        ("of another shape", best.reshaped),
    ):
        if names:
            parts.append(f"{what}: {_names(names)}")
    rest = [attempt.name for attempt in attempts if attempt is not best]
    ending = f" The file has tensors of {', '.join(rest)} too; give the weights of one network." if rest else ""
    return "; ".join(parts) + "." + ending


def _names(names: Mapping[str, Any] | tuple[str, ...]) -> str:
    listed = [str(name) for name in names]
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "/".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
