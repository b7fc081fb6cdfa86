import sys
from pathlib import Path

import pytest

from toy import toy_model
from unveil import models
from unveil.errors import ModelNotFound


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user folder with the models `sunny` and, broken, `gloomy`; nothing is bundled."""
    monkeypatch.setenv("UNVEIL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("unveil.models.catalogue.bundled_folder", lambda: tmp_path / "bundled")
    folder = tmp_path / "home" / "models"
    models.write(toy_model(), folder / "sunny.safetensors")
    (folder / "gloomy.safetensors").write_bytes(b"rain")
    (folder / ".sunny.safetensors.1.part").write_bytes(b"half")
    (folder / "notes.txt").write_text("no model")
    return folder


def test_name_is_found(home):
    assert models.find("sunny") == home / "sunny.safetensors"


def test_path_is_found(home, monkeypatch):
    assert models.find(str(home / "sunny.safetensors")) == home / "sunny.safetensors"
    monkeypatch.chdir(home)
    assert models.find("sunny.safetensors") == Path("sunny.safetensors")
    assert models.find(Path("sunny.safetensors")) == Path("sunny.safetensors")


def test_home_sign_is_expanded(home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    assert models.find("~/sunny.safetensors") == home / "sunny.safetensors"


def test_unknown_name_lists_the_known_and_the_nearest(home):
    with pytest.raises(ModelNotFound, match=r"'suny'.*Did you mean 'sunny'.*gloomy, sunny"):
        models.find("suny")


@pytest.mark.parametrize("name", ["nowhere/toy", "missing.safetensors", "./sunny"])
def test_missing_path(home, name):
    with pytest.raises(ModelNotFound, match=name):
        models.find(name)


def test_unknown_name_without_any_models(tmp_path, monkeypatch):
    monkeypatch.setenv("UNVEIL_HOME", str(tmp_path))
    monkeypatch.setattr("unveil.models.catalogue.bundled_folder", lambda: tmp_path)
    with pytest.raises(ModelNotFound, match="no models"):
        models.find("sunny")
    assert models.listing() == []


def test_broken_file_is_listed_with_its_error(home):
    gloomy, sunny = models.listing()
    assert (gloomy.name, gloomy.card) == ("gloomy", None)
    assert "not a model file" in gloomy.error
    assert (sunny.name, sunny.origin, sunny.error) == ("sunny", "user", None)
    assert sunny.card.name == "toy"


def test_bundled_models_are_found_and_give_way_to_the_users(home, tmp_path):
    models.write(toy_model(), tmp_path / "bundled" / "sunny.safetensors")
    models.write(toy_model(), tmp_path / "bundled" / "plain.safetensors")
    assert models.find("plain").parent == tmp_path / "bundled"
    assert models.find("sunny").parent == home
    assert [(entry.name, entry.origin) for entry in models.listing()] == [
        ("gloomy", "user"),
        ("plain", "bundled"),
        ("sunny", "user"),
    ]


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_DATA_HOME", "data/unveil/models"),
        ("win32", "LOCALAPPDATA", "data/unveil/models"),
        ("darwin", "HOME", "data/Library/Application Support/unveil/models"),
    ],
)
def test_platform_decides_the_users_folder(tmp_path, monkeypatch, platform, variable, expected):
    monkeypatch.delenv("UNVEIL_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "data"))
    monkeypatch.setattr(sys, "platform", platform)
    assert models.user_folder() == tmp_path / expected


def test_default_model_has_a_name_and_not_a_path():
    assert models.DEFAULT == "abair-fast"
