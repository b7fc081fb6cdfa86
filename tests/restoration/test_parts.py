import numpy as np
import pytest

from unveil.restoration.parts import PART, mean_over_parts


def mean(part):
    return part.mean((2, 3))


@pytest.mark.parametrize("shape", [(40, 56, 3), (PART + 7, 24, 3), (PART + 30, PART + 17, 1)])
def test_mean_of_the_parts_is_the_mean_of_the_whole(shape):
    pixels = np.random.default_rng(0).random(shape, dtype=np.float32)
    np.testing.assert_allclose(
        mean_over_parts(pixels, mean)[0], np.broadcast_to(pixels.mean((0, 1)), 3), rtol=0, atol=2e-3
    )


def test_parts_are_multiples_and_never_tiny():
    seen = []

    def look(part):
        seen.append(part.shape[2:])
        return mean(part)

    mean_over_parts(np.zeros((1, PART + 1, 3), np.uint8), look, multiple=24)
    assert all(height % 24 == 0 and width % 24 == 0 for height, width in seen)
    assert sum(width for _, width in seen) >= PART + 1
    seen.clear()
    mean_over_parts(np.zeros((1, 1, 3), np.uint8), look)
    assert seen == [(16, 16)]


def test_a_small_picture_is_seen_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (21, 34, 3), dtype=np.uint8)
    seen = []
    mean_over_parts(pixels, lambda part: (seen.append(part), mean(part))[1])
    np.testing.assert_array_equal(np.rint(seen[0][0].transpose(1, 2, 0) * 255), pixels)
