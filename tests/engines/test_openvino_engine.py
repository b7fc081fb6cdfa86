import sys
import tempfile

import numpy as np
import pytest

from unveil import engines, models
from unveil.errors import EngineError, MissingExtra

DIMENSIONS = {"batch": 1, "height": 16, "width": 24}


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "unveil.engines.openvino", raising=False)
    with pytest.raises(MissingExtra, match=r"unveil\[fast\]"):
        engines.choose("openvino")


def test_openvino_agrees_with_onnx_runtime(toy, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    image = np.random.default_rng(1).random((1, 3, 16, 24), dtype=np.float32)
    blended = models.blend(toy.weights["restore"], toy.adapters, {"noise": 0.5})
    answers = []
    for name in ("onnx", "openvino"):
        network = engines.choose(name, threads=1).open(toy, "restore", blended, DIMENSIONS)
        answers.append(network(image=image)["restored"])
        network(image=image * 0)
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-5)
    assert not list(tmp_path.iterdir())


def test_openvino_names_a_missing_weight(toy):
    pytest.importorskip("openvino")
    with pytest.raises(EngineError, match=r"'restore'.*body\.weight"):
        engines.choose("openvino").open(toy, "restore", {}, DIMENSIONS)


def test_a_later_blend_is_written_over_what_was_compiled(toy, monkeypatch):
    pytest.importorskip("openvino")
    from unveil.engines import openvino as engine
    from unveil.engines.recurring import Recurring

    monkeypatch.setattr(engine, "BLANKS", Recurring(engine._blank, 2, times=3))
    image = np.random.default_rng(1).random((1, 3, 16, 24), dtype=np.float32)
    chosen = engines.choose("openvino", threads=1)

    def answer(weight):
        blended = models.blend(toy.weights["restore"], toy.adapters, {"noise": weight})
        return chosen.open(toy, "restore", blended, DIMENSIONS)(image=image)["restored"]

    compiled = [answer(weight) for weight in (0.2, 0.9)]
    calls = []
    monkeypatch.setattr(engine, "_compile", lambda *given, real=engine._compile: calls.append(given) or real(*given))
    filled = [answer(weight) for weight in (0.2, 0.9)]
    assert len(calls) == 1
    for one, other in zip(compiled, filled, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(*filled)
