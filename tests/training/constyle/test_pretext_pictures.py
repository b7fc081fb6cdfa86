"""The crops that the encoder of ConStyle v2 is pre-trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from PIL import Image  # noqa: E402

from unveil.data import Photographs  # noqa: E402
from unveil.training.constyle.pictures import PretextBatches, classes_of  # noqa: E402


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Photographs:
    """Pictures whose red is the row, whose green is the column, and whose blue is a class."""
    folder = tmp_path_factory.mktemp("classes")
    for blue, name in ((40, "dogs"), (200, "cats")):
        (folder / name / "deep").mkdir(parents=True)
        pixels = np.empty((90, 120, 3), np.uint8)
        pixels[..., 0], pixels[..., 1] = np.arange(90)[:, None] * 2, np.arange(120) * 2
        pixels[..., 2] = blue
        Image.fromarray(pixels).save(folder / name / "deep" / "one.png")
    return Photographs([folder], shortest=1)


def test_the_class_is_the_first_folder(photographs: Photographs) -> None:
    assert classes_of(photographs) == ([0, 1], ("cats", "dogs"))


def batches(photographs: Photographs, **settings: Any) -> PretextBatches:
    return PretextBatches(photographs, [0, 1], batch=16, patch=32, **{"resize": 64, "snow": 0.0, **settings})


def test_query_and_key_are_other_crops_of_one_picture(photographs: Photographs) -> None:
    queries, keys, classes, spoilt = batches(photographs)(0)
    assert queries.shape == keys.shape == (16, 3, 32, 32)
    assert queries.dtype == torch.uint8
    assert not spoilt.any()
    blue = torch.tensor([200, 40])[classes]
    assert torch.equal(queries[:, 2].flatten(1).float().mean(1).round().long(), blue)
    assert torch.equal(keys[:, 2].flatten(1).float().mean(1).round().long(), blue)
    assert not torch.equal(queries, keys)
    queries, keys, _, _ = batches(photographs, one=True)(0)
    assert torch.equal(queries, keys)


def test_crops_have_the_areas_and_shapes_that_they_should(photographs: Photographs) -> None:
    source = batches(photographs, scale=(0.1, 0.5))
    areas, ratios = [], []
    for step in range(12):
        crops = source(step)[1].float()
        height = (crops[:, 0].amax((1, 2)) - crops[:, 0].amin((1, 2))) / 2 + 1
        width = (crops[:, 1].amax((1, 2)) - crops[:, 1].amin((1, 2))) / 2 + 1
        areas += (height * width / (90 * 120)).tolist()
        ratios += (width / height).tolist()
    assert 0.06 < min(areas) < 0.16
    assert 0.4 < max(areas) < 0.55
    assert 0.6 < min(ratios) < 0.9 < 1.1 < max(ratios) < 1.5


def test_snow_falls_on_some_queries_and_on_no_key(photographs: Photographs) -> None:
    queries, keys, _, spoilt = batches(photographs, snow=0.5, one=True)(3)
    assert 2 < int(spoilt.sum()) < 14
    changed = (queries != keys).flatten(1).any(1)
    assert torch.equal(changed, spoilt)


def test_batches_depend_on_seed_step_and_part_alone(photographs: Photographs) -> None:
    source, again = batches(photographs, snow=0.4), batches(photographs, snow=0.4)
    again(7)
    for first, second in zip(source(3, 1), again(3, 1), strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(source(3)[0], source(4)[0])
    assert not torch.equal(source(3)[0], source(3, 1)[0])
    assert source.digest().startswith("sha256:")
