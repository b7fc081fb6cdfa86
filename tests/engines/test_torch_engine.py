import sys
from shutil import which
from types import SimpleNamespace

import numpy as np
import pytest

from unveil import engines, models
from unveil.errors import EngineError, InvalidRequest, MissingExtra

DIMENSIONS = {"batch": 1, "height": 16, "width": 24}


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "unveil.engines.torch", raising=False)
    with pytest.raises(MissingExtra, match=r"unveil\[train\]"):
        engines.choose("torch")


@pytest.fixture
def torch_toy(monkeypatch):
    """The toy networks as PyTorch modules, where the engine looks for the real ones."""
    torch = pytest.importorskip("torch")
    nn, functional = torch.nn, torch.nn.functional

    class Toy(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.body = nn.Conv2d(48, width, 3, padding=1)
            self.tail = nn.Conv2d(width, 48, 3, padding=1, bias=False)
            self.register_buffer("constant", torch.ones(1))

        def forward(self, image):
            # ONNX's SpaceToDepth puts the place in the block before the channel, PyTorch the channel before the place.
            shape = (image.shape[0], 3, 16, image.shape[2] // 4, image.shape[3] // 4)
            folded = functional.pixel_unshuffle(image, 4).reshape(shape).transpose(1, 2).flatten(1, 2)
            unfolded = self.tail(functional.relu(self.body(folded)))
            unfolded = unfolded.reshape(shape[0], 16, 3, *shape[3:]).transpose(1, 2).flatten(1, 2)
            return image + self.constant * functional.pixel_shuffle(unfolded, 4)

    class Estimator(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(2, 3)

        def forward(self, views):
            difference = (views[..., 1:] - views[..., :-1]).abs()
            return self.head(torch.stack((views.mean((1, 2, 3)), difference.mean((1, 2, 3))), 1))

    build = {"toy": Toy}
    networks = SimpleNamespace(NETWORKS={}, build=lambda name, **config: build[name](**config))
    monkeypatch.setitem(sys.modules, "unveil.networks", networks)
    monkeypatch.setitem(sys.modules, "unveil.methods.abair.estimator", SimpleNamespace(Estimator=Estimator))


@pytest.mark.usefixtures("torch_toy")
@pytest.mark.parametrize(
    ("role", "key", "shape", "output"),
    [("restore", "image", (1, 3, 16, 24), "restored"), ("estimate", "views", (2, 3, 32, 32), "logits")],
)
def test_torch_agrees_with_onnx_runtime(toy, role, key, shape, output):
    array = np.random.default_rng(1).random(shape, dtype=np.float32)
    dimensions = {"batch": shape[0], "height": shape[2], "width": shape[3]}
    weights = toy.weights[role]
    if role == "restore":
        weights = models.blend(weights, toy.adapters, {"noise": 0.5})
    answers = [
        engines.choose(name).open(toy, role, weights, dimensions)(**{key: array})[output] for name in ("onnx", "torch")
    ]
    assert answers[1].dtype == np.float32
    np.testing.assert_allclose(answers[1], answers[0], atol=2e-4 if role == "estimate" else 1e-5)


@pytest.mark.usefixtures("torch_toy")
@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"body.bias": None}, r"parameters without weights: body\.bias"),
        ({"ghost": np.zeros(3, np.float32)}, "does not know the weights ghost"),
        ({"body.bias": np.zeros(3, np.float32)}, "do not fit"),
    ],
)
def test_weights_that_do_not_fit_are_named(toy, changes, complaint):
    weights = {name: array for name, array in (toy.weights["restore"] | changes).items() if array is not None}
    with pytest.raises(EngineError, match=complaint):
        engines.choose("torch").open(toy, "restore", weights, DIMENSIONS)


def test_network_that_cannot_be_built_is_an_engine_error(toy):
    pytest.importorskip("torch")
    with pytest.raises(EngineError, match=r"'restore'.*cannot build"):
        engines.choose("torch").open(toy, "restore", toy.weights["restore"], DIMENSIONS)


def test_other_roles_are_refused(toy):
    pytest.importorskip("torch")
    with pytest.raises(EngineError, match=r"'forecast'.*onnx"):
        engines.choose("torch").open(toy, "forecast", {}, {})


def test_networks_with_prompts_of_five_axes_run():
    torch = pytest.importorskip("torch")
    from unveil import networks
    from unveil.packing import arrays

    config = {"preset": "tiny", "dim": 8, "blocks": [1, 0, 0, 0], "refinement": 0}
    torch.manual_seed(0)
    network = networks.build("abair", **config).eval()
    card = SimpleNamespace(name="prompted", network={"name": "abair", "config": config})
    weights = arrays(network, list(dict(network.named_parameters())), half=False)
    image = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    opened = engines.choose("torch").open(
        SimpleNamespace(card=card, weights={"restore": weights}), "restore", weights, {}
    )
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(opened(image=image)["restored"], expected, atol=1e-5)


@pytest.mark.usefixtures("torch_toy")
def test_bf16_is_for_restoring_alone(toy):
    image = np.random.default_rng(1).random((1, 3, 16, 24), dtype=np.float32)
    views = np.random.default_rng(1).random((2, 3, 32, 32), dtype=np.float32)
    exact, rough = (engines.choose("torch", precision=precision) for precision in ("fp32", "bf16"))
    weights = models.blend(toy.weights["restore"], toy.adapters, {})
    restored = [engine.open(toy, "restore", weights, DIMENSIONS)(image=image)["restored"] for engine in (exact, rough)]
    assert 0 < np.abs(restored[0] - restored[1]).max() < 0.02
    told = [
        engine.open(toy, "estimate", toy.weights["estimate"], {})(views=views)["logits"] for engine in (exact, rough)
    ]
    np.testing.assert_array_equal(told[0], told[1])


@pytest.fixture
def compilations(monkeypatch):
    """`torch.compile` without its minutes: notes what it is given and hands it back."""
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("CXX", sys.executable)
    noted = []
    monkeypatch.setattr(torch, "compile", lambda call, **options: noted.append(call) or call)
    return noted


@pytest.mark.usefixtures("torch_toy")
def test_only_the_restoring_network_is_compiled_and_only_when_asked(toy, compilations):
    plain, compiled = (engines.choose(name) for name in ("torch", "torch-compiled"))
    assert (plain.name, compiled.name) == ("torch", "torch-compiled")
    plain.open(toy, "restore", toy.weights["restore"], DIMENSIONS)
    compiled.open(toy, "estimate", toy.weights["estimate"], {})
    assert compilations == []
    compiled.open(toy, "restore", toy.weights["restore"], DIMENSIONS)
    assert len(compilations) == 1


def test_without_a_compiler_compiling_is_refused_in_words(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InvalidRequest, match=r"C\+\+ compiler.*'no-such-compiler'.*CXX.*'torch'"):
        engines.choose("torch-compiled")
    assert engines.choose("torch").name == "torch"


@pytest.mark.usefixtures("torch_toy")
def test_what_cannot_be_compiled_is_an_engine_error(toy, monkeypatch):
    import torch

    class TorchDynamoException(RuntimeError):
        """Named as PyTorch's own, which takes seconds to import."""

    def failing(*_, **__):
        raise TorchDynamoException("Python.h: not there\nand a page of code")

    monkeypatch.setenv("CXX", sys.executable)
    monkeypatch.setattr(torch, "compile", lambda call: failing)
    opened = engines.choose("torch-compiled").open(toy, "restore", toy.weights["restore"], DIMENSIONS)
    with pytest.raises(EngineError, match=r"cannot compile it \(Python\.h: not there\).*'torch'"):
        opened(image=np.zeros((1, 3, 16, 24), np.float32))


@pytest.mark.usefixtures("torch_toy")
def test_restoring_reuses_buffers_and_nothing_else_does(toy, monkeypatch):
    import torch

    reused = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("unveil.engines.buffers.reuse", lambda: reused.append(True))
    engines.choose("torch").open(toy, "estimate", toy.weights["estimate"], {})
    assert not reused
    engines.choose("torch").open(toy, "restore", toy.weights["restore"], DIMENSIONS)
    assert reused


def test_convolutions_of_one_weight_keep_their_values_in_onednn():
    torch = pytest.importorskip("torch")
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch has no oneDNN")
    from unveil.engines.torch import _route

    convolution = torch.nn.Conv2d(6, 8, 1)
    image = torch.rand(1, 6, 64, 96).to(memory_format=torch.channels_last)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            before = convolution(image)
            _route(convolution)
            with torch.profiler.profile() as profile:
                after = convolution(image)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(after, before, atol=1e-6)
    assert "aten::mkldnn_convolution" in {event.key for event in profile.key_averages()}


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.usefixtures("torch_toy")
def test_compiled_agrees_for_every_shape_and_blend(toy):
    if which("g++") is None:
        pytest.skip("there is no C++ compiler")
    for weight, shape in ((0.5, (16, 24)), (0.5, (32, 16)), (1.0, (48, 64))):
        weights = models.blend(toy.weights["restore"], toy.adapters, {"noise": weight})
        image = np.random.default_rng(1).random((1, 3, *shape), dtype=np.float32)
        dimensions = {"batch": 1, "height": shape[0], "width": shape[1]}
        plain, compiled = (
            engines.choose(name).open(toy, "restore", weights, dimensions)(image=image)["restored"]
            for name in ("torch", "torch-compiled")
        )
        np.testing.assert_allclose(compiled, plain, atol=1e-5)
