"""`--prompt`, `unveil strip` and `unveil represent`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_samples import save
from PIL import Image

from toy import prompted_toy, toy_model
from unveil import models


@pytest.fixture(scope="session")
def prompted(tmp_path_factory) -> str:
    return str(models.write(prompted_toy(), tmp_path_factory.mktemp("prompted") / "prompted.safetensors"))


@pytest.fixture(scope="session")
def coded(tmp_path_factory) -> str:
    model = toy_model(code=True)
    return str(models.write(model, tmp_path_factory.mktemp("coded") / "coded.safetensors"))


def grey(level: int) -> np.ndarray:
    return np.full((40, 60, 3), level, np.uint8)


def test_prompts_are_chosen_on_the_command_line(unveil, prompted):
    save("dim.png", grey(25))
    found = {}
    for name, words in {
        "blind": (),
        "auto": ("--prompt", "auto"),
        "dark": ("--prompt", "dark"),
        "noise": ("--prompt", "noise=1"),
        "both": ("--prompt", "dark=.5,noise=.5"),
    }.items():
        result = unveil("restore", "dim.png", "-o", f"{name}.png", "--model", prompted, *words)
        assert result.code == 0, result.err
        found[name] = np.asarray(Image.open(f"{name}.png")).astype(int)
    assert np.array_equal(found["blind"], found["auto"])
    assert np.array_equal(found["blind"], found["dark"])
    assert (found["noise"] < found["both"]).all()
    assert (found["both"] < found["dark"]).all()


def test_prompts_that_cannot_be_are_explained(unveil, prompted):
    save("dim.png", grey(25))
    result = unveil("restore", "dim.png", "--prompt", "dark")
    assert result.code == 2
    assert "takes no prompts; say with weights" in result.err
    result = unveil("restore", "dim.png", "--prompt", "rain", "--model", prompted)
    assert result.code == 2
    assert "--prompt: 'rain' is unknown" in result.err
    result = unveil("restore", "dim.png", "--prompt", "dark", "--weights", "dark=1", "--model", prompted)
    assert result.code == 2
    assert "give it alone" in result.err
    assert not list(Path().glob("*restored*"))


def test_a_strip_goes_from_one_prompt_to_the_other(unveil, prompted):
    save("dim.png", grey(25))
    result = unveil(
        "strip", "dim.png", "--from", "dark", "--to", "noise", "--steps", "3", "-o", "s.png", "--model", prompted
    )
    assert result.code == 0, result.err
    sheet = np.asarray(Image.open("s.png").convert("RGB")).astype(int)
    # The input and three results, 60 pixels wide and ten apart, through the middle of the panels.
    row = sheet[56 + 24 + 20]
    levels = [row[20 + 70 * number + 30].mean() for number in range(4)]
    assert levels[0] == 25
    assert levels[1] > levels[2] > levels[3]
    assert levels[2] == pytest.approx((levels[1] + levels[3]) / 2, abs=1)
    again = unveil("strip", "dim.png", "--from", "dark", "--to", "noise", "-o", "s.png", "--model", prompted)
    assert again.code == 1
    assert "--overwrite" in again.err


def test_strips_that_cannot_be_drawn_are_explained(unveil, prompted):
    save("dim.png", grey(25))
    words = ("strip", "dim.png", "-o", "s.png")
    assert "takes no prompts" in unveil(*words, "--from", "dark", "--to", "noise").err
    assert "both name" in unveil(*words, "--from", "dark", "--to", "dark", "--model", prompted).err
    assert "--to: 'rain' is unknown" in unveil(*words, "--from", "dark", "--to", "rain", "--model", prompted).err
    assert "PNG" in unveil("strip", "dim.png", "-o", "s.jpg", "--from", "dark", "--to", "noise").err


def test_classes_of_codes_are_measured_and_drawn(unveil, coded):
    for name, level in (("light", 200), ("dim", 50)):
        for number in range(3):
            save(f"{name}/{number}.png", grey(level + 2 * number))
    result = unveil("represent", "light", "dim", "-o", "plot.png", "--model", coded, "--json")
    assert result.code == 0, result.err
    assert result.json["pictures"] == {"light": 3, "dim": 3}
    # Three channels alike: centres 150 apart, members 2 from them. 6 * 75 ** 2 / (4 * 2 ** 2 / 4).
    assert result.json["calinski_harabasz"] == pytest.approx(6 * 75**2 / 4, rel=0.01)
    plot = Image.open("plot.png")
    assert plot.size[0] == 800
    assert len(np.unique(np.asarray(plot))) > 3
    limited = unveil("represent", "light", "dim", "--limit", "2", "--model", coded)
    assert "over 4 pictures in 2 classes" in limited.out


def test_codes_that_cannot_be_compared_are_explained(unveil, coded, prompted):
    save("light/0.png", grey(200))
    save("dim/0.png", grey(50))
    assert "at least two of different names" in unveil("represent", "light", "--model", coded).err
    assert "takes them from prompts" in unveil("represent", "light", "dim", "--model", prompted).err
    assert "two classes and more features" in unveil("represent", "light", "dim", "--model", coded).err
