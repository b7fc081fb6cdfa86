"""`unveil compare`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_samples import save, smooth
from PIL import Image

from unveil.metrics import protocol


def off_by(levels: int) -> np.ndarray:
    return smooth() + np.uint8(levels)


@pytest.fixture
def trio(place):
    save("a.png", off_by(4))
    save("b.png", off_by(2))
    save("truth.png", smooth())


def test_two_files_against_the_truth(unveil, trio):
    result = unveil("compare", "a.png", "b.png", "--truth", "truth.png", "--json")
    assert result.code == 0
    (entry,) = result.json["results"]
    expected = protocol("rgb").score(off_by(4), smooth())
    assert entry["a"] == {"psnr": expected.psnr, "ssim": expected.ssim}
    assert entry["b"]["psnr"] == pytest.approx(expected.psnr + 20 * np.log10(2))
    assert result.json["picture"] == "compared.png"
    sheet = np.asarray(Image.open("compared.png"))
    # Five panels: both, their errors, the truth.
    assert sheet.shape[1] > 5 * smooth().shape[1]


def test_equal_pictures_have_no_finite_psnr(unveil, trio):
    result = unveil("compare", "truth.png", "a.png", "--truth", "truth.png", "--json")
    assert result.json["results"][0]["a"] == {"psnr": None, "ssim": pytest.approx(1)}


def test_without_a_truth_the_two_are_held_against_each_other(unveil, trio):
    result = unveil("compare", "a.png", "b.png", "-o", "out/sheet.png", "--metric", "rgb8:4", "--json")
    (entry,) = result.json["results"]
    assert entry["a_against_b"]["psnr"] == protocol("rgb8:4").score(off_by(4), off_by(2)).psnr
    assert Path("out/sheet.png").is_file()


def test_folders_are_matched_by_name_and_averaged(unveil, place):
    for name, levels in (("x", 1), ("y", 3)):
        save(f"one/{name}.png", off_by(levels))
        save(f"two/{name}.bmp", off_by(2))
        save(f"clean/{name}.png", smooth())
    save("one/alone.png", smooth())
    result = unveil("compare", "one", "two", "--truth", "clean", "--json")
    assert result.code == 0
    assert [entry["name"] for entry in result.json["results"]] == ["x", "y"]
    psnr = [protocol("rgb").score(off_by(levels), smooth()).psnr for levels in (1, 3)]
    assert result.json["mean"]["a"]["psnr"] == pytest.approx(np.mean(psnr))
    assert "1 pictures have no counterpart" in result.err
    table = unveil("compare", "one", "two", "--truth", "clean", "--overwrite").out
    assert "mean of 2" in table


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["a.png", "b.png", "--truth", "none.png"], "there is no file or folder none.png", 2),
        (["a.png", "folder"], "files only or folders only", 2),
        (["a.png", "small.png"], "cannot compare shape", 2),
        (["a.png", "b.png", "-o", "sheet.jpg"], "must end in .png|let its name end in .png", 2),
        (["a.png", "b.png", "-o", "a.png"], "exists already", 1),
        (["a.png", "b.png", "--metric", "rgbb"], "no protocol is called 'rgbb'", 2),
    ],
)
def test_impossible_requests_are_refused(unveil, trio, arguments, message, code):
    save("folder/a.png")
    save("small.png", smooth(20, 20))
    result = unveil("compare", *arguments)
    assert result.code == code
    assert any(part in result.err for part in message.split("|"))
