"""What is measured: models as users run them, variants, ONNX networks, classical restorers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from evaluation_samples import CLEAN, PAIRS, photograph
from onnx import TensorProto, helper, numpy_helper

from unveil.errors import EngineError, InvalidRequest
from unveil.evaluation.baselines import ROUND, baselines
from unveil.evaluation.damage import GaussianNoise, Generated, Unchanged, chance
from unveil.evaluation.sets import EvaluationSet
from unveil.evaluation.subjects import ModelSubject, OnnxSubject, open_model
from unveil.metrics import psnr
from unveil.restoration import Restorer


def quiet(done: int, total: int) -> None:
    pass


def picture(height: int = 40, width: int = 56) -> np.ndarray:
    return photograph(1, height, width).astype(np.float32) / 255


def brighter(path, *, folds: int = 1, sides=("height", "width")):
    """A network that adds 0.1, of sides that are multiples of `folds`."""
    shape = [1, 3, *sides]
    nodes = [
        helper.make_node("SpaceToDepth", ["image"], ["folded"], blocksize=folds),
        helper.make_node("Add", ["folded", "light"], ["lit"]),
        helper.make_node("DepthToSpace", ["lit"], ["result"], blocksize=folds),
    ]
    graph = helper.make_graph(
        nodes,
        "brighter",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(0.1, np.float32), "light")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_model_is_measured_as_users_run_it(toy):
    restorer = Restorer(toy, threads=1)
    noisy = GaussianNoise(25)(picture(), chance(0, "a"))
    answer = ModelSubject(restorer, "").restore(noisy, CLEAN, quiet)
    assert np.array_equal(answer.pixels, restorer.restore(noisy))
    assert answer.diagnosis == "noise"


def test_variants_use_the_adapters_they_name(toy):
    restorer = Restorer(toy, threads=1)
    noisy = GaussianNoise(25)(picture(), chance(0, "a"))
    rules = {rule: ModelSubject(restorer, "", rule) for rule in ("none", "oracle", "oh")}
    assert [subject.name for subject in rules.values()] == ["toy, base alone", "toy, oracle", "toy, oh"]
    bare, oracle = (rules[rule].restore(noisy, CLEAN, quiet) for rule in ("none", "oracle"))
    assert np.array_equal(bare.pixels, restorer.restore(noisy, weights={}))
    assert np.array_equal(oracle.pixels, restorer.restore(noisy, weights={"noise": 1.0}))
    assert oracle.diagnosis is None
    assert rules["oracle"].applies(PAIRS)
    blurred = EvaluationSet(name="b", printed="b", label="b", degradation="blur+noise")
    assert not rules["oracle"].applies(blurred)
    assert rules["none"].applies(blurred)


def test_every_rule_of_blending_can_be_measured(toy, toy_path):
    noisy = GaussianNoise(25)(picture(), chance(0, "a"))
    rules = ("own", "auto", "topk:1", "sum", "average")
    opened = open_model(str(toy_path), rules=rules, engine="auto", threads=1, multiple=1)
    assert [subject.name for subject in opened] == ["toy", "toy, auto", "toy, topk:1", "toy, sum", "toy, average"]
    weights = [subject.restore(noisy, CLEAN, quiet).weights for subject in opened]
    assert weights[3:] == [{"noise": 1.0, "dark": 1.0}, {"noise": 0.5, "dark": 0.5}]
    assert weights[1] == {"noise": 1.0}
    with pytest.raises(InvalidRequest, match="mean"):
        open_model(str(toy_path), rules=("own", "mean"), engine="auto", threads=1, multiple=1)


def test_rules_need_an_estimator(tmp_path, monkeypatch, toy_path):
    from toy import toy_model
    from unveil import models

    models.write(toy_model(estimator=False), tmp_path / "bare.safetensors")
    with pytest.raises(InvalidRequest, match="no estimator"):
        open_model(str(tmp_path / "bare.safetensors"), rules=("own", "oh"), engine="auto", threads=1, multiple=1)
    assert (
        len(open_model(str(tmp_path / "bare.safetensors"), rules=("own", "sum"), engine="auto", threads=1, multiple=1))
        == 2
    )
    opened = open_model(str(toy_path), rules=("own", "oh"), engine="auto", threads=1, multiple=1)
    assert [subject.name for subject in opened] == ["toy", "toy, oh"]


def test_an_onnx_network_is_padded_and_cut_back(tmp_path):
    path = brighter(tmp_path / "brighter.onnx", folds=8)
    small = picture(37, 53)
    subject = OnnxSubject(path, multiple=8)
    assert np.allclose(subject.restore(small, CLEAN, quiet).pixels, np.clip(small + 0.1, 0, 1), atol=1e-6)
    with pytest.raises(EngineError, match="Another multiple of sides may help"):
        OnnxSubject(path, multiple=1).restore(small, CLEAN, quiet)
    assert OnnxSubject(path, multiple=16).checksum != subject.checksum


def test_an_onnx_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "no.onnx").write_bytes(b"no")
    with pytest.raises(EngineError, match="cannot open"):
        open_model(str(tmp_path / "no.onnx"), rules=("own",), engine="auto", threads=1, multiple=1)
    with pytest.raises(InvalidRequest, match="no such file"):
        open_model(str(tmp_path / "none.onnx"), rules=("own",), engine="auto", threads=1, multiple=1)


def test_classical_restorers_help_where_they_apply_and_only_there():
    blurred = EvaluationSet(
        name="b", printed="b", label="b", degradation="blur", damage=Generated("blur", 0.4, ROUND), protocols=("rgb",)
    )
    moved = EvaluationSet(
        name="m", printed="m", label="m", degradation="blur", damage=Generated("blur", 0.4, {"motion": 1})
    )
    clean = EvaluationSet(name="c", printed="c", label="c", degradation="clean", damage=Unchanged())
    applied = 0
    smooth = picture(64, 80)
    # Smooth pictures have nothing that a blur could take away.
    squares = smooth - 0.3 * (np.indices((64, 80)) // 8).sum(0)[..., None].astype(np.float32) % 0.6
    for benchmark, truth in ((CLEAN, smooth), (blurred, np.clip(squares, 0, 1))):
        degraded = benchmark.damage(truth, chance(0, "a"))
        for subject in baselines():
            assert not subject.applies(clean)
            assert not subject.applies(moved)
            if subject.applies(benchmark):
                applied += 1
                restored = subject.restore(degraded, benchmark, quiet).pixels
                assert restored.shape == truth.shape
                assert psnr(restored, truth) > psnr(degraded, truth) + 1, subject.name
    assert applied == 4


def test_names_are_told_apart():
    assert len({subject.name for subject in baselines()}) == 4
    assert all(subject.checksum for subject in baselines())
