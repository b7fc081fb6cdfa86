import io

import numpy as np
import pytest
import torch
from PIL import Image

from unveil.degradations import Jpeg
from unveil.degradations.jpeg import quality_of


def psnr(image, reference):
    return -10 * np.log10(np.mean((image - reference) ** 2))


def by_pillow(pixels, quality, subsampling):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file)).astype(np.float32) / 255


@pytest.mark.parametrize("size", [(64, 80), (61, 75)])
@pytest.mark.parametrize("is_half", [False, True], ids=["444", "420"])
@pytest.mark.parametrize("quality", [5, 10, 20, 40, 80])
def test_agrees_with_libjpeg(scene, quality, is_half, size):
    images = scene(1, *size)
    clean = images[0].permute(1, 2, 0).numpy()
    theirs = by_pillow((clean * 255).round().astype(np.uint8), quality, 2 if is_half else 0)
    jpeg = Jpeg(subsampling=float(is_half), aligned=True)
    severity = torch.tensor([Jpeg.severity_of(quality)])
    drawn = jpeg.draw((1, 3, *size), severity, torch.Generator())
    filed = jpeg.apply(images, severity, drawn)[0].permute(1, 2, 0).numpy()
    assert np.array_equal(filed, theirs)
    ours = jpeg.compute(images, severity, drawn)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - theirs).mean() < 1 / 255
    assert psnr(ours, clean) == pytest.approx(psnr(theirs, clean), abs=0.2)


@pytest.mark.parametrize("quality", [10, 40])
def test_grey_agrees_with_libjpeg(scene, quality):
    images = scene(1)[:, :1]
    theirs = by_pillow((images[0, 0].numpy() * 255).round().astype(np.uint8), quality, 0)
    severity, drawn = torch.tensor([Jpeg.severity_of(quality)]), {"is_half": torch.tensor([True])}
    drawn["corner"] = torch.zeros(1, 2, dtype=torch.long)
    assert np.array_equal(Jpeg(aligned=True).apply(images, severity, drawn)[0, 0].numpy(), theirs)
    ours = Jpeg(aligned=True).compute(images, severity, drawn)[0, 0].numpy()
    assert np.abs(ours - theirs).mean() < 0.5 / 255


def test_crop_equals_crop_of_the_larger_file(scene):
    jpeg = Jpeg(subsampling=0, aligned=False)
    whole = scene(1, 96, 96)
    drawn = {"is_half": torch.tensor([False]), "corner": torch.tensor([[5, 3]])}
    ours = jpeg.apply(whole[..., 5:61, 3:59], torch.tensor([0.8]), drawn)
    theirs = Jpeg(subsampling=0, aligned=True)(whole, 0.8, torch.Generator())[..., 5:61, 3:59]
    # Blocks that lie wholly inside the crop see the same pixels.
    assert torch.allclose(ours[..., 3:51, 5:53], theirs[..., 3:51, 5:53], atol=1e-5)


def test_files_and_arithmetic_do_the_same_to_parts_of_pictures(scene):
    images, severity = scene(24, 90, 77), torch.linspace(0.1, 1, 24)
    drawn = Jpeg(subsampling=0.5).draw((24, 3, 90, 77), severity, torch.Generator().manual_seed(3))
    filed, computed = Jpeg().apply(images, severity, drawn), Jpeg().compute(images, severity, drawn)
    assert (filed - computed).abs().mean() < 1e-3
    damage = [(made - images).square().mean((1, 2, 3)) for made in (filed, computed)]
    assert torch.allclose(damage[0], damage[1], rtol=0.05)


def test_block_grid_starts_anywhere():
    drawn = Jpeg(subsampling=0.5).draw((4000, 3, 8, 8), torch.ones(4000), torch.Generator().manual_seed(1))
    assert drawn["corner"][drawn["is_half"]].unique().tolist() == list(range(16))
    assert drawn["corner"][~drawn["is_half"]].unique().tolist() == list(range(8))


def test_severity_and_quality_agree():
    severities = torch.tensor([Jpeg.severity_of(quality) for quality in range(5, 95)])
    assert quality_of(severities).tolist() == list(range(5, 95))
