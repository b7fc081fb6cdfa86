import dataclasses

import numpy as np
import pytest

from toy import toy_model
from unveil import engines, models
from unveil.errors import EngineError, InvalidModel, InvalidRequest

DIMENSIONS = {"batch": 1, "height": 16, "width": 24}


@pytest.fixture
def image():
    return np.random.default_rng(1).random((1, 3, 16, 24), dtype=np.float32)


def by_hand(image, weights):
    """The toy network in NumPy."""
    folded = image.reshape(1, 3, 4, 4, 6, 4).transpose(0, 3, 5, 1, 2, 4).reshape(1, 48, 4, 6)

    def convolve(x, weight):
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        return np.einsum("bihwyx,oiyx->bohw", windows, weight)

    hidden = np.maximum(convolve(folded, weights["body.weight"]) + weights["body.bias"][None, :, None, None], 0)
    unfolded = convolve(hidden, weights["tail.weight"])
    return image + unfolded.reshape(1, 4, 4, 3, 4, 6).transpose(0, 3, 4, 1, 5, 2).reshape(image.shape)


@pytest.mark.parametrize("weights", [{}, {"noise": 0.7}, {"noise": 0.3, "dark": 1.0}])
def test_graph_runs_with_the_weights_given(toy, image, weights):
    blended = models.blend(toy.weights["restore"], toy.adapters, weights)
    network = engines.choose("onnx", threads=1).open(toy, "restore", blended, DIMENSIONS)
    np.testing.assert_allclose(network(image=image)["restored"], by_hand(image, blended), atol=1e-5)


def test_blends_give_different_answers(toy, image):
    engine = engines.choose("onnx", threads=1)
    plain, changed = (
        engine.open(toy, "restore", models.blend(toy.weights["restore"], toy.adapters, weights), DIMENSIONS)
        for weights in ({}, {"dark": 1.0})
    )
    assert np.abs(plain(image=image)["restored"] - changed(image=image)["restored"]).max() > 1e-3


def test_stored_half_precision_is_accepted(toy, image):
    engine = engines.choose("onnx", threads=1)
    blended = models.blend(toy.weights["restore"], {}, {})
    expected = engine.open(toy, "restore", blended, DIMENSIONS)(image=image)["restored"]
    stored = engine.open(toy, "restore", toy.weights["restore"], DIMENSIONS)(image=image)["restored"]
    np.testing.assert_array_equal(stored, expected)


def test_network_outlives_the_callers_arrays(toy, image):
    blended = models.blend(toy.weights["restore"], toy.adapters, {"noise": 1.0})
    network = engines.choose("onnx", threads=1).open(toy, "restore", blended, DIMENSIONS)
    before = network(image=image)["restored"]
    blended.clear()
    junk = [np.full(3456, 9, np.float32) for _ in range(100)]
    np.testing.assert_array_equal(network(image=image)["restored"], before)
    assert junk


def test_missing_weight_is_named(toy):
    weights = dict(toy.weights["restore"])
    del weights["body.bias"]
    with pytest.raises(EngineError, match=r"'toy'.*'restore'.*body\.bias"):
        engines.choose("onnx").open(toy, "restore", weights, DIMENSIONS)


def test_weight_of_another_shape_is_named(toy):
    weights = toy.weights["restore"] | {"body.bias": np.zeros(9, np.float32)}
    with pytest.raises(EngineError, match=r"'body\.bias' has shape \(9,\)"):
        engines.choose("onnx").open(toy, "restore", weights, DIMENSIONS)


def test_size_that_is_no_multiple_is_refused_before_running(toy):
    with pytest.raises(EngineError, match=r"'restore'.*multiple of 4"):
        engines.choose("onnx").open(toy, "restore", toy.weights["restore"], {"batch": 1, "height": 18, "width": 16})


def test_role_without_a_graph(toy):
    with pytest.raises(EngineError, match=r"'encode'.*only"):
        engines.choose("onnx").open(toy, "encode", {}, {})


def test_graph_of_unknown_operators_is_an_engine_error(toy, image):
    graph = toy.graphs["restore"].replace(b"SpaceToDepth", b"SpaceToDinth")
    model = dataclasses.replace(toy, graphs={"restore": graph})
    with pytest.raises(EngineError, match=r"'restore'.*cannot open"):
        engines.choose("onnx").open(model, "restore", toy.weights["restore"], DIMENSIONS)


def test_broken_graph_is_an_invalid_model(toy):
    model = dataclasses.replace(toy, graphs={"restore": b"rain"})
    with pytest.raises(InvalidModel):
        engines.choose("onnx").open(model, "restore", toy.weights["restore"], DIMENSIONS)


def test_wrong_input_is_an_engine_error(toy):
    network = engines.choose("onnx").open(toy, "estimate", toy.weights["estimate"], {"batch": 2})
    with pytest.raises(EngineError, match="'estimate'"):
        network(views=np.zeros((2, 3, 32, 31), np.float32))


def test_codes_are_inputs_by_name(image):
    model = toy_model(code=True)
    network = engines.choose("onnx", threads=1).open(model, "restore", model.weights["restore"], DIMENSIONS)
    shade = np.array([0.1, 0.2, 0.3], np.float32).reshape(1, 3, 1, 1)
    difference = network(image=image, shade=shade)["restored"] - network(image=image, shade=0 * shade)["restored"]
    np.testing.assert_allclose(difference, np.broadcast_to(shade, image.shape), atol=1e-6)


def test_auto_is_onnx():
    assert engines.choose("auto").name == "onnx"
    assert "onnx" in engines.available()


def test_unknown_engine_is_refused():
    with pytest.raises(InvalidRequest, match=r"'gpu'.*onnx"):
        engines.choose("gpu")


def test_threads_below_one_are_refused():
    with pytest.raises(InvalidRequest, match="threads"):
        engines.choose("onnx", threads=0)
