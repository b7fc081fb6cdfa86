import sys
from types import SimpleNamespace

import numpy as np
import pytest

from unveil import engines, models
from unveil.errors import EngineError, MissingExtra

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
