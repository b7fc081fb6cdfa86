import numpy as np
import pytest

from unveil.restoration.tiles import FEATHER, LARGEST_SIDE, MEMORY, SIDE, plan, side_of

NETWORKS = [(1, 1, 0), (4, 4, 12), (16, 16, 32), (64, 8, 40), (6, 4, 5), (16, 16, 200), (8, 72, 40)]
LENGTHS = [1, 3, 63, 64, 65, 511, 512, 513, 700, 1025, 2999, 10_000]


def axes():
    for multiple, stride, halo in NETWORKS:
        for length in LENGTHS:
            yield plan(1, length, size_multiple=multiple, stride=stride, halo=halo).columns, multiple, stride, halo


def totals(axis):
    total = np.zeros(axis.origins[-1] + axis.tile)
    for origin, weights in zip(axis.origins, axis.weights, strict=True):
        total[origin : origin + axis.tile] += weights
    return total


def test_shares_of_every_pixel_sum_to_one():
    for axis, *_ in axes():
        np.testing.assert_allclose(totals(axis), 1, atol=1e-6)


def test_tiles_cover_the_picture_without_running_far_over_its_end():
    for axis, multiple, stride, _ in axes():
        beyond = axis.origins[-1] + axis.tile - axis.length
        assert 0 <= beyond < max(multiple, stride)
        assert axis.origins[0] == 0


def test_the_last_tile_ends_where_the_picture_in_one_piece_does():
    for axis, multiple, stride, _ in axes():
        if stride % multiple == 0:
            assert axis.origins[-1] + axis.tile == -(-axis.length // multiple) * multiple


def test_sides_are_multiples_of_the_size_multiple_and_origins_of_the_stride():
    for axis, multiple, stride, _ in axes():
        assert axis.tile % multiple == 0
        assert all(origin % stride == 0 for origin in axis.origins)


def test_pixels_near_an_inner_edge_are_never_used():
    for axis, _, _, halo in axes():
        for index, weights in enumerate(axis.weights):
            if index > 0:
                assert not weights[:halo].any()
            if index + 1 < len(axis.origins):
                assert not weights[axis.tile - halo :].any()


def test_overlap_holds_two_halos_and_the_feather():
    for axis, _, _, halo in axes():
        steps = np.diff(axis.origins)
        assert (axis.tile - steps >= 2 * halo + FEATHER).all()


def test_shares_rise_linearly_over_the_feather():
    axis = plan(1, 900, size_multiple=4, stride=4, halo=12).columns
    width = axis.tile - (axis.origins[1] - axis.origins[0]) - 24
    rise = axis.weights[1][12 : 12 + width]
    np.testing.assert_allclose(np.diff(rise), 1 / width, atol=1e-6)


def test_small_picture_is_one_tile_of_the_next_multiple():
    layout = plan(1, 500, size_multiple=16, stride=16, halo=32)
    assert (layout.count, layout.rows.tile, layout.columns.tile) == (1, 16, 512)
    assert (layout.rows.weights == 1).all()


def test_tiles_stay_near_the_side_asked_for():
    for axis, multiple, stride, halo in axes():
        assert axis.tile <= max(512, 2 * (2 * halo + FEATHER) + multiple, 2 * halo + FEATHER + stride + multiple)


def test_picture_just_above_a_tile_does_not_cost_two_full_ones():
    axis = plan(1, 520, size_multiple=16, stride=16, halo=32).columns
    assert len(axis.origins) == 2
    assert axis.tile <= 320


@pytest.mark.parametrize("side", [1, 100, 256, 2048])
def test_side_can_be_chosen(side):
    axis = plan(1, 5000, size_multiple=4, stride=4, halo=12, side=side).columns
    np.testing.assert_allclose(totals(axis), 1, atol=1e-6)
    assert axis.tile <= max(side, 80)


@pytest.mark.parametrize(("length", "halo", "stride"), [(49, 0, 1), (121, 12, 4), (122, 12, 1), (420, 60, 8)])
def test_three_tiles_at_the_smallest_side_never_meet_in_a_pixel(length, halo, stride):
    axis = plan(1, length, size_multiple=stride, stride=stride, halo=halo, side=1).columns
    assert len(axis.origins) == 3
    np.testing.assert_allclose(totals(axis), 1, atol=1e-6)


def test_sides_follow_from_the_memory_that_a_network_needs():
    assert side_of(0) == SIDE  # nobody counted
    assert side_of(100) == LARGEST_SIDE
    assert side_of(700) == int((MEMORY / 700) ** 0.5)
    assert side_of(10_000) == SIDE
