"""`unveil evaluate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from command_samples import save
from PIL import Image

from unveil import models


def smooth(seed: int) -> np.ndarray:
    y, x = np.mgrid[0:40, 0:56] / 9
    return (np.stack([np.sin(x + seed), np.cos(y), np.sin(x * y / 5)], -1) * 60 + 160).astype(np.uint8)


@pytest.fixture
def clean(place) -> str:
    for name in "abc":
        save(f"photos/{name}.png", smooth(ord(name)))
    return "photos"


@pytest.fixture
def evaluate(unveil, clean):
    """The cheap sets of `local` on three tiny pictures."""

    def call(*further: str):
        return unveil("evaluate", "--suite", "local", "--clean", clean, "--only", "noise-25,clean", *further)

    return call


def test_a_table_its_files_and_its_sheets(evaluate):
    result = evaluate("-o", "out")
    assert result.code == 0
    assert "    unveil evaluate --suite local --clean photos --only noise-25,clean\n" in result.out
    assert "| photos | noise, sigma 25 | 3 | " in result.out
    assert (Path("out") / "table.md").read_text() == result.out.removesuffix("\n")
    assert {path.name for path in Path("out").iterdir()} == {
        "pictures.csv",
        "pictures.jsonl",
        "results.json",
        "sheets",
        "table.md",
    }
    assert {path.name for path in Path("out/sheets").iterdir()} == {"noise-25--toy.png", "clean--toy.png"}


def test_results_go_to_a_folder_of_the_suites_name(evaluate):
    assert evaluate("--limit", "1", "--no-sheets").code == 0
    assert not Path("results/local/sheets").exists()
    assert json.loads(Path("results/local/results.json").read_text())["sets"][0]["pictures"] == 1


def test_what_still_holds_is_not_measured_again(evaluate):
    assert "still hold" not in evaluate("--limit", "2", "-o", "out").err
    result = evaluate("-o", "out")
    assert "8 figures of earlier runs still hold" in result.err
    lines = Path("out/pictures.jsonl").read_text()
    Image.fromarray(smooth(7)).save("photos/b.png")
    result = evaluate("-o", "out")
    assert "noise-25: 2 earlier figures are measured again: its file has changed" in result.err
    assert Path("out/pictures.jsonl").read_text() != lines


def test_variants_and_baselines_are_columns(evaluate):
    result = evaluate("--oracle", "--blend", "none", "--baselines", "--limit", "1", "--no-sheets", "--json")
    assert result.code == 0
    (noise, clean) = result.json["sets"]
    expected = {"input", "toy", "toy, base alone", "toy, oracle"}
    assert set(clean["subjects"]) == expected
    assert set(noise["subjects"]) == expected | {"non-local means", "wavelet", "total variation"}
    assert result.json["command"].endswith("--limit 1 --blend none --oracle --baselines")


def test_a_radar_is_drawn_where_there_are_sets_enough(evaluate):
    result = evaluate("--plot", "radar", "--limit", "1", "--no-sheets", "-o", "out")
    assert (result.code, "no radar" in result.err) == (0, True)
    result = evaluate(
        "--plot", "radar", "--limit", "1", "--no-sheets", "-o", "out", "--only", "noise-15,noise-25,clean"
    )
    assert Path("out/radar.png").exists()


def test_figures_go_into_a_copy_of_the_card(evaluate):
    assert evaluate("--no-sheets", "--card", "measured.safetensors").code == 0
    card = models.read_card(Path("measured.safetensors"))
    assert [entry["degradation"] for entry in card.metrics] == ["noise, sigma 25", "clean"]
    assert not models.read_card(models.find(models.DEFAULT)).metrics
    assert evaluate("--card", "measured.safetensors").code == 1


def test_an_unreadable_picture_fails_and_the_rest_goes_on(evaluate):
    Path("photos/b.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    result = evaluate("--no-sheets")
    assert result.code == 1
    assert "photos/b.png" in result.err
    assert "| photos | clean | 2 | " in result.out


def test_an_interruption_keeps_what_was_measured(evaluate, monkeypatch):
    from unveil.evaluation import measuring

    whole, calls = measuring.Measuring.work, []

    def work(self, task, tick):
        calls.append(task)
        if len(calls) == 3:
            raise KeyboardInterrupt
        whole(self, task, tick)

    monkeypatch.setattr(measuring.Measuring, "work", work)
    result = evaluate("-o", "out")
    assert result.code == 130
    assert "the same command goes on" in result.err
    assert not Path("out/table.md").exists()
    monkeypatch.setattr(measuring.Measuring, "work", whole)
    result = evaluate("-o", "out", "--no-sheets")
    assert (result.code, "4 figures of earlier runs still hold" in result.err) == (0, True)


def test_missing_sets_are_named_with_what_fetches_them(unveil):
    Path("data").mkdir()
    result = unveil("evaluate", "--suite", "5d")
    assert result.code == 2
    assert "skipped GoPro, motion blur: gopro/test is not there" in result.err
    assert "unveil prepare gopro --root data" in result.err
    assert "no set of the suite '5d' is there" in result.err


def test_suites_are_listed(unveil):
    result = unveil("evaluate", "--suite", "list")
    assert result.code == 0
    assert "constyle-v2" in result.out
    assert "19" in next(line for line in result.out.splitlines() if line.startswith("mioir "))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite", "4d"], "'4d' is unknown to the table of suites"),
        (["--suite", "3d", "--clean", "photos"], "has its own sets"),
        (["--suite", "local", "--clean", "photos", "--only", "nosie-25"], "unknown to the suite local"),
        (["--suite", "local", "--clean", "empty"], "no set of the suite"),
        (["--suite", "local", "--clean", "photos", "--model", "toy.onnx"], "no such file"),
    ],
)
def test_impossible_requests_are_refused(unveil, clean, arguments, message):
    result = unveil("evaluate", *arguments)
    assert result.code == 2
    assert message in result.err


def test_equal_columns_are_refused(evaluate):
    result = evaluate("--model", models.DEFAULT, "--model", models.DEFAULT)
    assert (result.code, "two columns would be called 'toy'" in result.err) == (2, True)


def test_without_torch_the_extra_is_named(unveil, clean, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("unveil.evaluation", "unveil.degradations"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    result = unveil("evaluate", "--suite", "local", "--clean", clean)
    assert result.code == 1
    assert result.err == "error: 'unveil evaluate' needs the extra 'train': pip install 'unveil[train]'\n"
