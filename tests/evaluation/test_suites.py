"""Suites: the sets that papers measure on, by the protocols of their code."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from unveil import datasets
from unveil.errors import DataSetMissing, InvalidRequest
from unveil.evaluation.damage import FewBits, GaussianNoise, JpegFile, chance
from unveil.evaluation.sizing import Sizing
from unveil.evaluation.suites import DAMAGES, SUITES, local_from


def test_suites_have_the_sets_that_their_papers_count():
    counts = {name: len(suite.sets) for name, suite in SUITES.items()}
    assert counts["mioir"] == 19
    assert counts["constyle-v2"] == 29
    # 19 benchmarks there: the six of noise count twice, for models of one sigma and for blind ones.
    assert counts["constyle"] + 6 == 19
    assert (counts["3d"], counts["5d"], counts["8d"]) == (5, 5, 8)


def test_names_are_unique_and_every_public_set_is_in_the_catalogue():
    for suite in SUITES.values():
        names = [entry.name for entry in suite.sets]
        assert len(set(names)) == len(names)
        for entry in suite.sets:
            if entry.data:
                found, part = datasets.find(entry.data)
                assert found.part(part)
            else:
                assert entry.folders
            assert entry.protocols


def test_papers_are_followed_in_size_and_protocol():
    by_name = {name: {entry.name: entry for entry in suite.sets} for name, suite in SUITES.items()}
    assert by_name["3d"]["cbsd68-25"].damage == GaussianNoise(25, cut=True)
    assert by_name["3d"]["rain100l"].sizing == Sizing("centre", 16)
    assert by_name["mioir"]["haze_outbig"].protocols == ("rgb8:4",)
    assert by_name["constyle"]["rain100h"].protocols[0] == "y"
    assert by_name["constyle"]["gopro"].sizing == Sizing("padded", 8)
    assert by_name["constyle-v2"]["sots-outdoor"].sizing == Sizing("corner", 128)
    assert by_name["constyle-v2"]["live1-10"].damage == JpegFile(10, swapped=True)


def test_a_missing_set_says_what_was_expected_and_what_fetches_it(tmp_path):
    (entry,) = [entry for entry in SUITES["5d"].sets if entry.name == "gopro"]
    with pytest.raises(DataSetMissing, match=r"unveil prepare gopro"):
        entry.find(tmp_path)
    (entry,) = [entry for entry in SUITES["mioir"].sets if entry.name == "haze"]
    with pytest.raises(DataSetMissing, match="mio100"):
        entry.find(tmp_path)


def test_local_is_made_of_any_folder_of_clean_pictures(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    (tmp_path / "deeper").mkdir()
    Image.fromarray(pixels).save(tmp_path / "deeper" / "a.png")
    for entry in local_from(tmp_path).sets:
        found = entry.find(tmp_path / "elsewhere")
        degraded, truth = found.load(found.items[0], seed=0)
        assert np.array_equal((truth * 255).round(), pixels)
        assert degraded.shape == truth.shape
        assert np.array_equal(degraded, truth) == (entry.degradation == "clean")
        assert np.allclose(degraded * 255, (degraded * 255).round(), atol=1e-4)


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_depends_on_seed_and_name_alone(name):
    picture = np.random.default_rng(1).random((40, 48, 3)).astype(np.float32)
    damage = DAMAGES[name][2]
    same = damage(picture, chance(0, "a"))
    assert np.array_equal(same, damage(picture, chance(0, "a")))
    if name.startswith(("noise", "rain", "snow", "haze", "dark", "motion")):
        assert not np.array_equal(same, damage(picture, chance(0, "b")))
        assert not np.array_equal(same, damage(picture, chance(1, "a")))


def test_noise_that_is_cut_off_is_half_a_level_darker():
    grey = np.full((200, 200, 3), 0.5, np.float32)
    rounded, cut = (GaussianNoise(15, cut=cut)(grey, chance(0, "a")) for cut in (False, True))
    assert float((rounded - cut).mean() * 255) == pytest.approx(0.5, abs=0.02)
    assert float((rounded - 0.5).std() * 255) == pytest.approx(15, rel=0.02)


def test_few_bits_and_swapped_jpeg():
    ramp = np.repeat(np.arange(256, dtype=np.float32)[None, :, None] / 255, 3, axis=2).repeat(16, axis=0)
    assert len(np.unique(FewBits(4)(ramp, chance(0, "a")))) == 16
    colours = np.random.default_rng(2).random((32, 32, 3)).astype(np.float32)
    plain, swapped = (JpegFile(20, swapped=swapped)(colours, chance(0, "a")) for swapped in (False, True))
    assert not np.array_equal(plain, swapped)
    assert np.array_equal(JpegFile(20)(colours[..., ::-1], chance(0, "a"))[..., ::-1], swapped)


@pytest.mark.parametrize(
    ("sizing", "shape"),
    [
        (Sizing(), (37, 53)),
        (Sizing("centre", 16), (32, 48)),
        (Sizing("corner", 32), (32, 32)),
        (Sizing("padded", 8), (40, 56)),
    ],
)
def test_sizes(sizing, shape):
    picture = np.arange(37 * 53 * 3, dtype=np.float32).reshape(37, 53, 3)
    assert sizing(picture).shape[:2] == shape


def test_centre_and_corner_keep_other_pixels():
    picture = np.arange(37 * 53 * 3, dtype=np.float32).reshape(37, 53, 3)
    assert np.array_equal(Sizing("centre", 16)(picture), picture[2:34, 2:50])
    assert np.array_equal(Sizing("corner", 16)(picture), picture[:32, :48])
    with pytest.raises(InvalidRequest, match="smaller than the 64"):
        Sizing("corner", 64)(picture)
