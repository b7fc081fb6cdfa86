"""Official weights to model files: what is recognised, what is refused, and that the result restores pictures."""

from __future__ import annotations

import json
import os
import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from unveil import models, networks  # noqa: E402
from unveil.commands.application import run  # noqa: E402
from unveil.restoration import Restorer  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent / "reference"))

from cases import NAMES, Case  # noqa: E402


def tensors(name: str) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(value) for key, value in Case.load(name).state().items()}


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    """A table of explicit prompts as the authors', but drawn anew."""
    path = tmp_path_factory.mktemp("prompts") / "prompts.npy"
    np.save(path, np.random.default_rng(0).random((7, 128, 128)))
    return path


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(1).integers(0, 256, (45, 61, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def convert(tmp_path_factory):
    """Convert a reference case's weights from the command line and read the model; tracing takes most of the time."""

    def convert(name, *flags):
        folder = tmp_path_factory.mktemp(name)
        source, target = folder / f"{name}.pth", folder / f"{name}.safetensors"
        torch.save({"params": tensors(name)}, source)
        assert run(["convert", str(source), "-o", str(target), *map(str, flags)]) == 0
        return models.read(target)

    return convert


@pytest.fixture(scope="module")
def explicit(convert, prompts):
    classifier = prompts.with_name("Classifier.pth")
    torch.save({"params": tensors("mioir-classifier-m")}, classifier)
    return convert("mioir-srresnet-ep", "--prompts", prompts, "--classifier", classifier)


def agree(model, picture, **options):
    """Both engines give the same, and not the picture itself."""
    onnx = Restorer(model, threads=1).run(picture, **options)
    torch_ = Restorer(model, engine="torch", threads=1).run(picture, **options)
    assert onnx.weights == torch_.weights
    assert np.abs(onnx.image.astype(int) - torch_.image).max() <= 1
    assert np.abs(onnx.image.astype(int) - picture).max() > 10
    return onnx


def official(name, picture, *others):
    """What the network itself makes of a picture, 0 to 255."""
    image = torch.from_numpy(picture.transpose(2, 0, 1)[None].astype(np.float32) / 255)
    with torch.inference_mode():
        restored = networks.from_state(tensors(name))(image, *others)
    return restored[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255


@pytest.mark.slow
def test_plain_weights_become_a_model_that_restores(convert, picture):
    model = convert("constyle-v2-originconv", "--half")
    assert model.card.network == {"name": "conv", "config": {"dim": 16}}
    assert {array.dtype.name for array in model.weights["restore"].values()} == {"float16"}
    agree(model, picture)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_guided_weights_become_a_model_with_a_code_of_the_whole_picture(convert, picture):
    model = convert("constyle-v2-constyleconv")
    assert model.card.codes == ("code",)
    assert set(model.graphs) == {"restore", "encode"}
    agree(model, picture)


@pytest.mark.slow
def test_explicit_weights_choose_their_prompt_by_the_classifier_or_by_hand(explicit, picture, prompts):
    assert tuple(explicit.card.degradations) == ("blur", "noise", "jpeg", "rain", "haze", "dark", "lowres")
    blind = agree(explicit, picture)
    assert blind.weights == {blind.diagnosis.main: 1.0}
    rain = agree(explicit, picture, weights={"rain": 0.5})
    dark = Restorer(explicit, threads=1).restore(picture, weights={"dark": 1.0})
    mixed = Restorer(explicit, threads=1).restore(picture, weights={"dark": 0.6, "rain": 0.4})
    assert not np.array_equal(rain.image, dark)
    assert not np.array_equal(mixed, dark)
    prompt = torch.from_numpy(np.load(prompts)[3][None]).float()
    assert np.abs(rain.image - official("mioir-srresnet-ep", picture, prompt)).max() < 0.6


@pytest.mark.slow
def test_explicit_weights_without_a_classifier_must_be_told(explicit, tmp_path, picture, capsys):
    from PIL import Image

    card = replace(explicit.card, estimator=None, blend="none")
    kept = {role: value for role, value in explicit.weights.items() if role != "estimate"}
    graphs = {role: value for role, value in explicit.graphs.items() if role != "estimate"}
    path = models.write(replace(explicit, card=card, weights=kept, graphs=graphs), tmp_path / "told.safetensors")
    source = tmp_path / "picture.png"
    Image.fromarray(picture).save(source)
    assert run(["restore", str(source), "--model", str(path)]) != 0
    assert "say it with a prompt" in capsys.readouterr().err
    assert run(["restore", str(source), "--model", str(path), "--weights", "rain=1"]) == 0


@pytest.mark.slow
def test_adaptive_weights_restore_under_what_they_see(convert, picture):
    done = agree(convert("mioir-srresnet-ap"), picture)
    assert np.abs(done.image - official("mioir-srresnet-ap", picture)).max() < 0.6


@pytest.mark.parametrize("name", NAMES)
def test_every_official_file_is_recognised(tmp_path, name, capsys):
    source = tmp_path / "official.pth"
    torch.save({"state_dict": {f"net.{key}": value for key, value in tensors(name).items()}}, source)
    assert run(["convert", str(source), "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["network"] in networks.NETWORKS
    assert (found["container"], found["prefix"]) == ("state_dict", "net.")
    assert found["output"] is None


def test_container_is_that_of_the_published_tests_unless_another_is_asked_for():
    plain, averaged = tensors("mioir-restormer-m"), tensors("mioir-restormer-m")
    averaged["output.weight"] = averaged["output.weight"] + 1
    file = {"params": plain, "params_ema": averaged}
    assert networks.recognise(file).container == "params"
    assert networks.recognise(file, container="params_ema").weights["output.weight"].equal(averaged["output.weight"])
    guided = tensors("constyle-v2-constyleconv")
    assert networks.recognise({"params": guided, "params_ema": guided}).container == "params_ema"


def test_what_only_training_needs_is_dropped_and_counted():
    state = tensors("constyle-v2-constyleconv")
    keys = {key: value for key, value in state.items() if key.startswith("ConStyle.encoder_q.")}
    state |= {key.replace("encoder_q", "encoder_k"): value for key, value in keys.items()}
    state |= {"ConStyle.queue": torch.zeros(128, 64), "ConStyle.queue_ptr": torch.zeros(1, dtype=torch.int64)}
    found = networks.recognise(state)
    assert found.name == "constyle-conv"
    assert len(found.dropped) == len(keys) + 2


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def refused(capsys, source, *flags):
    """The complaint about a file; nothing is written."""
    target = source.with_suffix(".out.safetensors")
    assert run(["convert", str(source), "-o", str(target), *map(str, flags)]) != 0
    assert not target.exists()
    return " ".join(capsys.readouterr().err.split())


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path, capsys):
    touched, source = tmp_path / "touched", tmp_path / "hostile.pth"
    torch.save({"params": tensors("mioir-srresnet-m"), "extra": Hostile(touched)}, source)
    assert "would run code: it asks for" in refused(capsys, source)
    assert "system" in refused(capsys, source)
    source.write_bytes(pickle.dumps(Hostile(touched)))
    assert "might run code" in refused(capsys, source)
    assert not touched.exists()


def test_the_state_of_an_optimiser_is_told_from_weights(tmp_path, capsys):
    network = torch.nn.Linear(3, 3)
    optimiser = torch.optim.AdamW(network.parameters())
    network(torch.rand(2, 3)).sum().backward()
    optimiser.step()
    source = tmp_path / "state.pth"
    for state in (optimiser.state_dict(), {"epoch": 1, "iter": 2, "optimizers": [], "schedulers": []}):
        torch.save(state, source)
        assert "state of an optimiser" in refused(capsys, source)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_says_so(tmp_path, capsys, share):
    source = tmp_path / "cut.pth"
    torch.save({"params": tensors("mioir-srresnet-m")}, source)
    data = source.read_bytes()
    source.write_bytes(data[: int(len(data) * share)])
    assert "cut short" in refused(capsys, source)


def test_a_mixture_of_two_networks_names_both(tmp_path, capsys):
    source = tmp_path / "mixed.pth"
    torch.save({**tensors("mioir-restormer-m"), **tensors("constyle-v1-nafnet")}, source)
    complaint = refused(capsys, source)
    assert "restormer" in complaint
    assert "nafnet" in complaint
    assert "weights of one network" in complaint


def test_an_incomplete_file_says_what_fits_and_what_is_missing(tmp_path, capsys):
    source = tmp_path / "half.pth"
    state = tensors("mioir-restormer-m")
    del state["latent.0.ffn.dwconv.weight"]
    torch.save(state, source)
    complaint = refused(capsys, source)
    assert "look like restormer" in complaint
    assert "97 of them fit" in complaint
    assert "missing: latent.0.ffn.dwconv.weight" in complaint


def test_a_tensor_of_another_shape_is_named(tmp_path, capsys):
    source = tmp_path / "odd.pth"
    state = tensors("mioir-restormer-m")
    state["refinement.0.ffn.dwconv.weight"] = torch.zeros(3, 1, 3, 3)
    torch.save(state, source)
    assert "refinement.0.ffn.dwconv.weight is (3, 1, 3, 3)" in refused(capsys, source)


@pytest.mark.parametrize("name", ["mioir-classifier-m", "constyle-v1-constyle", "constyle-v2-constyle_v2"])
def test_what_restores_nothing_is_refused_with_advice(tmp_path, capsys, name):
    source = tmp_path / "part.pth"
    torch.save(tensors(name), source)
    assert "restores nothing by itself" in refused(capsys, source)


def test_prompts_are_asked_for_and_checked_before_anything_long(tmp_path, capsys, prompts):
    source, wrong = tmp_path / "ep.pth", tmp_path / "wrong.npy"
    torch.save(tensors("mioir-srresnet-ep"), source)
    assert "--prompts" in refused(capsys, source)
    np.save(wrong, np.zeros((3, 128, 128)))
    assert "(3, 128, 128)" in refused(capsys, source, "--prompts", wrong)
    np.save(wrong, np.array([Hostile(tmp_path / "touched")], dtype=object), allow_pickle=True)
    assert "wrong.npy" in refused(capsys, source, "--prompts", wrong)
    assert not (tmp_path / "touched").exists()
    assert "wants MiOIR's classifier" in refused(capsys, source, "--prompts", prompts, "--classifier", source)
    plain = tmp_path / "plain.pth"
    torch.save(tensors("mioir-srresnet-m"), plain)
    assert "takes no explicit prompts" in refused(capsys, plain, "--prompts", prompts)


def test_other_files_are_told_what_they_are(tmp_path, capsys, toy_path):
    assert "model file of unveil already" in refused(capsys, toy_path)
    assert "no such file" in refused(capsys, tmp_path / "nowhere.pth")
    source = tmp_path / "number.pth"
    torch.save(3, source)
    assert "expected weights by name" in refused(capsys, source)
    torch.save({"epoch": 3}, source)
    assert "epoch" in refused(capsys, source)
    torch.save({"some.weight": torch.zeros(3)}, source)
    assert "belong to no network" in refused(capsys, source)


def test_an_existing_model_is_not_replaced_unasked(tmp_path, capsys):
    source, target = tmp_path / "w.pth", tmp_path / "m.safetensors"
    torch.save(tensors("mioir-srresnet-m"), source)
    target.write_text("precious")
    assert run(["convert", str(source), "-o", str(target)]) != 0
    assert "--overwrite" in capsys.readouterr().err
    assert target.read_text() == "precious"


def test_statistics_can_be_gathered_of_networks_that_have_them(tmp_path, capsys):
    torch.save(networks.build("srresnet").state_dict(), tmp_path / "w.pth")
    message = refused(capsys, tmp_path / "w.pth", "--gather")
    assert "takes no means of the whole picture" in message
    assert "NAFNet, FastNAF with attention, Restormer and X-Restormer" in message
