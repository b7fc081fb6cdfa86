"""Odd arrays are restored in their own shape and dtype, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from odd_arrays import odd_arrays, sample

from unveil import images
from unveil.errors import InvalidRequest
from unveil.images import Picture


@pytest.mark.parametrize("odd", odd_arrays(), ids=lambda odd: odd.case)
def test_it_ends_as_the_table_says(odd, restorer):
    array = odd.make()
    kept = array.copy()
    if odd.said:
        with pytest.raises(InvalidRequest, match=odd.said):
            restorer.run(array, weights={"noise": 1})
        with pytest.raises(InvalidRequest, match=odd.said):
            restorer.diagnose(array)
        return
    result = restorer.restore(array, weights={"noise": 1})
    assert result.shape == array.shape
    assert result.dtype == array.dtype
    colours = result[..., :3] if result.ndim == 3 else result
    assert np.isfinite(colours).all()
    np.testing.assert_array_equal(array, kept)
    assert restorer.diagnose(array).probabilities


def test_the_memory_layout_does_not_change_the_result(restorer):
    plain = sample()
    wanted = restorer.restore(plain, weights={"noise": 1})
    for same in (
        np.asfortranarray(plain),
        np.ascontiguousarray(plain[::-1])[::-1],
        np.ascontiguousarray(plain.transpose(2, 0, 1)).transpose(1, 2, 0),
    ):
        np.testing.assert_array_equal(restorer.restore(same, weights={"noise": 1}), wanted)


def test_the_byte_order_does_not_change_the_result(restorer):
    plain = sample().astype(np.uint16) * 257
    wanted = restorer.restore(plain, weights={"noise": 1})
    swapped = plain.astype(plain.dtype.newbyteorder())
    np.testing.assert_array_equal(restorer.restore(swapped, weights={"noise": 1}), wanted)


def test_a_picture_takes_only_the_byte_order_of_the_machine():
    swapped = sample().astype(np.dtype(np.uint16).newbyteorder())
    with pytest.raises(InvalidRequest, match="uint16"):
        Picture(swapped)
    strided = Picture(sample()[::2, ::-1])
    np.testing.assert_array_equal(images.read(images.encode(strided, "png")).pixels, strided.pixels)
