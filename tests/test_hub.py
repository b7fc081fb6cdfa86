"""Models come from and go to a hub: tried against a stand-in on this machine, never against the network."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from hub_stand_in import TOKEN, Hub
from toy import toy_model
from unveil import errors, models
from unveil.models import hub as hub_module
from unveil.models.page import metadata, write_page
from unveil.restoration import Restorer, load

huggingface_hub = pytest.importorskip("huggingface_hub")

PICTURE = np.random.default_rng(3).random((20, 24, 3), dtype=np.float32)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(hub_module, "PATIENCE", 2.0)
    hub_module.fetch.cache_clear()
    with Hub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield server
    hub_module.fetch.cache_clear()


@pytest.fixture
def published(hub, toy_path):
    hub.repositories["someone/toy"] = {"README.md": b"# toy", "model.safetensors": toy_path.read_bytes()}
    return hub


def test_a_model_of_the_hub_restores_as_the_file_does(published, toy_path):
    expected = load(toy_path).restore(PICTURE, weights={"noise": 1.0})
    assert (load("hf:someone/toy").restore(PICTURE, weights={"noise": 1.0}) == expected).all()
    assert (load("hf:someone/toy@v1").restore(PICTURE, weights={"noise": 1.0}) == expected).all()
    assert load("hf:someone/toy/model.safetensors").name == "toy"


def test_a_model_is_downloaded_once_and_asked_for_once_a_process(published):
    first = models.find("hf:someone/toy")
    whole = [line for line in published.asked if line.startswith("GET") and "/resolve/" in line]
    asked = len(published.asked)
    assert models.find("hf:someone/toy") == first
    assert len(published.asked) == asked
    hub_module.fetch.cache_clear()
    assert models.find("hf:someone/toy") == first
    assert [line for line in published.asked if line.startswith("GET") and "/resolve/" in line] == whole


def test_a_file_named_after_the_repository_is_found_too(published):
    files = published.repositories["someone/toy"]
    published.repositories["someone/other"] = {"other.safetensors": files["model.safetensors"]}
    assert load("hf:someone/other").name == "toy"


def test_out_of_reach_the_copy_in_the_cache_is_used(published, monkeypatch):
    from huggingface_hub import constants

    path = models.find("hf:someone/toy")
    hub_module.fetch.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(published.asked)
    assert models.find("hf:someone/toy") == path
    assert len(published.asked) == asked
    with pytest.raises(errors.ModelNotFound, match=r"out of reach.*not in the cache.*path of a model file"):
        models.find("hf:someone/unseen")


def test_a_dead_hub_is_said_to_be_out_of_reach(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(errors.ModelNotFound, match="out of reach"):
        models.find("hf:someone/toy")


def test_what_is_not_there_is_named(published):
    with pytest.raises(errors.ModelNotFound, match="no such repository"):
        models.find("hf:someone/nothing")
    with pytest.raises(errors.ModelNotFound, match="no branch, tag or commit"):
        models.find("hf:someone/toy@v9")
    published.gated.add("someone/shy")
    with pytest.raises(errors.ModelNotFound, match="grant access"):
        models.find("hf:someone/shy")
    published.repositories["someone/empty"] = {"README.md": b""}
    with pytest.raises(errors.ModelNotFound, match="no model of unveil"):
        models.find("hf:someone/empty")
    published.repositories["someone/two"] = {"a.safetensors": b"", "b.safetensors": b""}
    with pytest.raises(errors.ModelNotFound, match=r"hf:someone/two/a\.safetensors"):
        models.find("hf:someone/two")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (save({"weight": np.zeros(30_000, np.float32)}), "without unveil's card"),
        (save({"weight": np.zeros(3, np.float32)}, metadata={"unveil": '{"format": 99}'}), "format 99"),
        (b"\x80\x04pickle", "not a safetensors file"),
    ],
)
def test_a_foreign_file_is_refused_before_it_is_downloaded(hub, content, message):
    hub.repositories["someone/foreign"] = {"model.safetensors": content}
    with pytest.raises(errors.ModelError, match=message):
        models.find("hf:someone/foreign")
    assert not any(line.startswith("HEAD") for line in hub.asked)


def test_a_huge_file_is_refused_before_it_is_downloaded(published):
    published.claimed["model.safetensors"] = 5 << 30
    with pytest.raises(errors.InvalidModel, match=r"5\.4 GB, the limit is 4\.3 GB"):
        models.find("hf:someone/toy")
    assert not any("/resolve/" in line for line in published.asked)


@pytest.mark.parametrize(
    "text",
    [
        "hf:toy",
        "hf:",
        "hf:a/b/c.pth",
        "hf:a/b/../c.safetensors",
        "hf:a b/c",
        "hf:a/b@",
        "hf:../b",
        "hf:a/..",
        "hf:a--b/c",
    ],
)
def test_other_addresses_are_refused_without_asking(hub, text):
    with pytest.raises(errors.InvalidRequest):
        models.find(text)
    assert not hub.asked


def test_a_pushed_model_comes_back_with_its_page(hub, toy):
    url = Restorer(toy).push_to_hub("someone/mine", token=TOKEN)
    assert url == f"{hub.url}/someone/mine"
    assert sorted(hub.repositories["someone/mine"]) == ["README.md", "model.safetensors"]
    assert hub.repositories["someone/mine"]["README.md"].decode() == write_page(toy.card, "someone/mine")
    back = load("hf:someone/mine")
    assert back.facts.checksum == toy.card.base_checksum
    expected = Restorer(toy).restore(PICTURE, weights={"dark": 0.5})
    assert (back.restore(PICTURE, weights={"dark": 0.5}) == expected).all()
    # A second time there is a repository already.
    Restorer(toy_model(estimator=False)).push_to_hub("someone/mine", token=TOKEN)
    hub_module.fetch.cache_clear()
    assert not load("hf:someone/mine").facts.diagnoses


def test_a_wrong_token_and_a_wrong_name_change_nothing(hub, toy):
    with pytest.raises(errors.ModelError, match="token is missing or wrong"):
        Restorer(toy).push_to_hub("someone/mine", token="hf_other")
    with pytest.raises(errors.InvalidRequest, match="nothing after it"):
        Restorer(toy).push_to_hub("someone/mine@v1", token=TOKEN)
    assert not hub.repositories


def test_the_page_is_what_the_hub_reads(toy):
    from huggingface_hub import ModelCard

    card = models.read_card(models.find("abair-fast"))
    figures = {"set": "Kodak24", "degradation": "noise | 25", "psnr": 29.87, "ssim": 0.81, "protocol": "rgb"}
    rich = replace(card, metrics=(figures,))
    data = ModelCard(write_page(rich, "someone/fast")).data
    assert data.license == "apache-2.0"
    assert data.library_name == "unveil"
    assert data.pipeline_tag == "image-to-image"
    assert {"denoising", "deraining", "dehazing", "image-restoration"} <= set(data.tags)
    values = {(result.dataset_name, result.metric_type): result.metric_value for result in data.eval_results}
    assert values == {("Kodak24", "psnr"): 29.87, ("Kodak24", "ssim"): 0.81}
    assert data.to_dict().items() >= {"library_name": "unveil"}.items()


@pytest.mark.parametrize("name", ["abair-fast", "abair-best"])
def test_the_page_of_a_shipped_model_is_made_from_its_card(name):
    page = Path(__file__).parents[1] / "docs" / "reference" / f"{name}.md"
    made = write_page(models.read_card(models.bundled_folder() / f"{name}.safetensors"), f"OWNER/{name}")
    # After the model was replaced: write what `made` is into the page.
    assert page.read_text(encoding="utf-8") == made


def test_the_metadata_of_any_card_survives_yaml():
    yaml = pytest.importorskip("yaml")
    card = toy_model().card
    odd = {"set": 'a "b": - c\n# ü', "degradation": "yes", "psnr": 1, "ssim": 0.81237}
    strange = replace(card, licence="Mine: all rights - no", metrics=(odd, {}), name="null")
    _, head, _ = write_page(strange, "a/b").split("---\n", 2)
    assert yaml.safe_load(head) == metadata(strange)
    assert metadata(strange)["license"] == "other"
    assert [entry["value"] for entry in metadata(strange)["model-index"][0]["results"][0]["metrics"]] == [1, 0.8124]


def test_without_the_extra_the_message_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    hub_module.fetch.cache_clear()
    with pytest.raises(errors.MissingExtra, match=r"unveil\[hub\]"):
        models.find("hf:someone/toy")


def test_facts_describe_the_model(toy):
    facts = Restorer(toy).facts
    assert facts.undoes == {"noise": "noise", "dark": "low light"}
    assert (facts.steered_by, facts.diagnoses, facts.leaves_clean_alone) == ("adapters", True, True)
    assert facts.parameters == 8 * 48 * 9 + 8 + 48 * 8 * 9
    assert facts.adapter_parameters == {"noise": 2 * 48 * 9 + 16, "dark": 48 * 8 * 9}
    assert (facts.size_multiple, facts.stride, facts.halo, facts.scale) == (4, 4, 12, 1)
    assert facts.as_dict()["file"] == str(toy.path)
    coded = Restorer(toy_model(code=True, estimator=False)).facts
    assert coded.sees_whole_picture
    assert not coded.diagnoses


def test_the_command_line_takes_models_of_the_hub(published, tmp_path):
    from unveil import images

    images.write(
        images.Picture((PICTURE * 255).astype(np.uint8), None, None, None, None, "png", None), tmp_path / "a.png"
    )
    environment = {
        **os.environ,
        "HF_ENDPOINT": published.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    line = [sys.executable, "-m", "unveil", "restore", str(tmp_path / "a.png"), "--model", "hf:someone/toy"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.restored.png").is_file()
