"""Self-ensemble: tiles are restored turned and mirrored, and averaged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from toy import toy_model
from unveil import models
from unveil.commands.restoring import Wishes
from unveil.errors import EngineError, InvalidModel, InvalidRequest
from unveil.restoration import Restorer
from unveil.restoration.ensemble import mean_of_views

TILE = np.random.default_rng(5).random((1, 3, 8, 12), dtype=np.float32)
PICTURE = 0.4 + 0.2 * np.random.default_rng(6).random((60, 120, 3))
"""Far enough from black and white that nothing is cut off before it is averaged."""


def group(image: np.ndarray) -> list[tuple[np.ndarray, int, bool]]:
    """All eight turned pictures of an image H W C, and how they were made."""
    return [(np.rot90(image[:, ::-1] if back else image, turns), turns, back) for turns in range(4) for back in (0, 1)]


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_a_network_without_direction_gives_what_it_gives_alone(size: int) -> None:
    np.testing.assert_allclose(mean_of_views(TILE, lambda tile: tile * 2, size), TILE * 2, rtol=1e-6)


@pytest.mark.parametrize("size", [2, 4, 8])
def test_every_view_is_another_and_is_turned_back(size: int) -> None:
    """Each answer marks one corner: turned back, the marks are spread evenly over the corners that the views reach."""
    seen = []

    def mark(tile: np.ndarray) -> np.ndarray:
        seen.append(tile)
        answer = np.zeros_like(tile)
        answer[..., 0, 0] = 1
        return answer

    marks = mean_of_views(TILE, mark, size)[0, 0]
    assert len({(tile.shape, tile.tobytes()) for tile in seen}) == size
    corners = {2: {(0, 0): 0.5, (-1, -1): 0.5}}.get(size, dict.fromkeys([(0, 0), (0, -1), (-1, 0), (-1, -1)], 0.25))
    assert {place: float(marks[place]) for place in corners} == corners
    assert marks.sum() == pytest.approx(1)
    assert [tile.shape[-2:] for tile in seen] == [(8, 12)] * min(size, 4) + [(12, 8)] * max(size - 4, 0)


def test_a_picture_is_the_mean_of_its_turned_restorations() -> None:
    """Against NumPy's own turns and mirrors, of a picture of one tile and of several."""
    expected = 0
    for turned, turns, back in group(PICTURE):
        alone = Restorer(toy_model(), threads=1).restore(np.ascontiguousarray(turned), weights={"noise": 1.0})
        upright = np.rot90(alone, -turns)
        expected = expected + (upright[:, ::-1] if back else upright) / 8
    for side in (None, 32):
        done = Restorer(toy_model(), threads=1, tile_side=side).run(PICTURE, weights={"noise": 1.0}, ensemble=8)
        assert (done.tiles == 1) is (side is None)
        np.testing.assert_allclose(done.image, expected, atol=2e-6)
    single = Restorer(toy_model(), threads=1).restore(PICTURE, weights={"noise": 1.0})
    assert np.abs(single - done.image).max() > 1e-3


def test_the_card_may_ask_for_it_and_the_user_has_the_last_word(tmp_path: Path) -> None:
    model = toy_model()
    asking = dataclasses.replace(model, card=dataclasses.replace(model.card, ensemble=4))
    models.write(asking, tmp_path / "asking.safetensors")
    restorer = Restorer(models.read(tmp_path / "asking.safetensors"), threads=1)
    plain = Restorer(model, threads=1)
    np.testing.assert_array_equal(restorer.restore(PICTURE), plain.restore(PICTURE, ensemble=4))
    np.testing.assert_array_equal(restorer.restore(PICTURE, ensemble=1), plain.restore(PICTURE))


@pytest.mark.parametrize("size", [0, 3, 16])
def test_other_numbers_are_refused(size: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=f"ensemble is {size}, expected one of 1, 2, 4, 8"):
        Restorer(toy_model(), threads=1).run(PICTURE, ensemble=size)
    model = toy_model()
    with pytest.raises(InvalidModel, match="ensemble"):
        models.Card.from_json(dataclasses.replace(model.card, ensemble=size).to_json())


def test_a_network_that_answers_with_another_shape_is_told() -> None:
    with pytest.raises(EngineError, match=r"\(1, 3, 8, 12\) with \(1, 3, 4, 12\)"):
        mean_of_views(TILE, lambda tile: tile[:, :, :4], 4)


def test_a_result_is_known_by_its_ensemble(tmp_path: Path) -> None:
    """A second run does a picture again where another ensemble is wished."""
    file = tmp_path / "m.safetensors"
    models.write(toy_model(), file)
    wishes = Wishes(1.0, None, None, None, overwrite=False, pixel_limit=10**6)
    digests = {dataclasses.replace(wishes, ensemble=size).digest(file) for size in (None, 1, 8)}
    assert len(digests) == 3
    assert wishes.digest(file) in digests
