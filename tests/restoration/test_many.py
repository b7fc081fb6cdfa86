"""`Restorer.run_many`: folders, batches and series, with progress and cancellation; and what a notebook shows."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from unveil.errors import InvalidRequest, PictureError
from unveil.restoration import Restorer


@pytest.fixture(scope="module")
def restorer(toy):
    return Restorer(toy, threads=1)


def rough(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(40, 215, (40, 56, 3), np.uint8)


def test_a_folder_is_walked_in_order(restorer, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / ".hidden").mkdir()
    for number, name in enumerate(("b.png", "deep/a.PNG", ".hidden/c.png", "a.png")):
        Image.fromarray(rough(number)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("hello")
    done = list(restorer.run_many(tmp_path))
    assert [each.source.relative_to(tmp_path).as_posix() for each in done] == ["a.png", "b.png", "deep/a.PNG"]
    assert np.array_equal(done[1].image.pixels, restorer.run(tmp_path / "b.png").image.pixels)


def test_a_batch_gives_what_its_arrays_give(restorer):
    batch = np.stack([rough(seed) for seed in range(3)])
    for single, done in zip(batch, restorer.run_many(batch, weights={"noise": 1.0}), strict=True):
        assert np.array_equal(done.image, restorer.restore(single, weights={"noise": 1.0}))
        assert np.array_equal(done.source, single)


def test_progress_is_told_with_and_without_a_number(restorer):
    told: list[tuple[int, int | None]] = []
    list(restorer.run_many([rough()] * 2, on_image=lambda *count: told.append(count)))
    assert told == [(1, 2), (2, 2)]
    told.clear()
    list(restorer.run_many(iter([rough()]), on_image=lambda *count: told.append(count)))
    assert told == [(1, None)]


def test_nothing_is_done_before_it_is_asked_for_and_nothing_after_closing(restorer):
    taken: list[int] = []

    def series():
        for number in range(5):
            taken.append(number)
            yield rough(number)

    many = restorer.run_many(series())
    assert taken == []
    next(many)
    next(many)
    many.close()
    assert taken == [0, 1]


def test_a_callback_that_raises_ends_the_work(restorer):
    def stop(done: int, _: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    finished = []
    with pytest.raises(KeyboardInterrupt):
        finished.extend(restorer.run_many([rough()] * 5, on_image=stop))


def test_a_bad_file_is_raised_or_told(restorer, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(PictureError):
        list(restorer.run_many([bad]))
    told: list[object] = []
    done = list(restorer.run_many([rough(), bad, rough()], on_error=lambda image, error: told.append((image, error))))
    assert len(done) == 2
    ((image, error),) = told
    assert image == bad
    assert isinstance(error, PictureError)


def test_options_given_as_an_iterator_serve_every_image(restorer):
    done = list(restorer.run_many([rough()] * 3, only=iter(["noise"])))
    assert all(each.weights.keys() == {"noise"} for each in done)


@pytest.mark.parametrize("images", ["nowhere", 7, np.zeros((4, 4, 3), np.uint8)])
def test_what_is_no_series_is_refused_at_once(restorer, images):
    with pytest.raises(InvalidRequest):
        restorer.run_many(images)


@pytest.mark.parametrize("kind", ["array", "grey", "float", "alpha", "path"])
def test_a_notebook_shows_before_and_after(restorer, tmp_path, kind):
    pixels = rough()
    image: object = {
        "array": pixels,
        "grey": pixels[:, :, 0],
        "float": (pixels / 255).astype(np.float32),
        "alpha": np.dstack([pixels, pixels[:, :, 0]]),
        "path": tmp_path / "<a>.png",
    }[kind]
    if kind == "path":
        Image.fromarray(pixels).save(tmp_path / "<a>.png")
    done = restorer.run(image)
    html = done._repr_html_()
    assert html.count("data:image/webp;base64,") == 2
    assert "<a>" not in html
    assert "<script" not in html
    with Image.open(io.BytesIO(done._repr_png_())) as shown:
        assert shown.size == (2 * 56 + 8, 40)
        sides = np.asarray(shown)
    grey = np.repeat(pixels[:, :, :1], 3, axis=2)
    assert np.array_equal(sides[:, :56], grey if kind == "grey" else pixels)
    assert not np.array_equal(sides[:, -56:], sides[:, :56])


def test_a_restoration_in_words_is_short(restorer):
    words = repr(restorer.run(rough()))
    assert words.startswith("<Restoration of array (40, 56, 3): noise ")
    assert len(words) < 120
    assert "untouched" in repr(restorer.run(np.full((40, 56, 3), 180, np.uint8)))
