"""Every odd file gives a right picture or a typed error, through Python and through the commands."""

from __future__ import annotations

import json
import shutil
import time
import warnings

import numpy as np
import pytest
from odd_damage import damaged_files
from odd_files import ordinary_files

from unveil import images
from unveil.errors import PictureError
from unveil.images import PictureWarning

FILES = [*ordinary_files(), *damaged_files()]
LONGEST = 5.0
"""Seconds of the processor."""
LARGE = 1 << 16


def read(path):
    """A picture with what was said about it, or the error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            return images.read(path), " ".join(str(entry.message) for entry in caught)
        except PictureError as error:
            return error, str(error)


@pytest.mark.parametrize("odd", FILES, ids=lambda odd: odd.case)
def test_reading_ends_as_the_table_says(odd, corpus):
    path, started = corpus[odd.case], time.process_time()
    found, said = read(path)
    assert time.process_time() - started < LONGEST
    if odd.error is not None:
        assert type(found) is odd.error
        assert found.path == str(path)
        assert odd.said in said
        return
    assert not isinstance(found, PictureError), said
    assert odd.said in said
    assert bool(odd.said) == bool(said)
    if odd.pixels is not None:
        values = found.pixels if found.alpha is None else np.dstack([found.pixels, found.alpha])
        assert values.dtype == odd.pixels.dtype
        np.testing.assert_array_equal(values, odd.pixels)


@pytest.mark.filterwarnings("ignore::unveil.images.PictureWarning")
@pytest.mark.parametrize("odd", [odd for odd in FILES if odd.error is None], ids=lambda odd: odd.case)
def test_what_is_read_is_restored_and_written_in_its_own_kind(odd, corpus, restorer, tmp_path):
    before = images.read(corpus[odd.case])
    done = restorer.run(before, weights={"noise": 1})
    assert done.image.pixels.shape == before.pixels.shape
    assert done.image.pixels.dtype == before.pixels.dtype
    assert (done.image.alpha is None) == (before.alpha is None)
    if before.alpha is not None:
        np.testing.assert_array_equal(done.image.alpha, before.alpha)
    form = before.format if images.FORMATS[before.format].writable else "png"
    path = images.write(done.image, tmp_path / "out", format=form)
    after = images.read(path)
    assert after.pixels.shape == before.pixels.shape or form in ("webp", "avif")
    if form in ("png", "tiff", "bmp"):
        np.testing.assert_array_equal(after.pixels, done.image.pixels)


def test_every_kind_of_a_broken_folder_is_reported_by_restore(corpus, place):
    folder = next(iter(corpus.values())).parent
    outcomes = {corpus[odd.case].name: odd for odd in FILES if "." in odd.name}
    code = place.restore(folder, "-o", place.root / "out", "--json")
    results = json.loads(place.said[-2])["results"]
    assert code == 1
    assert {record["input"].rsplit("/", 1)[-1] for record in results} == set(outcomes)
    wrong = [
        (record["input"], record["error"])
        for record in results
        if (outcomes[record["input"].rsplit("/", 1)[-1]].error is None) != (record["error"] is None)
    ]
    assert not wrong
    assert "fault of unveil" not in place.said[-1]
    made = [record["output"] for record in results if record["error"] is None]
    assert len(set(made)) == sum(odd.error is None for odd in outcomes.values())
    left = [path.name for path in (place.root / "out").iterdir() if path.name.endswith(".part")]
    assert not left


def test_every_odd_file_is_diagnosed_or_reported(corpus, place):
    folder = next(iter(corpus.values())).parent
    code = place.command("diagnose", folder, "--json", "--model", place.model)
    results = {record["input"].rsplit("/", 1)[-1]: record for record in json.loads(place.said[-2])["results"]}
    assert code == 1
    for odd in FILES:
        if "." in odd.name:
            record = results[corpus[odd.case].name]
            assert (record["error"] is None) == (odd.error is None), odd.case
            assert odd.error or abs(sum(record["diagnosis"].values()) - 1) < 1e-6
    assert "fault of unveil" not in place.said[-1]


def test_a_report_speaks_of_odd_files_too(corpus, place):
    some = [odd for odd in FILES if corpus[odd.case].stat().st_size < LARGE][::4]
    for odd in some:
        (place.root / "in").mkdir(exist_ok=True)
        shutil.copy(corpus[odd.case], place.root / "in")
    code = place.command("report", place.root / "in", "-o", place.root / "r.html", "--model", place.model)
    page = (place.root / "r.html").read_text()
    assert code == 1
    assert "fault of unveil" not in place.said[-1]
    for odd in some:
        assert corpus[odd.case].name in page or "." not in odd.name


ALONE = ("png cut off at a quarter", "an empty file", "JPEG of 5000 scans")


@pytest.mark.parametrize("case", ALONE)
def test_a_process_of_its_own_leaves_with_one_and_a_sentence(case, corpus, place):
    done = place.process("restore", corpus[case], "-o", place.root / "out.png")
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")
    assert corpus[case].name.encode() in done.stderr
    assert b"Traceback" not in done.stderr
    assert not (place.root / "out.png").exists()


def test_warnings_are_of_one_class(corpus):
    with pytest.warns(PictureWarning, match="3 pages"):
        images.read(corpus["TIFF of 3 pages"])
