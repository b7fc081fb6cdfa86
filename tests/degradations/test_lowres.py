"""Low resolution, against what it must do by definition."""

import pytest
import torch

from unveil.degradations import LowRes
from unveil.errors import InvalidRequest


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def drawn(**given):
    plain = {"by_area": False, "is_linear": False, "is_repeated": False, "down": 0.0, "right": 0.0, **given}
    return {name: torch.tensor([value]) for name, value in plain.items()}


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_areas_repeated_are_the_mean_of_blocks(factor):
    images = torch.rand(1, 3, 24, 36, generator=seeded())
    severity = torch.tensor([LowRes.severity_of(factor)])
    found = LowRes().apply(images, severity, drawn(by_area=True, is_repeated=True))
    blocks = torch.nn.functional.avg_pool2d(images, factor)
    expected = blocks.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    assert torch.allclose(found, expected, atol=1e-5)


def test_cubic_enlarging_agrees_with_pillow():
    """Pillow's bicubic filter has the same a; away from the border, where the two differ, so do the results."""
    from PIL import Image

    small = torch.rand(12, 12, generator=seeded())
    large = Image.fromarray(small.numpy(), mode="F").resize((24, 24), Image.Resampling.BICUBIC)
    blocks = small.repeat_interleave(2, -1).repeat_interleave(2, -2)[None, None]
    # The mean of blocks gives the small picture back, which is then enlarged.
    found = LowRes().degrade(blocks, torch.tensor([1 / 3]), drawn(by_area=True))
    expected = torch.frombuffer(bytearray(large.tobytes()), dtype=torch.float32).view(24, 24)
    assert torch.allclose(found[0, 0, 4:-4, 4:-4], expected[4:-4, 4:-4], atol=1e-5)


@pytest.mark.parametrize("kind", [{}, {"is_linear": True}, {"is_repeated": True}], ids=["cubic", "linear", "repeated"])
@pytest.mark.parametrize("shift", [-0.49, 0.0, 0.37])
def test_flat_pictures_and_means_stay(kind, shift):
    severities = torch.tensor([0.1, 0.33, 0.61, 1.0])
    given = {name: value.expand(4) for name, value in drawn(down=shift, right=-shift, **kind).items()}
    flat = torch.full((4, 3, 33, 50), 0.4)
    assert torch.allclose(LowRes().apply(flat, severities, given), flat, atol=1e-5)
    ramp = torch.linspace(0.1, 0.9, 50).expand(4, 3, 33, 50)
    assert torch.allclose(LowRes().apply(ramp, severities, given).mean((1, 2, 3)), ramp.mean((1, 2, 3)), atol=0.02)


def test_fine_detail_goes_and_coarse_detail_stays():
    columns = torch.arange(96)
    fine, coarse = (0.5 + 0.4 * torch.sin(2 * torch.pi * columns / period) for period in (2.7, 40.0))
    images = torch.stack([fine, coarse])[:, None, None].expand(2, 3, 96, 96).contiguous()
    found = LowRes(repeated=0.0).apply(images, torch.ones(2), {k: v.expand(2) for k, v in drawn().items()})
    inside = found[..., 8:-8, 8:-8].std((1, 2, 3)) / images[..., 8:-8, 8:-8].std((1, 2, 3))
    assert inside[0] < 0.1
    assert inside[1] > 0.9


def test_severity_of_a_factor():
    assert [LowRes.severity_of(factor) for factor in (1, 2, 4)] == pytest.approx([0, 1 / 3, 1])
    with pytest.raises(InvalidRequest, match="factor 5"):
        LowRes.severity_of(5)
    with pytest.raises(InvalidRequest, match="areas=2"):
        LowRes(areas=2)
