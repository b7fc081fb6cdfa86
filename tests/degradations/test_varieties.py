"""Varieties: other ways to draw the same phenomenon."""

import pytest
import torch

from unveil.degradations import DEGRADATIONS, Haze, Rain
from unveil.degradations.haze import depth_of
from unveil.degradations.shake import Shake
from unveil.degradations.varieties import VARIETIES

EACH = pytest.mark.parametrize(
    "degradation",
    [degradation for group in VARIETIES.values() for degradation in group[1:]],
    ids=[f"{name}-{index}" for name, group in VARIETIES.items() for index in range(1, len(group))],
)


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def test_every_degradation_has_its_plain_generator_first():
    assert list(VARIETIES) == list(DEGRADATIONS)
    for name, group in VARIETIES.items():
        assert all(degradation.name == name for degradation in group)
    images = torch.rand(4, 3, 72, 80, generator=seeded())
    for name, group in VARIETIES.items():
        assert torch.equal(group[0](images, 0.6, seeded()), DEGRADATIONS[name](images, 0.6, seeded()))


@EACH
def test_varieties_obey_the_rules_of_degradations(degradation, scene):
    images = scene(4, 80, 72)
    degraded = degradation(images, torch.tensor([0.0, 0.3, 0.6, 1.0]), seeded())
    assert torch.equal(degraded[0], images[0])
    assert degraded.min() >= 0
    assert degraded.max() <= 1
    assert all(not torch.equal(degraded[index], images[index]) for index in (1, 2, 3))
    assert torch.equal(degradation(images, 0.7, seeded()), degradation(images, 0.7, seeded()))
    tiny = degradation(torch.rand(1, 3, 5, 2), 0.8, seeded())
    assert tiny.isfinite().all()


def test_fine_rain_is_fainter_and_shorter():
    drawn = [rain.draw((64, 3, 32, 32), torch.ones(64), seeded()) for rain in VARIETIES["rain"][:2]]
    for name in ("length", "width", "opacity"):
        assert drawn[1][name].mean() < drawn[0][name].mean()
    assert drawn[1]["length"].max() <= 26


def test_every_other_blur_is_mostly_round_and_soft():
    drawn = VARIETIES["blur"][1].draw((400, 3, 16, 16), torch.ones(400), seeded())
    gaussian = drawn["kind"] == 1
    assert gaussian.float().mean() > 0.6
    assert drawn["ratio"][gaussian].min() >= 0.85


def spots(height=65, width=65):
    """Single bright pixels on black: in the middle, and near the right border."""
    images = torch.zeros(1, 3, height, width)
    images[..., height // 2, width // 2] = 1
    images[..., height // 2, width - 12] = 1
    return images


def centroid(picture):
    total = picture.sum()
    down = (picture.sum(1) * torch.arange(picture.shape[0])).sum() / total
    right = (picture.sum(0) * torch.arange(picture.shape[1])).sum() / total
    return down.item(), right.item()


def shaken(turns, *, severity=0.5, **changed):
    shake = Shake(turns=turns)
    drawn = shake.draw((1, 3, 65, 65), torch.full((1,), severity), seeded(5))
    drawn |= {"centre": torch.tensor([[-0.8, 0.0]]), **changed}
    return shake.apply(spots(), torch.full((1,), severity), drawn)[0, 0]


def test_a_camera_that_only_moves_blurs_alike_everywhere_and_about_the_same_place():
    blurred = shaken(0.0, is_light=torch.tensor([False]))
    first, second = blurred[:, :43], blurred[:, 43:]
    torch.testing.assert_close(first.sum(), second.sum(), atol=1e-4, rtol=0)
    assert centroid(first) == pytest.approx((32, 32), abs=0.1)
    assert centroid(second) == pytest.approx((32, 10), abs=0.1)
    torch.testing.assert_close(first[20:45, 24:41], blurred[20:45, 45:62], atol=1e-4, rtol=0)


def test_a_camera_that_turns_blurs_more_far_from_the_centre():
    """No movement, only a turn about a place left of the picture: the farther pixel has the longer trace."""
    path = torch.zeros(1, 17, 4)
    path[0, :, 2] = torch.linspace(-1, 1, 17)
    blurred = shaken(1.0, severity=1.0, path=path, is_light=torch.tensor([False]))
    near, far = ((half > 1e-3).any(1).sum().item() for half in (blurred[:, :43], blurred[:, 43:]))
    assert far > near > 1


def test_light_that_adds_up_leaves_bright_traces():
    plain, light = (shaken(0.0, is_light=torch.tensor([chosen])) for chosen in (False, True))
    assert light.max() > 1.5 * plain.max()
    torch.testing.assert_close((light**2.2).sum(), plain.sum(), atol=1e-3, rtol=0)


def test_an_even_picture_stays_as_it_is_when_shaken():
    images = torch.full((8, 3, 24, 40), 0.4)
    torch.testing.assert_close(Shake()(images, 1.0, seeded()), images, atol=1e-5, rtol=0)


def test_depth_follows_edges_where_asked():
    """Left black, right white: smooth depth knows nothing of that edge, guided depth does."""
    images = torch.zeros(8, 3, 128, 128)
    images[..., 64:] = 1.0
    severity = torch.full((8,), 0.6)
    guided = Haze(guided=1.0)
    drawn = guided.draw((8, 3, 128, 128), severity, seeded())
    plain = {key: value for key, value in drawn.items() if key != "is_guided"}
    steps = []
    for chance in (drawn, plain):
        hazy = guided.apply(images, severity, {**chance, "airlight": torch.full((8, 3), 0.5)})
        through = (hazy - 0.5).abs() * 2
        steps.append((through[..., 64] - through[..., 63]).abs().mean())
    assert steps[0] > 5 * steps[1]


def test_flat_haze_is_as_thick_everywhere():
    drawn = Haze(flat=1.0).draw((16, 3, 64, 64), torch.ones(16), seeded())
    plain = Haze().draw((16, 3, 64, 64), torch.ones(16), seeded())
    assert depth_of(drawn, 64, 64).std((1, 2, 3)).max() < 0.5 * depth_of(plain, 64, 64).std((1, 2, 3)).mean()


def test_plain_rain_keeps_its_seeded_meaning():
    """The figures of the tables were measured on it."""
    drawn = Rain().draw((1, 3, 16, 16), torch.ones(1), seeded(0))
    assert drawn["length"].tolist()[0] == pytest.approx([42.8956, 36.4767, 39.0493], abs=1e-3)
