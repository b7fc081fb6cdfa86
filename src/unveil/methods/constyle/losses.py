"""The losses of both ConStyles, with the signs and the normalisation of the authors' code."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def contrast_loss(logits: Tensor) -> Tensor:
    """InfoNCE: cross entropy against the first of the logits `B 1+N`, the likeness to the clean version."""
    return F.cross_entropy(logits.float(), torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


def content_loss(query: Tensor, key: Tensor) -> Tensor:
    """Mean squared difference of the codes of a degraded picture and its clean version, `B 128` each."""
    return F.mse_loss(query.float(), key.float())


def style_loss(queries: Sequence[Tensor], negatives: Sequence[Tensor]) -> Tensor:
    """*Minus* the distance of the batch's style to that of earlier degraded pictures, over both heads.

    A style is the matrix of products between the *samples* of a batch, over batch times length: `B B`, not between
    channels. The distance is to grow: nothing bounds the loss below, and its weight is small by the normalisation.

    Args:
        queries, negatives: `B L` for each head.
    """
    distances = [
        F.mse_loss(_style(query), _style(negative)) for query, negative in zip(queries, negatives, strict=True)
    ]
    return -(distances[0] + distances[1])


def _style(codes: Tensor) -> Tensor:
    codes = codes.float()
    return codes @ codes.T / codes.numel()


def distillation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """KL divergence of the teacher's classes (clean picture) from the student's (degraded one), mean over the batch.

    Args:
        student, teacher: logits `B classes`.
    """
    student, teacher = student.float(), teacher.float()
    return F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="batchmean")
