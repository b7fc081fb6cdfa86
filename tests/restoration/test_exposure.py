"""Exposure: brightening a picture once, as a whole."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from toy import toy_model
from unveil import models
from unveil.restoration import Restorer, exposure
from unveil.restoration.exposure import Exposure, measure, of_blend


def scene(height: int = 60, width: int = 80) -> np.ndarray:
    """Values spread evenly over 0..1, float32."""
    random = np.random.default_rng(0)
    return random.random((height, width, 3), dtype=np.float32)


@pytest.mark.parametrize("factor", [0.5, 0.2, 0.1])
def test_a_darkened_picture_is_brightened_back(factor: float) -> None:
    picture = scene()
    found = measure(picture * factor)
    # Of three even channels the brightest one's 99 % lie near 0.997.
    assert found.gain == pytest.approx(0.953 / factor, rel=0.02)
    assert found.gamma == 1
    assert np.abs(found(picture * factor) - picture).mean() < 0.03


def test_a_bright_picture_is_left_alone() -> None:
    found = measure(scene())
    assert found == Exposure()
    picture = scene()
    assert found(picture) is picture


def test_a_dark_middle_under_a_bright_lamp_gets_a_gamma() -> None:
    picture = scene() * 0.1
    picture[:10, :10] = 1.0
    found = measure(picture)
    assert found.gain == 1
    assert 1.5 < found.gamma < 3
    assert np.median(found(picture).max(2)) == pytest.approx(exposure.MIDDLE, abs=0.01)


def test_black_and_tiny_pictures_end_at_the_limits() -> None:
    for picture in (np.zeros((5, 7, 3), np.uint8), np.zeros((1, 1, 1), np.float32)):
        found = measure(picture)
        assert found.gain == exposure.LARGEST_GAIN
        assert found.gamma == exposure.LARGEST_GAMMA
        assert not found(picture.astype(np.float32)).any()


def test_depth_and_size_do_not_matter() -> None:
    small = scene(64, 64) * 0.3
    found = [measure(picture) for picture in (small, (small * 255).round().astype(np.uint8))]
    found.append(measure((small * 65535).round().astype(np.uint16)))
    found.append(measure(np.tile(small, (40, 40, 1))))
    for each in found[1:]:
        assert each.gain == pytest.approx(found[0].gain, rel=0.02)


def test_an_adapters_share_is_its_share_of_the_brightening() -> None:
    whole = Exposure(4.0, 2.0)
    assert whole.partly(0) == Exposure()
    assert whole.partly(0.5) == Exposure(2.0, 2**0.5)
    assert whole.partly(3) == whole
    dark = scene() * 0.25
    assert of_blend(dark, {"noise": 1.0}, ("dark",)) == Exposure()
    assert of_blend(dark, {"dark": 0.5, "noise": 0.5}, ("dark",)) == measure(dark).partly(0.5)
    assert of_blend(dark, {"dark": 1.0}, ()) == Exposure()


def exposing(names: tuple[str, ...]) -> models.Model:
    model = toy_model()
    entries = {name: dataclasses.replace(entry, exposure=name in names) for name, entry in model.card.adapters.items()}
    return dataclasses.replace(model, card=dataclasses.replace(model.card, adapters=entries))


def test_the_network_sees_the_exposed_picture_and_strength_mixes_with_the_plain_one() -> None:
    dark = (scene(40, 48) * 0.3 * 255).astype(np.uint8)
    plain, exposed = (Restorer(exposing(names)) for names in ((), ("dark",)))
    by_hand = measure(dark)((dark / 255).astype(np.float32))
    expected = plain.restore(by_hand, weights={"dark": 1.0})
    found = exposed.restore(dark, weights={"dark": 1.0})
    assert np.abs(found / 255 - expected).max() < 0.51 / 255
    half = exposed.restore(dark, weights={"dark": 1.0}, strength=0.5)
    assert np.abs(half.astype(float) - (found.astype(float) + dark) / 2).max() <= 1
    assert np.array_equal(exposed.restore(dark, weights={"noise": 1.0}), plain.restore(dark, weights={"noise": 1.0}))


def test_tiles_share_one_exposure() -> None:
    """A dark half beside a bright one stays dark, wherever tiles are cut."""
    picture = (scene(96, 160) * 255).astype(np.uint8)
    picture[:, :80] //= 8
    model = exposing(("dark",))
    whole = Restorer(model).restore(picture, weights={"dark": 1.0})
    tiled = Restorer(model, tile_side=32).restore(picture, weights={"dark": 1.0})
    assert np.abs(whole.astype(int) - tiled).max() <= 2


def test_files_keep_it_and_older_files_have_none(tmp_path) -> None:
    model = exposing(("dark",))
    path = models.write(model, tmp_path / "model.safetensors")
    read = models.read(path)
    assert read.card.exposing == ("dark",)
    taken = models.take_adapter(read, "dark")
    written = models.read_adapter(models.write_adapter(taken, tmp_path / "dark.safetensors"))
    assert written.exposure
    again = models.add_adapter(models.remove_adapter(read, "dark"), written)
    assert again.card.exposing == ("dark",)
    assert models.read(models.write(toy_model(), tmp_path / "plain.safetensors")).card.exposing == ()


def test_one_onnx_file_cannot_hold_it(tmp_path) -> None:
    pytest.importorskip("onnx")
    from unveil import export
    from unveil.errors import InvalidRequest

    with pytest.raises(InvalidRequest, match=r"'dark' .* exposed as a whole first"):
        export.write_onnx(exposing(("dark",)), tmp_path / "dark.onnx", weights={"dark": 1.0})
    assert export.write_onnx(exposing(("dark",)), tmp_path / "noise.onnx", weights={"noise": 1.0}).exists()


def test_a_part_is_exposed_as_its_whole() -> None:
    """The dark half of a picture that is bright elsewhere."""
    picture = (scene(64, 128) * 255).astype(np.uint8)
    picture[:, :64] //= 6
    restorer = Restorer(exposing(("dark",)))
    whole = restorer.restore(picture, weights={"dark": 1.0})
    part = restorer.restore(picture[:, :48], weights={"dark": 1.0}, context=picture)
    alone = restorer.restore(picture[:, :48], weights={"dark": 1.0})
    assert np.abs(part[:, :32].astype(int) - whole[:, :32]).max() <= 1
    assert np.abs(alone[:, :32].astype(int) - whole[:, :32]).mean() > 10
