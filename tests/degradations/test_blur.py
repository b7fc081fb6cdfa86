import pytest
import torch

from unveil.degradations import Blur
from unveil.degradations.convolution import blurred, reflected
from unveil.errors import InvalidRequest

KINDS = pytest.mark.parametrize("kind", ["motion", "gaussian", "disc"])


def only(kind, **options):
    return Blur(**{"motion": 0.0, "gaussian": 0.0, "disc": 0.0, kind: 1.0}, **options)


def kernels_of(blur, severity, batch=32):
    severities = torch.full((batch,), severity)
    drawn = blur.draw((batch, 3, 8, 8), severities, torch.Generator().manual_seed(2))
    return blur.kernels(severities, drawn)


@KINDS
@pytest.mark.parametrize("severity", [0.05, 0.4, 1.0])
def test_kernels_are_normalised_and_centred(kind, severity):
    kernels = kernels_of(only(kind), severity)
    place = torch.arange(41.0) - 20
    assert (kernels >= 0).all()
    assert torch.allclose(kernels.sum((1, 2)), torch.ones(32), atol=1e-5)
    assert (kernels.sum(2) @ place).abs().max() < 1e-3
    assert (kernels.sum(1) @ place).abs().max() < 1e-3


def test_gaussian_has_the_sigma_asked_for():
    kernels = kernels_of(only("gaussian", stretch=1.0), Blur.severity_of(1.6))
    place = torch.arange(41.0) - 20
    assert torch.allclose((kernels.sum(2) @ place**2).sqrt(), torch.tensor(1.6), atol=0.01)
    assert torch.allclose((kernels.sum(1) @ place**2).sqrt(), torch.tensor(1.6), atol=0.01)


def test_longest_motion_fills_the_kernel():
    kernels = kernels_of(only("motion", lines=1.0), 1.0)
    rows, columns = (kernels.sum(axis) > 1e-6 for axis in (2, 1))
    extent = torch.maximum(rows.sum(1), columns.sum(1))
    assert extent.max() == 41
    assert extent.min() >= 29  # a diagonal line


@KINDS
def test_mean_of_the_picture_is_kept(kind, scene):
    images = scene(4, 128, 128)
    change = only(kind)(images, 0.7, torch.Generator().manual_seed(2)).mean((2, 3)) - images.mean((2, 3))
    assert change.abs().max() < 0.02


@KINDS
def test_picture_is_not_shifted(kind):
    images = torch.zeros(6, 1, 81, 81)
    images[..., 40, 40] = 1
    spot = only(kind)(images, 0.8, torch.Generator().manual_seed(2))[:, 0]
    place = torch.arange(81.0) - 40
    assert (spot.sum(2) @ place).abs().max() < 0.01
    assert (spot.sum(1) @ place).abs().max() < 0.01


def test_fourier_convolution_equals_the_plain_one(scene):
    images = scene(3, 37, 53)
    kernels = torch.rand(3, 41, 41, generator=torch.Generator().manual_seed(2))
    kernels /= kernels.sum((1, 2), keepdim=True)
    padded = torch.nn.functional.pad(images, (20, 20, 20, 20), mode="reflect")
    plain = torch.cat(
        [
            torch.nn.functional.conv2d(padded[i : i + 1].transpose(0, 1), kernels[i : i + 1, None].flip((2, 3)))
            for i in range(3)
        ],
        1,
    ).transpose(0, 1)
    assert torch.allclose(blurred(images, kernels), plain, atol=1e-5)


def test_reflection_goes_back_and_forth_on_tiny_pictures():
    line = torch.tensor([[1.0, 2.0, 3.0]])[None, None]
    assert reflected(line, 5, 11, 12)[0, 0, 0].tolist() == [2, 1, 2, 3, 2, 1, 2, 3, 2, 1, 2, 3]


def test_shares_choose_the_kinds():
    drawn = Blur(motion=2, gaussian=1, disc=1).draw((4000, 3, 1, 1), torch.ones(4000), torch.Generator().manual_seed(2))
    counts = drawn["kind"].bincount(minlength=3) / 4000
    assert torch.allclose(counts, torch.tensor([0.5, 0.25, 0.25]), atol=0.03)


def test_impossible_shares_are_refused():
    with pytest.raises(InvalidRequest, match="expected none negative"):
        Blur(motion=0, gaussian=0, disc=0)
