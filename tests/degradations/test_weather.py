"""Rain and snow: what falls through the picture."""

import math

import pytest
import torch

from unveil.degradations import Rain, Snow


def test_streaks_run_along_the_drawn_angle():
    rain, severity = Rain(), torch.full((1,), 0.3)
    drawn = rain.draw((1, 3, 128, 128), severity, torch.Generator().manual_seed(1))
    drawn["angle"] = torch.full((1, 3), math.pi / 4)
    mask = rain.streaks(severity, drawn, 128, 128)[0, 0]
    mask = mask - mask.mean()
    # Down and to the right by the same step lies on the same streak; down and to the left does not.
    along = (mask[:-6, :-6] * mask[6:, 6:]).mean()
    across = (mask[:-6, 6:] * mask[6:, :-6]).mean()
    assert along > 3 * across.abs()


@pytest.mark.parametrize(("degradation", "mask"), [(Rain(), "streaks"), (Snow(), "flakes")], ids=["rain", "snow"])
def test_mask_is_sparse_when_light_and_dense_when_heavy(degradation, mask):
    drawn = degradation.draw((8, 3, 96, 96), torch.ones(8), torch.Generator().manual_seed(1))
    light = getattr(degradation, mask)(torch.full((8,), 0.15), drawn, 96, 96)
    heavy = getattr(degradation, mask)(torch.ones(8), drawn, 96, 96)
    assert light.shape == (8, 1, 96, 96)
    assert 0 <= light.min() <= heavy.max() <= 1
    assert (light > 0.1).float().mean() < 0.08
    assert (heavy > 0.1).float().mean() > 0.3


def test_rain_that_only_adds_light_never_darkens(scene):
    images = scene()
    change = Rain(additive=1, downpour=0)(images, 0.9, torch.Generator().manual_seed(1)) - images
    assert change.min() > -1e-5


def test_rain_without_downpour_leaves_pixels_between_streaks(scene):
    images = scene()
    change = (Rain(downpour=0)(images, 0.1, torch.Generator().manual_seed(1)) - images).abs()
    assert (change.amax(1) < 1e-4).float().mean() > 0.8


def test_downpour_veils_the_whole_picture():
    black = torch.zeros(6, 3, 64, 64)
    rainy = Rain(downpour=1)(black, 0.1, torch.Generator().manual_seed(1))
    assert (rainy.amax(1).flatten(1).quantile(0.05, 1) > 0).float().mean() > 0.8


def test_snow_whitens_a_dark_picture():
    dark = torch.full((4, 3, 64, 64), 0.1)
    snowy = Snow()(dark, 0.5, torch.Generator().manual_seed(1))
    assert (snowy >= 0.1 - 1e-5).all()
    assert snowy.amax((1, 2, 3)).min() > 0.5
