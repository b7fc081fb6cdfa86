"""Where in a picture the damage is."""

import dataclasses

import numpy as np
import pytest

from toy import toy_model
from unveil.errors import EngineError, InvalidModel, InvalidRequest
from unveil.models.file import check
from unveil.reporting import maps
from unveil.restoration import Restorer
from unveil.restoration.mapping import DamageMap, cell_side, map_tiles
from unveil.restoration.tiles import plan


@pytest.fixture(scope="module")
def restorer():
    return Restorer(toy_model(regions=True), threads=1)


def half_dark(height=64, width=96):
    """The left third is dark."""
    pixels = np.full((height, width, 3), 180, np.uint8)
    pixels[:, : width // 3] = 10
    return pixels


def test_the_dark_part_is_found_and_nothing_else(restorer):
    found = restorer.map(half_dark())
    assert (found.cell, found.shares.shape) == (4, (16, 24, 2))
    assert (found.labels[:, :8] == 0).all()
    assert (found.labels[:, 8:] == 1).all()
    assert found.coverage == {"clean": pytest.approx(2 / 3), "dark": pytest.approx(1 / 3)}
    assert found.printed == {"dark": "low light", "clean": "clean"}
    np.testing.assert_allclose(found.shares.sum(2), 1, rtol=1e-6)
    logits = 24 - 80 * 10 / 255
    assert found.shares[0, 0, 0] == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-3)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 7, 3), (63, 97, 3), (30, 31)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_picture_has_a_map_that_covers_it(restorer, shape, dtype):
    pixels = np.zeros(shape, dtype)
    found = restorer.map(pixels)
    assert found.shares.shape[:2] == (-(-shape[0] // 4), -(-shape[1] // 4))
    assert found.coverage["dark"] == pytest.approx(1)


def test_tiles_make_no_difference(restorer):
    pixels = np.random.default_rng(3).integers(0, 200, (260, 330, 3), np.uint8)
    tiled = Restorer(toy_model(regions=True), tile_side=96, threads=1)
    np.testing.assert_allclose(tiled.map(pixels).shares, restorer.map(pixels).shares, atol=1e-5)


def test_a_model_without_a_map_says_so(toy):
    with pytest.raises(InvalidRequest, match="no map of damage"):
        Restorer(toy, threads=1).map(half_dark())


def test_a_model_whose_map_is_missing_is_refused():
    model = toy_model()
    with pytest.raises(InvalidModel, match="graphs/map"):
        check(dataclasses.replace(model, card=dataclasses.replace(model.card, map=("dark", "clean"))))


def test_regions_at_the_edge_count_for_what_they_cover():
    shares = np.zeros((2, 1, 2), np.float32)
    shares[0, 0, 0] = shares[1, 0, 1] = 1
    found = DamageMap(shares, ("noise", "clean"), {}, 8, height=10, width=5)
    assert found.coverage == {"noise": pytest.approx(0.8), "clean": pytest.approx(0.2)}


@pytest.mark.parametrize(("stride", "cell"), [(1, 1), (4, 4), (8, 8), (16, 8), (64, 8), (12, 4)])
def test_regions_fit_the_grid_of_tiles(stride, cell):
    assert cell_side(stride) == cell


@pytest.mark.parametrize(("factor", "kind"), [(1, "finer"), (16, "coarser")])
def test_networks_finer_and_coarser_than_regions_agree_with_what_they_say(factor, kind):
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:, 16:] = 255
    layout = plan(32, 48, size_multiple=16, stride=16, halo=16)

    def run(tile):
        small = tile[:, :1, ::factor, ::factor]
        return np.concatenate((20 * small - 10, 10 - 20 * small), 1)

    found = map_tiles(pixels, layout, run, classes=("bright", "black"), printed={}, cell=8)
    assert (found.labels == np.array([1, 1, 0, 0, 0, 0])).all(), kind


@pytest.mark.parametrize("answer", [np.zeros((1, 3, 4, 4)), np.full((1, 2, 4, 4), np.nan), np.zeros((1, 2, 3, 4))])
def test_wrong_answers_of_the_network_are_errors(answer):
    layout = plan(32, 32, size_multiple=16, stride=16, halo=16)
    with pytest.raises(EngineError, match="map"):
        map_tiles(np.zeros((32, 32, 3), np.uint8), layout, lambda _: answer, classes=("a", "b"), printed={}, cell=8)


def test_the_painting_is_coloured_where_the_damage_is_and_grey_elsewhere(restorer):
    pixels = half_dark()
    found = restorer.map(pixels)
    painted = maps.overlay(pixels, found.shares, found.classes)
    assert painted.shape == pixels.shape
    assert (painted[:, 40:] == 180).all()
    assert np.ptp(painted[10, 10].astype(int)) > 50
    sheet = maps.with_legend(painted, found.coverage, found.printed)
    assert sheet.shape[0] > pixels.shape[0]
    assert sheet.shape[1] >= pixels.shape[1]
    colour = maps.colours(found.classes)["dark"]
    assert (sheet[pixels.shape[0] :] == colour).all(2).any()


def test_every_class_has_a_colour_of_its_own():
    names = (*maps.COLOURS, "scratches", "stains", "watermark")
    found = maps.colours(names)
    assert len(set(found.values())) == len(names)
