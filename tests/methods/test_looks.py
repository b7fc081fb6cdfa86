"""Looks and careful handling: what must not pass for damage."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from unveil.methods.abair.looks import handle, look  # noqa: E402


def photograph(batch: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.nn.functional.interpolate(torch.rand(batch, 3, 6, 6, generator=generator), (48, 48), mode="bilinear")


def test_looks_differ_stay_in_range_and_spare_some() -> None:
    images = photograph(80)
    kept = images.clone()
    looked = look(images, torch.Generator().manual_seed(1))
    assert torch.equal(images, kept)
    assert looked.min() >= 0
    assert looked.max() <= 1
    spared = (looked == images).flatten(1).all(1).float().mean()
    assert 0.1 < spared < 0.5


def test_looks_depend_on_the_seed_alone() -> None:
    images = photograph(6)
    first, second, other = (look(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_looks_change_neither_brightness_nor_contrast_beyond_a_mild_measure() -> None:
    images = photograph(200)
    looked = look(images, torch.Generator().manual_seed(3))
    brightness = looked.mean((1, 2, 3)) / images.mean((1, 2, 3))
    contrast = looked.std((1, 2, 3)) / images.std((1, 2, 3))
    assert brightness.min() > 0.55
    assert brightness.max() < 1.5
    assert contrast.min() > 0.45
    assert contrast.max() < 1.8
    assert contrast.std() > 0.05


def test_handling_leaves_out_who_is_not_chosen_and_hardly_harms_the_others() -> None:
    images = photograph(40)
    chosen = torch.arange(40) < 30
    handled = handle(images, chosen, torch.Generator().manual_seed(1))
    assert torch.equal(handled[30:], images[30:])
    assert not torch.equal(handled[:30], images[:30])
    assert (handled - images).square().mean((1, 2, 3)).max() < 10 ** (-3.3)
