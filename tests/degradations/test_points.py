"""Sparse points: their law, and what they are drawn out to, against the plain form with a number in every pixel."""

import pytest
import torch

from unveil.degradations import DEGRADATIONS, Rain, points
from unveil.degradations.points import draw_points, laid, ranks
from unveil.degradations.varieties import VARIETIES

WEATHER = pytest.mark.parametrize("name", ["rain", "snow"])


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def mask_of(degradation, severity, drawn, height, width):
    return (degradation.streaks if degradation.name == "rain" else degradation.flakes)(severity, drawn, height, width)


def densely(drawn, light, kernels, height, width):
    """What a convolution of whole fields gives, pixel by pixel, in double precision."""
    batch, layers, side = kernels.shape[:3]
    fields = torch.zeros(batch, layers, (height + side - 1) * (width + side - 1), dtype=torch.float64)
    for sample, slot in torch.nonzero(light).tolist():
        fields[sample, drawn["layer"][sample, slot], drawn["place"][sample, slot]] = light[sample, slot].double()
    fields = fields.view(1, batch * layers, height + side - 1, width + side - 1)
    turned = kernels.double().flip((-2, -1)).view(batch * layers, 1, side, side)
    laid_down = torch.nn.functional.conv2d(fields, turned, groups=batch * layers)
    return laid_down.view(batch, layers, height, width).sum(1, keepdim=True)


@pytest.mark.parametrize("form", ["laid", "_convolved"])
def test_points_are_drawn_out_as_a_convolution_does(form):
    height, width, side = 33, 40, 9
    kernels = torch.rand(2, 3, side, side, generator=seeded()) * (torch.rand(2, 3, side, side) > 0.4)
    density = torch.tensor([[0.3, 0.01, 0.0], [0.0, 0.1, 0.05]])
    drawn = draw_points(density, torch.full((2, 3), side // 2), (height, width), side, seeded())
    light = ranks(drawn, density).clamp_min(0)
    expected = densely(drawn, light, kernels, height, width)
    found = getattr(points, form)(light, drawn, kernels, height, width)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)


@WEATHER
def test_both_forms_make_the_same_mask(name, monkeypatch):
    for degradation in VARIETIES[name]:
        severity = torch.tensor([0.2, 0.6, 1.0])
        drawn = degradation.draw((3, 3, 50, 61), severity, seeded())
        here = mask_of(degradation, severity, drawn, 50, 61)
        with monkeypatch.context() as patch:
            patch.setattr(points, "_strewn", points._convolved)
            torch.testing.assert_close(here, mask_of(degradation, severity, drawn, 50, 61), atol=2e-5, rtol=0)


def test_every_pixel_is_as_likely_and_holds_one_point_at_most():
    height, width, side, reach = 20, 30, 9, 3
    density = torch.tensor([[0.2, 0.05]]).expand(300, 2)
    drawn = draw_points(density, torch.full((300, 2), reach), (height, width), side, seeded())
    is_point = drawn["number"].isfinite()
    pixels = (height + 2 * reach) * (width + 2 * reach)
    field = torch.zeros(2, (height + side - 1) * (width + side - 1))
    for layer, share in enumerate((0.2, 0.05)):
        mine = is_point & (drawn["layer"] == layer)
        expected = share * pixels
        deviation = (expected * (1 - share)) ** 0.5
        assert mine.sum(1).float().mean() == pytest.approx(expected, abs=4 * deviation / 300**0.5)
        assert mine.sum(1).float().std() == pytest.approx(deviation, rel=0.15)
        for sample in range(20):
            places = drawn["place"][sample, mine[sample]]
            assert len(places.unique()) == len(places)
        field[layer] = drawn["place"][mine].bincount(minlength=field.shape[1]).float() / 300
    field = field.view(2, height + side - 1, width + side - 1)
    margin = side // 2 - reach
    inside = field[:, margin:-margin, margin:-margin]
    assert (inside > 0).sum() == (field > 0).sum()
    for layer, share in enumerate((0.2, 0.05)):
        assert inside[layer].mean().item() == pytest.approx(share, rel=0.03)
        assert inside[layer].std().item() == pytest.approx((share * (1 - share) / 300) ** 0.5, rel=0.15)
    numbers = drawn["number"][is_point]
    assert torch.allclose(torch.histc(numbers, 10, 0, 1) / len(numbers), torch.full((10,), 0.1), atol=0.01)


def test_thinner_points_are_a_part_of_the_denser_ones():
    density = torch.full((40, 1), 0.1)
    drawn = draw_points(density, torch.full((40, 1), 2), (60, 60), 5, seeded())
    dense, thin = ranks(drawn, density) > 0, ranks(drawn, density / 4) > 0
    assert not (thin & ~dense).any()
    assert thin.sum() / dense.sum() == pytest.approx(0.25, abs=0.01)


@WEATHER
def test_masks_have_the_mean_that_the_note_tells(name):
    """Where few overlap, so that the cut at 1 takes nothing away."""
    degradation, severity = DEGRADATIONS[name], torch.full((300,), 0.25)
    mask = mask_of(degradation, severity, degradation.draw((300, 3, 64, 64), severity, seeded()), 64, 64)
    low, span = {"rain": (0.03, 0.37), "snow": (0.02, 0.33)}[name]
    assert mask.mean() == pytest.approx(0.25 * (low + span * 0.25), rel=0.06)


def test_whatever_can_be_seen_of_a_streak_at_the_border_is_there():
    """Rain is as dense in the first rows and columns as in the middle."""
    severity = torch.full((300,), 0.8)
    mask = Rain().streaks(severity, Rain().draw((300, 3, 48, 48), severity, seeded()), 48, 48)
    middle = mask[..., 16:32, 16:32].mean().item()
    for border in (mask[..., :4, :], mask[..., -4:, :], mask[..., :4], mask[..., -4:]):
        assert border.mean() == pytest.approx(middle, rel=0.06)


def test_lights_of_nothing_give_nothing():
    drawn = draw_points(torch.zeros(2, 3), torch.ones(2, 3).long(), (5, 7), 3, seeded())
    assert not ranks(drawn, torch.zeros(2, 3)).gt(0).any()
    assert not laid(torch.zeros(drawn["number"].shape), drawn, torch.ones(2, 3, 3, 3), 5, 7).any()
