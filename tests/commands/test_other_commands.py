"""`unveil diagnose`, `degrade`, `models`, `export` and `train`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from command_samples import rough, save, smooth
from PIL import Image

import unveil as package
from toy import toy_model
from unveil import models


def test_diagnose_ranks_with_bars_and_changes_nothing(unveil):
    save("a.png")
    result = unveil("diagnose", "a.png")
    assert result.code == 0
    title, first, *rest = result.out.splitlines()
    assert title == "a.png"
    assert first.split()[0] == "noise"
    assert set(first.split()[1]) == {"█"}
    shares = [float(re.findall(r"\d\.\d\d", line)[0]) for line in (first, *rest)]
    assert shares == sorted(shares, reverse=True)
    assert any(line.startswith("  dark ") and line.endswith("  low light") for line in rest)
    assert [path.name for path in Path().iterdir()] == ["a.png"]


def test_diagnose_json(unveil):
    save("in/a.png")
    save("in/b.png", smooth())
    Path("in/c.png").write_bytes(b"")
    result = unveil("diagnose", "in", "--json")
    assert result.code == 1
    a, b, c = result.json["results"]
    assert set(a) == set(c) == {"input", "diagnosis", "printed", "main", "clean", "error"}
    assert (a["main"], a["clean"]) == ("noise", False)
    assert (b["main"], b["clean"]) == ("clean", True)
    assert c["error"]
    assert sum(a["diagnosis"].values()) == pytest.approx(1)
    assert a["printed"]["dark"] == "low light"


def test_degrade_writes_png_with_alpha_and_the_same_damage_for_the_same_seed(unveil):
    alpha = np.arange(40 * 56, dtype=np.uint8).reshape(40, 56, 1)
    save("a.png", np.concatenate([smooth(), alpha], axis=2))
    results = []
    for seed, out in (("3", "b.png"), ("3", "c.png"), ("4", "d.png")):
        assert unveil("degrade", "a.png", "--with", "noise:0.5", "--seed", seed, "-o", out).code == 0
        results.append(np.asarray(Image.open(out)))
    b, c, d = results
    assert np.array_equal(b, c)
    assert not np.array_equal(b, d)
    assert not np.array_equal(b[..., :3], smooth())
    assert np.array_equal(b[..., 3:], alpha)


def test_degrade_keeps_its_damage_out_of_jpeg(unveil):
    save("a.jpg", smooth())
    result = unveil("degrade", "a.jpg", "--with", "bits:0.5", "--with", "noise:0.1")
    assert (result.code, result.out) == (0, "a.jpg -> a.degraded.png\n")


def test_degrade_refuses_unknown_names(unveil):
    save("a.png")
    result = unveil("degrade", "a.png", "--with", "niose:0.5")
    assert result.code == 2
    assert "did you mean 'noise'?" in result.err


def test_degrade_without_torch_names_the_extra(unveil, monkeypatch):
    save("a.png")
    for name in [name for name in sys.modules if name.startswith("unveil.degradations")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    result = unveil("degrade", "a.png", "--with", "noise:0.5")
    assert result.code == 1
    assert result.err == "error: 'unveil degrade' needs the extra 'train': pip install 'unveil[train]'\n"


def test_models_are_listed_with_the_broken_ones(unveil, monkeypatch, tmp_path, home):
    own = tmp_path / "own"
    (own / "models").mkdir(parents=True)
    (own / "models" / "broken.safetensors").write_bytes(b"no model")
    toy = models.find(home / "models" / f"{models.DEFAULT}.safetensors")
    (own / "models" / "mine.safetensors").write_bytes(toy.read_bytes())
    monkeypatch.setenv("UNVEIL_HOME", str(own))
    result = unveil("models")
    assert result.code == 0
    lines = {line.split()[0]: line for line in result.out.splitlines()}
    assert "broken: " in lines["broken"]
    assert "noise, low light" in lines["mine"]
    assert "Apache-2.0" in lines["mine"]
    assert "user" in lines["mine"]


def test_models_json(unveil):
    (row,) = [row for row in unveil("models", "--json").json["models"] if row["origin"] == "user"]
    assert (row["name"], row["default"], row["error"]) == (models.DEFAULT, True, None)
    assert row["degradations"] == {"noise": "noise", "dark": "low light"}
    assert row["bytes"] == Path(row["path"]).stat().st_size


def export_module(monkeypatch) -> list[tuple[object, ...]]:
    """Put a stand-in for `unveil.export` in place, so that no torch is needed; returns the list of its calls."""
    calls: list[tuple[object, ...]] = []
    module = ModuleType("unveil.export")
    module.write_onnx = lambda model, path, *, weights: calls.append(("onnx", model.card.name, path, weights))
    module.model_from_checkpoint = lambda path: (
        calls.append(("checkpoint", path)) or models.read(models.find(models.DEFAULT))
    )
    monkeypatch.setitem(sys.modules, "unveil.export", module)
    monkeypatch.setattr(package, "export", module, raising=False)
    return calls


def test_export_writes_onnx_of_a_blend(unveil, monkeypatch):
    calls = export_module(monkeypatch)
    assert unveil("export", models.DEFAULT, "-o", "out/noise.onnx", "--weights", "noise=1").code == 0
    assert calls == [("onnx", "toy", Path("out/noise.onnx"), {"noise": 1.0})]


def test_export_turns_a_checkpoint_into_a_model_file(unveil, monkeypatch):
    calls = export_module(monkeypatch)
    Path("last.ckpt").write_bytes(b"")
    Path("run").mkdir()
    assert unveil("export", "last.ckpt", "-o", "mine.safetensors").code == 0
    assert unveil("export", "run", "-o", "mine.safetensors").code == 1
    assert unveil("export", "run", "-o", "mine.safetensors", "--overwrite").code == 0
    assert calls == [("checkpoint", Path("last.ckpt")), ("checkpoint", Path("run"))]
    assert models.read(Path("mine.safetensors")).card.name == "toy"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "x.pt"], "must end in .safetensors"),
        (["-o", "x.safetensors", "--weights", "noise=1"], "--weights merges a blend"),
        (["-o", "x.onnx", "--weights", "rain=1"], "unknown to the model toy"),
    ],
)
def test_export_refuses_what_it_cannot_do(unveil, monkeypatch, arguments, message):
    export_module(monkeypatch)
    result = unveil("export", models.DEFAULT, *arguments)
    assert result.code == 2
    assert message in result.err


def test_train_hands_everything_on(unveil, monkeypatch):
    calls: list[object] = []
    module = ModuleType("unveil.training")
    module.run = lambda recipe, *, say, **options: calls.append((recipe, options)) or Path("runs/x")
    module.Machine = dict
    monkeypatch.setitem(sys.modules, "unveil.training", module)
    monkeypatch.setattr(package, "training", module, raising=False)
    result = unveil(
        *("train", "fast.yaml", "--data", "a", "--data", "b", "--out", "runs/x", "--phase", "adapt:noise"),
        *("--phase", "estimate", "--set", "seed=1", "--set", "network.width=8", "--no-resume", "--threads", "2"),
        *("--devices", "2", "--nodes", "3", "--strategy", "fsdp", "--compile", "--checkpoint-every", "7"),
    )
    assert (result.code, result.out) == (0, "fast.yaml -> runs/x\n")
    assert unveil("train", "fast.yaml").code == 0
    given, plain = calls
    assert given == (
        Path("fast.yaml"),
        {
            "data": [Path("a"), Path("b")],
            "out": Path("runs/x"),
            "phases": ["adapt:noise", "estimate"],
            "overrides": ["seed=1", "network.width=8"],
            "resume": False,
            "threads": 2,
            "machine": {"devices": 2, "nodes": 3, "strategy": "fsdp", "compile": True, "every": 7},
        },
    )
    assert plain[1] == {
        "data": (),
        "out": None,
        "phases": ("all",),
        "overrides": (),
        "resume": True,
        "threads": None,
        "machine": {"devices": None, "nodes": 1, "strategy": "auto", "compile": False, "every": 500},
    }


def test_rough_is_what_the_toy_finds_noisy():
    assert np.abs(np.diff(rough().astype(int), axis=1)).mean() > 20


def test_diagnose_draws_where_the_damage_is(unveil):
    models.write(toy_model(regions=True), "regions.safetensors")
    pixels = smooth(64, 96)
    pixels[:, :32] = 10
    save("in/a.png", pixels)
    save("in/deep/a.jpg", pixels)
    one = unveil("diagnose", "in/a.png", "--model", "regions.safetensors", "--map", "map.png")
    assert one.code == 0
    assert "map -> map.png" in one.out
    drawn = np.asarray(Image.open("map.png"))
    assert np.ptp(drawn[10, 10].astype(int)) > 50
    assert np.ptp(drawn[10, 90].astype(int)) == 0
    every = unveil("diagnose", "in", "--model", "regions.safetensors", "--map", "maps", "--json")
    assert every.json["results"][0]["coverage"]["dark"] == pytest.approx(1 / 3, abs=1e-3)
    assert {str(path) for path in Path("maps").rglob("*.png")} == {"maps/a.png.map.png", "maps/deep/a.jpg.map.png"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.png", "--map", "map.png"], "cannot tell where"),
        (["a.png", "b.png", "--map", "map.png", "--model", "regions.safetensors"], "name a folder"),
        (["a.png", "--map", "map.jpg", "--model", "regions.safetensors"], ".png"),
    ],
)
def test_maps_that_cannot_be_drawn_are_refused(unveil, arguments, said):
    models.write(toy_model(regions=True), "regions.safetensors")
    save("a.png")
    save("b.png")
    result = unveil("diagnose", *arguments)
    assert result.code == 2
    assert said in result.err
    assert not Path("map.png").exists()


def test_a_map_is_replaced_only_when_asked(unveil):
    models.write(toy_model(regions=True), "regions.safetensors")
    save("a.png")
    Path("map.png").write_bytes(b"mine")
    asked = ("diagnose", "a.png", "--model", "regions.safetensors", "--map", "map.png")
    assert unveil(*asked).code == 1
    assert Path("map.png").read_bytes() == b"mine"
    assert unveil(*asked, "--overwrite").code == 0
    assert Image.open("map.png").width >= 56
