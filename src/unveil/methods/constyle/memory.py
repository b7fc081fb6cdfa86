"""What ConStyle compares a degraded picture with: its clean version, and a queue of earlier degraded ones."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unveil.methods.constyle.averaging import approach
from unveil.methods.constyle.encoder import QUERY, ConStyle, ConStyleV2, Encoder

QUEUE = 65760
"""Codes in the published queue: a multiple of 8, 12, 16, 24, 30, 32 and 96, not of 64."""

MOMENTUM = 0.999
TEMPERATURE = 0.07


@dataclass(frozen=True, slots=True)
class Seen:
    """What an encoder says of a batch: two queries `B 128`, three maps, and logits `B classes` where it has a head."""

    queries: list[Tensor]
    maps: list[Tensor]
    classes: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the losses need of one step.

    Attributes:
        queries: those of the degraded pictures, as the losses take them: two of `B 128`.
        key: second query of the clean pictures, by the momentum encoder: `B 128`, without gradient.
        negatives: the oldest codes but one batch, and the oldest (which were overwritten), `B 128` each, without
            gradient; empty where there is no queue.
        logits: the key's likeness, then the negatives', over the temperature: `B 1+N`. The first is the right one.
        classes: logits of the clean pictures by the momentum encoder's head, `B classes`, without gradient.
    """

    queries: list[Tensor]
    key: Tensor
    negatives: list[Tensor]
    logits: Tensor
    classes: Tensor | None


class Memory(nn.Module):
    """The momentum encoder and the queue (ConStyle, guidelines 1 and 3).

    As in the authors' code, the queue is filled with *queries*, that is codes of degraded pictures, no code is
    normalised, and the momentum moves parameters alone: the key encoder's norms have statistics of their own.

    Args:
        encoder: that learns; the momentum encoder begins as its copy.
        queue: codes that are kept, a multiple of the batch. 0 keeps none, and the negatives are the other degraded
            pictures of the batch (ours, to turn the first guideline off).
        momentum: share that the momentum encoder keeps of itself in each step.
        temperature: of the logits.
        normalised: whether codes are brought to length 1 before anything is compared. Ours: as published they are not,
            and in short runs all of them shrink to nothing, where they are alike.
    """

    queue: Tensor
    pointer: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        queue: int = QUEUE,
        momentum: float = MOMENTUM,
        temperature: float = TEMPERATURE,
        normalised: bool = False,
    ) -> None:
        super().__init__()
        self.key_encoder = deepcopy(encoder).requires_grad_(False)
        self.momentum, self.temperature, self.normalised = momentum, temperature, normalised
        codes = torch.randn(QUERY, queue)
        self.register_buffer("queue", F.normalize(codes, dim=0) if normalised else codes)
        self.register_buffer("pointer", torch.zeros(1, dtype=torch.int64))

    @torch.no_grad()
    def follow(self, encoder: Encoder) -> None:
        """Move the momentum encoder's parameters towards those of the encoder."""
        approach(self.key_encoder.parameters(), encoder.parameters(), 1 - self.momentum)

    def compare(self, seen: Seen, clean: Tensor) -> Comparison:
        """Compare what was seen of degraded pictures with their clean versions `B 3 H W`, and remember it."""
        with torch.no_grad():
            of_clean = look(self.key_encoder, clean)
        queries, key = [code.float() for code in seen.queries], of_clean.queries[1].float()
        if self.normalised:
            queries, key = [F.normalize(code, dim=1) for code in queries], F.normalize(key, dim=1)
        query = queries[1]
        with torch.autocast(query.device.type, enabled=False):
            positive = (query * key).sum(1, keepdim=True)
            if self.queue.shape[1]:
                negative = query @ self.queue.clone()
                negatives = self._remember(query.detach())
            else:
                others = ~torch.eye(len(query), dtype=torch.bool, device=query.device)
                negative = (query @ query.detach().T)[others].view(len(query), -1)
                negatives = []
            logits = torch.cat((positive, negative), 1) / self.temperature
        return Comparison(queries, key, negatives, logits, of_clean.classes)

    def _remember(self, query: Tensor) -> list[Tensor]:
        """Overwrite the oldest codes; gives what comes next in the queue and what was overwritten, `B 128` each."""
        batch, length = len(query), self.queue.shape[1]
        first = int(self.pointer)
        after = (first + batch) % length
        coming = self.queue[:, after : after + batch].T.clone()
        oldest = self.queue[:, first : first + batch].T.clone()
        self.queue[:, first : first + batch] = query.T
        self.pointer[0] = after
        return [coming, oldest]


def look(encoder: nn.Module, image: Tensor) -> Seen:
    """What an encoder of either version says of pictures `B 3 H W`."""
    if isinstance(encoder, ConStyle | ConStyleV2):
        return Seen(*encoder(image))
    # The encoder inside a guided network has no forward pass of its own.
    encoder = cast("Encoder", encoder)
    maps = encoder.maps(image)
    return Seen(encoder.heads(encoder.pool(maps[-1])), maps)
