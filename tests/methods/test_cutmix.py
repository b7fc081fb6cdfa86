"""Degradation CutMix: regions, labels and targets."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from unveil.degradations import DEGRADATIONS, quantise  # noqa: E402
from unveil.methods.abair.cutmix import DegradationCutMix  # noqa: E402
from unveil.methods.abair.pretraining import SegmentationHead  # noqa: E402


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


CLEAN = quantise(torch.rand(6, 3, 64, 48, generator=torch.Generator().manual_seed(9)))


def test_one_region_fills_the_picture_and_is_labelled() -> None:
    mix = DegradationCutMix({"noise": 1, "blur": 1}, regions=(1.0,))
    degraded, labels = mix(CLEAN, generator())
    for picture, label, clean in zip(degraded, labels, CLEAN, strict=True):
        assert len(label.unique()) == 1
        assert not torch.equal(picture, clean)


def test_clean_regions_stay_exactly_as_they_are() -> None:
    mix = DegradationCutMix({"noise": 1, "clean": 1}, regions=(0.0, 1.0))
    degraded, labels = mix(CLEAN, generator(3))
    untouched = (labels == mix.classes.index("clean"))[:, None].expand_as(degraded)
    assert untouched.any()
    assert torch.equal(degraded[untouched], CLEAN[untouched])
    assert not torch.equal(degraded[~untouched], CLEAN[~untouched])


def test_background_of_a_rectangle_is_the_background_degradation_of_the_whole_picture() -> None:
    """Darkness changes every pixel of these pictures, so a pixel labelled dark differs from the clean one, and a pixel
    labelled clean does not."""
    mix = DegradationCutMix({"dark": 1, "clean": 1}, regions=(0.0, 1.0))
    bright = CLEAN * 0.5 + 0.5
    degraded, labels = mix(quantise(bright), generator(5))
    moved = (degraded != quantise(bright)).any(1)
    assert torch.equal(moved, labels == mix.classes.index("dark"))


def test_each_further_region_is_one_rectangle_within_bounds() -> None:
    mix = DegradationCutMix({"noise": 1, "blur": 1}, regions=(0.0, 1.0), area=(0.1, 0.5))
    _, labels = mix(CLEAN, generator(1))
    for label in labels:
        counts = [int((label == index).sum()) for index in label.unique()]
        rectangle = [index for index in label.unique() if _is_rectangle(label == index)]
        assert rectangle
        assert min(counts) <= 0.55 * label.numel()


def _is_rectangle(mask: torch.Tensor) -> bool:
    rows, columns = mask.any(1), mask.any(0)
    return int(mask.sum()) == int(rows.sum()) * int(columns.sum())


def test_same_seed_gives_the_same_batch_and_another_one_does_not() -> None:
    mix = DegradationCutMix(dict.fromkeys(DEGRADATIONS, 1.0))
    first, second, other = mix(CLEAN, generator(1)), mix(CLEAN, generator(1)), mix(CLEAN, generator(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])


def test_frequencies_are_respected() -> None:
    mix = DegradationCutMix({"noise": 3, "bits": 1}, regions=(1.0,))
    small = CLEAN[:1, :, :8, :8].expand(400, -1, -1, -1)
    _, labels = mix(small, generator())
    assert 0.68 < (labels[:, 0, 0] == 0).float().mean() < 0.82


def test_varieties_are_drawn_where_asked() -> None:
    """Plain rain and the light of deluges differ in the most that a picture can gain."""
    clean = torch.full((256, 3, 32, 32), 0.2)
    plain, various = (
        DegradationCutMix({"rain": 1}, regions=(1.0,), various=various)(clean, generator())[0]
        for various in (False, True)
    )
    assert not torch.equal(plain, various)
    assert various.mean((1, 2, 3)).max() > 1.2 * plain.mean((1, 2, 3)).max()


def test_input_is_not_changed() -> None:
    before = CLEAN.clone()
    DegradationCutMix(dict.fromkeys(DEGRADATIONS, 1.0))(CLEAN, generator())
    assert torch.equal(before, CLEAN)


def test_unknown_degradations_and_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="scratches"):
        DegradationCutMix({"noise": 1, "scratches": 1})
    with pytest.raises(ValueError, match="3 regions"):
        DegradationCutMix({"noise": 1})


def test_head_learns_from_labels_at_the_resolution_of_the_features() -> None:
    head = SegmentationHead(4, 2)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.weight[0, 0, 1, 1], head.weight[1, 0, 1, 1] = -20, 20
    labels = torch.zeros(1, 16, 16, dtype=torch.int64)
    labels[:, 4:12, 4:12] = 1
    features = torch.zeros(1, 4, 8, 8)
    features[:, 0] = labels[:, ::2, ::2] * 2.0 - 1
    assert head.loss(features, labels) < 1e-6
    assert head.loss(-features, labels) > 10


def test_head_of_the_full_baseline_has_the_size_of_the_specification() -> None:
    assert sum(parameter.numel() for parameter in SegmentationHead(96, 5).parameters()) == 4325
