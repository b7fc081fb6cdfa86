"""Which engine is taken for a precision and a network, and what is said when one cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from toy import toy_model
from unveil import engines, models
from unveil.errors import EngineError, InvalidRequest, MissingExtra, OutOfMemory
from unveil.restoration import Restorer

DIMENSIONS = {"batch": 1, "height": 16, "width": 24}


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(engines, "available", lambda: list(names))


def test_auto_is_onnx_for_the_shipped_network(monkeypatch):
    installed(monkeypatch, "onnx", "openvino", "torch")
    assert engines.choose("auto", network="fastnaf").name == "onnx"


def test_auto_is_openvino_where_it_was_measured_to_be_faster(monkeypatch):
    pytest.importorskip("openvino")
    installed(monkeypatch, "onnx", "openvino")
    assert engines.choose("auto", network="restormer").name == "openvino"
    installed(monkeypatch, "onnx")
    assert engines.choose("auto", network="restormer").name == "onnx"


def test_auto_opens_small_networks_with_onnx_runtime(monkeypatch, toy):
    pytest.importorskip("openvino")
    installed(monkeypatch, "onnx", "openvino")
    engine = engines.choose("auto", network="restormer", threads=1)
    restoring = engine.open(toy, "restore", toy.weights["restore"], DIMENSIONS)
    assert type(restoring).__name__ == "OpenvinoNetwork"
    estimating = engine.open(toy, "estimate", toy.weights["estimate"], {})
    assert type(estimating).__name__ == "OnnxNetwork"


def test_bf16_falls_back_to_torch_and_then_names_the_extra(monkeypatch):
    pytest.importorskip("torch")
    installed(monkeypatch, "onnx", "torch")
    assert engines.choose("auto", precision="bf16").name == "torch"
    installed(monkeypatch, "onnx")
    with pytest.raises(MissingExtra, match=r"bf16.*unveil\[fast\]"):
        engines.choose("auto", precision="bf16")


def test_onnx_runtime_has_no_bf16():
    with pytest.raises(InvalidRequest, match="openvino or torch"):
        engines.choose("onnx", precision="bf16")


def test_unknown_precision_names_those_known():
    with pytest.raises(InvalidRequest, match=r"'fp8'.*fp32, bf16"):
        engines.choose("onnx", precision="fp8")


def test_processor_without_bf16_is_told(monkeypatch):
    pytest.importorskip("openvino")
    from unveil.engines import openvino

    monkeypatch.setattr(openvino, "capabilities", lambda: ["FP32", "INT8"])
    with pytest.raises(InvalidRequest, match=r"bf16 needs a processor.*FP32, INT8"):
        engines.choose("openvino", precision="bf16")


def test_bf16_is_near_fp32_and_not_the_same(toy):
    pytest.importorskip("openvino")
    from unveil.engines import openvino

    if "BF16" not in openvino.capabilities():
        pytest.skip("this processor cannot compute in bf16")
    image = np.random.default_rng(1).random((1, 3, 16, 24), dtype=np.float32)
    weights = models.blend(toy.weights["restore"], toy.adapters, {})
    exact, rough = (
        engines.choose("openvino", threads=1, precision=precision).open(toy, "restore", weights, DIMENSIONS)(
            image=image
        )
        for precision in ("fp32", "bf16")
    )
    difference = np.abs(exact["restored"] - rough["restored"]).max()
    assert 0 < difference < 0.02


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer of size 1099511627776"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_errors_that_mean_memory_are_told_apart(error):
    assert isinstance(engines.stopped("model", "engine", error), OutOfMemory)
    assert type(engines.stopped("model", "engine", ValueError("wrong shape"))) is EngineError


class Small:
    """An engine whose networks refuse tiles of more than so many pixels."""

    name = "small"

    def __init__(self, pixels: int, *, opening: bool = False) -> None:
        self.pixels = pixels
        self.opening = opening
        self.engine = engines.choose("onnx", threads=1)

    def open(self, model, role, weights, dimensions):
        if self.opening and role != "estimate" and dimensions["height"] * dimensions["width"] > self.pixels:
            raise engines.stopped("model", "engine", MemoryError(), opening=True)
        network = self.engine.open(model, role, weights, dimensions)

        def run(**inputs):
            image = next(iter(inputs.values()))
            if role != "estimate" and image.shape[2] * image.shape[3] > self.pixels:
                raise OutOfMemory("no memory")
            return network(**inputs)

        return run


@pytest.mark.parametrize("opening", [False, True], ids=["running", "opening"])
def test_tiles_shrink_until_memory_suffices(toy, opening):
    pixels = np.random.default_rng(2).random((300, 280, 3)).astype(np.float32)
    plain = Restorer(toy, threads=1).run(pixels, weights={"noise": 1.0})
    restorer = Restorer(toy, threads=1)
    restorer._sessions.engine = Small(150 * 150, opening=opening)
    done = restorer.run(pixels, weights={"noise": 1.0})
    assert (plain.shrunk_to, done.shrunk_to) == (0, 128)
    assert done.tiles > 1
    np.testing.assert_allclose(done.image, plain.image, atol=1e-5)
    assert restorer.run(pixels[:100, :100], weights={"noise": 1.0}).shrunk_to == 0


def test_tiles_shrink_for_a_picture_far_smaller_than_a_tile(toy):
    pixels = np.random.default_rng(2).random((180, 160, 3)).astype(np.float32)
    restorer = Restorer(toy, threads=1, tile_side=1024)
    restorer._sessions.engine = Small(150 * 150)
    done = restorer.run(pixels, weights={"noise": 1.0})
    assert (done.shrunk_to, done.tiles > 1) == (128, True)


def test_no_smaller_tile_is_left(toy):
    restorer = Restorer(toy, threads=1)
    restorer._sessions.engine = Small(16)
    with pytest.raises(OutOfMemory, match="no memory"):
        restorer.run(np.zeros((300, 280, 3), np.float32), weights={"noise": 1.0})


def test_parts_that_a_code_is_taken_of_shrink_too():
    model = toy_model(code=True)
    pixels = np.random.default_rng(2).random((300, 280, 3)).astype(np.float32)
    plain = Restorer(model, threads=1, tile_side=128).encode(pixels)
    restorer = Restorer(model, threads=1)
    restorer._sessions.engine = Small(150 * 150)
    codes = restorer.encode(pixels)
    assert list(codes) == list(model.card.codes)
    np.testing.assert_array_equal(codes["shade"], plain["shade"])
    done = restorer.run(pixels, weights={})
    assert (done.shrunk_to, done.tiles > 1) == (128, True)


def test_a_code_that_no_part_is_small_enough_for():
    restorer = Restorer(toy_model(code=True), threads=1)
    restorer._sessions.engine = Small(16)
    with pytest.raises(OutOfMemory, match="no memory"):
        restorer.encode(np.zeros((300, 280, 3), np.float32))


def test_tiles_of_a_map_shrink_too():
    model = toy_model(regions=True)
    pixels = np.random.default_rng(2).random((300, 280, 3)).astype(np.float32)
    restorer = Restorer(model, threads=1)
    restorer._sessions.engine = Small(150 * 150, opening=True)
    np.testing.assert_allclose(restorer.map(pixels).shares, Restorer(model, threads=1).map(pixels).shares, atol=1e-5)
