import torch

from unveil.degradations import Haze
from unveil.degradations.haze import depth_of


def test_formula_with_a_given_depth_map(scene):
    images = scene(2, 20, 30)
    severity = torch.tensor([0.4, 1.0])
    drawn = Haze().draw((2, 3, 20, 30), severity, torch.Generator().manual_seed(1))
    drawn["depth"] = torch.rand(2, 1, 20, 30, generator=torch.Generator().manual_seed(2))
    drawn["airlight"] = torch.tensor([[0.8, 0.82, 0.85], [0.9, 0.9, 0.95]])
    through = torch.exp(-2.5 * severity.view(2, 1, 1, 1) * drawn["depth"])
    expected = images * through + drawn["airlight"].view(2, 3, 1, 1) * (1 - through)
    assert torch.allclose(Haze().apply(images, severity, drawn), expected, atol=1e-6)


def test_made_up_depth_is_smooth_and_in_range():
    drawn = Haze().draw((16, 3, 96, 128), torch.ones(16), torch.Generator().manual_seed(1))
    depth = depth_of(drawn, 96, 128)
    assert depth.shape == (16, 1, 96, 128)
    assert depth.min() >= 0
    assert depth.max() <= 1
    assert depth.diff(dim=2).abs().max() < 0.06
    assert depth.diff(dim=3).abs().max() < 0.06


def test_the_top_is_farther_than_the_bottom():
    drawn = Haze().draw((64, 3, 48, 48), torch.ones(64), torch.Generator().manual_seed(1))
    depth = depth_of(drawn, 48, 48)
    assert depth[..., :8, :].mean() > depth[..., -8:, :].mean() + 0.2


def test_haze_lowers_contrast(scene):
    images = scene()
    assert Haze()(images, 0.8, torch.Generator().manual_seed(1)).std() < 0.8 * images.std()


def test_airlight_stays_in_its_range():
    drawn = Haze().draw((500, 3, 4, 4), torch.ones(500), torch.Generator().manual_seed(1))
    assert drawn["airlight"].min() >= 0.55
    assert drawn["airlight"].max() <= 1.05
    assert (drawn["airlight"].amax(1) - drawn["airlight"].amin(1)).max() <= 0.1 + 1e-5
