import numpy as np
import pytest

from unveil.errors import EngineError
from unveil.restoration.stitching import cut, reflect, restore_tiles
from unveil.restoration.tiles import plan


def identity(tile):
    return tile


def restored(pixels, run=identity, *, side=64, **options):
    out = np.full_like(pixels, 7)
    layout = plan(*pixels.shape[:2], size_multiple=4, stride=4, halo=4, side=side)
    restore_tiles(pixels, out, layout, run, **options)
    return out


def picture(*shape, dtype):
    random = np.random.default_rng(5)
    if np.dtype(dtype).kind == "f":
        return random.random(shape).astype(dtype)
    return random.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 200, 3), (97, 130, 3), (150, 33, 1)])
def test_identity_gives_integers_back_exactly(shape, dtype):
    pixels = picture(*shape, dtype=dtype)
    np.testing.assert_array_equal(restored(pixels), pixels)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_identity_gives_floats_back_closely(dtype):
    pixels = picture(97, 130, 3, dtype=dtype)
    np.testing.assert_allclose(restored(pixels), pixels, atol=3e-7 if dtype != np.float16 else 5e-4)


def test_strided_and_foreign_endian_arrays_are_read():
    pixels = picture(50, 90, 3, dtype=np.uint16)
    np.testing.assert_array_equal(restored(pixels[::-1, ::2]), pixels[::-1, ::2])
    np.testing.assert_array_equal(restored(pixels.astype(">u2")), pixels)


def test_integers_are_rounded_and_not_truncated():
    pixels = np.full((8, 8, 3), 100, np.uint8)
    np.testing.assert_array_equal(restored(pixels, lambda tile: tile + 0.6 / 255), 101)
    np.testing.assert_array_equal(restored(pixels, lambda tile: tile + 0.4 / 255), 100)


def test_sixteen_bits_keep_their_fine_steps():
    pixels = np.full((8, 8, 3), 30_000, np.uint16)
    np.testing.assert_array_equal(restored(pixels, lambda tile: tile + 3 / 65535), 30_003)


def test_answers_outside_of_the_range_are_clipped():
    pixels = picture(70, 70, 3, dtype=np.uint8)
    np.testing.assert_array_equal(restored(pixels, lambda tile: tile * 0 + 5), 255)
    np.testing.assert_array_equal(restored(pixels, lambda tile: tile * 0 - 5), 0)


def test_strength_mixes_answer_and_input():
    pixels = np.full((70, 70, 3), 100, np.uint8)
    np.testing.assert_array_equal(restored(pixels, lambda tile: tile * 0 + 200 / 255, strength=0.25), 125)


def test_grey_is_shown_as_three_equal_channels_and_averaged():
    pixels = np.full((8, 8, 1), 100, np.uint8)
    shift = np.array([0, 10, 20], np.float32).reshape(1, 3, 1, 1) / 255

    def run(tile):
        assert tile.shape == (1, 3, 8, 8)
        assert (tile == tile[:, :1]).all()
        return tile + shift

    np.testing.assert_array_equal(restored(pixels, run), 110)


def test_all_tiles_have_one_shape():
    seen = set()

    def run(tile):
        seen.add(tile.shape)
        assert tile.dtype == np.float32
        assert tile.flags.c_contiguous
        return tile

    restored(picture(151, 333, 3, dtype=np.uint8), run)
    assert len(seen) == 1


def test_edges_are_reflected():
    pixels = np.arange(5, dtype=np.uint8).reshape(1, 5, 1)
    tile = cut(pixels, 0, 0, 3, 8) * 255
    np.testing.assert_allclose(tile[0, 0], [[0, 1, 2, 3, 4, 3, 2, 1]] * 3, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_tiny_axes_can_be_reflected_far(length):
    indices = reflect(0, 50, length)
    assert indices.min() == 0
    assert indices.max() == length - 1
    assert (np.abs(np.diff(indices)) <= 1).all()


def test_progress_counts_every_tile():
    seen = []
    restored(picture(150, 150, 3, dtype=np.uint8), progress=lambda done, total: seen.append((done, total)))
    total = len(seen)
    assert total > 4
    assert seen == [(done, total) for done in range(1, total + 1)]


def test_what_progress_raises_ends_the_work():
    runs = []

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restored(picture(150, 150, 3, dtype=np.uint8), lambda tile: runs.append(1) or tile, progress=stop)
    assert len(runs) == 2


@pytest.mark.parametrize("answer", [np.float32("nan"), np.float32("inf")])
def test_answers_that_are_no_numbers_are_an_error(answer):
    with pytest.raises(EngineError, match="not numbers"):
        restored(picture(9, 9, 3, dtype=np.uint8), lambda tile: tile + answer)


def test_answers_of_another_shape_are_an_error():
    with pytest.raises(EngineError, match="shape"):
        restored(picture(9, 9, 3, dtype=np.uint8), lambda tile: tile[:, :, 1:])
