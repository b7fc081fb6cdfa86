import numpy as np
import pytest

from unveil.restoration import Restorer, diagnose, load, restore
from unveil.restoration.loading import _kept

images = pytest.importorskip("unveil.images")


@pytest.fixture
def noisy_file(tmp_path):
    pixels = np.random.default_rng(2).integers(0, 65536, (60, 80, 3), dtype=np.uint16)
    alpha = np.random.default_rng(3).integers(0, 65536, (60, 80), dtype=np.uint16)
    picture = images.Picture(pixels=pixels, alpha=alpha, icc=None, exif=None, xmp=None, format="png", path=None)
    return images.write(picture, tmp_path / "noisy.png")


def test_path_gives_a_picture_of_the_same_depth_with_its_alpha(toy, noisy_file):
    before = images.read(noisy_file)
    after = Restorer(toy, threads=1).restore(noisy_file)
    assert isinstance(after, images.Picture)
    assert after.pixels.dtype == np.uint16
    np.testing.assert_array_equal(after.alpha, before.alpha)
    assert (after.pixels != before.pixels).any()


def test_picture_path_and_array_are_restored_alike(toy, noisy_file):
    restorer = Restorer(toy, threads=1)
    picture = images.read(noisy_file)
    from_path, from_picture = restorer.restore(str(noisy_file)), restorer.restore(picture)
    np.testing.assert_array_equal(from_path.pixels, from_picture.pixels)
    np.testing.assert_array_equal(from_path.srgb(), restorer.restore(picture.srgb()))


def test_zero_strength_gives_the_picture_itself(toy, noisy_file):
    picture = images.read(noisy_file)
    assert Restorer(toy, threads=1).restore(picture, strength=0) is picture


def test_one_call_restores_and_diagnoses(toy_path, noisy_file):
    restored = restore(noisy_file, model=toy_path, strength=0.5)
    np.testing.assert_array_equal(restored.pixels, load(toy_path).restore(noisy_file, strength=0.5).pixels)
    assert diagnose(str(noisy_file), model=str(toy_path)).main == "noise"


def test_one_calls_keep_the_model_in_memory(toy_path, noisy_file):
    _kept.cache_clear()
    for _ in range(2):
        restore(noisy_file, model=toy_path)
    assert _kept.cache_info().misses == 1
