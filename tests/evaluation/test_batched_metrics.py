"""Batched metrics on tensors equal those on arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from unveil.errors import InvalidRequest
from unveil.evaluation.batched import scores
from unveil.metrics import protocol


def batch(count: int = 3, height: int = 37, width: int = 52) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    truths = torch.rand((count, 3, height // 4, width // 4), generator=generator)
    truths = torch.nn.functional.interpolate(truths, (height, width), mode="bilinear")
    sigma = torch.tensor([0.01, 0.1, 0.4])[:count].view(-1, 1, 1, 1)
    # Beyond 0..1 on purpose: both clip.
    return truths + sigma * torch.randn(truths.shape, generator=generator), truths


@pytest.mark.parametrize("name", ["rgb", "rgb8", "y", "rgb:3", "rgb8:4", "y:2"])
def test_every_picture_of_a_batch_scores_as_its_array(name):
    pictures, truths = batch()
    psnr, ssim = scores(pictures, truths, by=protocol(name))
    for place in range(len(pictures)):
        one, other = (values[place].permute(1, 2, 0).numpy() for values in (pictures, truths))
        expected = protocol(name).score(one, other)
        assert float(psnr[place]) == pytest.approx(expected.psnr, abs=1e-6)
        assert float(ssim[place]) == pytest.approx(expected.ssim, abs=1e-8)


def test_equal_pictures_are_infinitely_close():
    _, truths = batch()
    psnr, ssim = scores(truths, truths, by=protocol("rgb"))
    assert all(math.isinf(value) and value > 0 for value in psnr.tolist())
    assert np.allclose(ssim.numpy(), 1)


def test_what_cannot_be_compared_is_refused():
    pictures, truths = batch()
    with pytest.raises(InvalidRequest, match="cannot compare"):
        scores(pictures, truths[:2], by=protocol("rgb"))
    with pytest.raises(InvalidRequest, match="at least 11"):
        scores(pictures[..., :10], truths[..., :10], by=protocol("rgb8"))
    with pytest.raises(InvalidRequest, match="three channels; found 1"):
        scores(pictures[:, :1], truths[:, :1], by=protocol("y"))
