"""What a hostile or damaged model file may ask for: bounded before anything is allocated, and never a path."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from toy import toy_model
from unveil import models
from unveil.errors import InvalidModel, InvalidRequest, ModelNotFound
from unveil.models import Card, file
from unveil.models.hub import parse


def card_with(**changes):
    card = json.loads(toy_model().card.to_json())
    for path, change in changes.items():
        *way, last = path.split("__")
        place = card
        for key in way:
            place = place[key]
        place[last] = change
    return json.dumps(card)


def test_a_file_beyond_the_limit_is_not_opened(tmp_path, toy_path, monkeypatch):
    size = toy_path.stat().st_size
    monkeypatch.setattr(file, "LARGEST_FILE", size)
    assert models.read(toy_path)
    monkeypatch.setattr(file, "LARGEST_FILE", size - 1)
    with pytest.raises(InvalidModel, match=r"toy\.safetensors: 0\.0 GB, the limit"):
        models.read(toy_path)


def test_a_sparse_file_of_terabytes_is_not_opened(tmp_path):
    path = tmp_path / "large.safetensors"
    path.write_bytes(struct.pack("<Q", 2) + b"{}")
    try:
        os.truncate(path, 5 << 40)
    except OSError:
        pytest.skip("this file system has no files of that size")
    with pytest.raises(InvalidModel, match=r"5497\.6 GB, the limit for a model file is 4\.3 GB"):
        models.read_card(path)


@pytest.mark.parametrize("length", [2**64 - 1, 2**40, 10_000])
def test_a_header_beyond_the_file_is_not_parsed(tmp_path, length):
    path = tmp_path / "header.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}" + bytes(50))
    with pytest.raises(InvalidModel, match=f"a header of {length} bytes"):
        models.read(path)


def test_a_long_header_is_not_parsed(toy_path, monkeypatch):
    with toy_path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
    monkeypatch.setattr(file, "LARGEST_HEADER", length)
    assert models.read_card(toy_path)
    monkeypatch.setattr(file, "LARGEST_HEADER", length - 1)
    with pytest.raises(InvalidModel, match="a header of"):
        models.read_card(toy_path)


def test_tensors_that_claim_more_than_the_file_are_refused(tmp_path):
    header = {
        "__metadata__": {"unveil": toy_model().card.to_json()},
        "weights/restore/a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]},
    }
    text = json.dumps(header).encode()
    path = tmp_path / "claim.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(64))
    with pytest.raises(InvalidModel, match="cut short"):
        models.read(path)


def test_names_of_tensors_are_no_paths(tmp_path, toy_path):
    tensors, before = load_file(toy_path), set(tmp_path.rglob("*"))
    text = toy_model().card.to_json()
    for name in ("../../evil", "/etc/evil", "weights/restore/../../evil", "graphs/../evil", "tables/a/b", "a\\b"):
        path = tmp_path / "names.safetensors"
        save_file(tensors | {name: np.zeros(2, np.uint8)}, path, metadata={"unveil": text})
        with pytest.raises(InvalidModel):
            models.read(path)
        path.unlink()
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"halo": 1023}, "halo.* makes tiles of 4100 pixels, expected at most 4096"),
        ({"size_multiple": 4096}, "makes tiles"),
        ({"stride": 4096}, "makes tiles"),
        ({"halo": 5000}, "0 to 4096"),
        ({"estimator__side": 4096, "estimator__crops": 1}, "estimator.side.* of views"),
        ({"estimator__side": 2048, "estimator__crops": 4}, "of views"),
        ({"estimator__crops": 65}, "0 to 64"),
        ({"adapters__noise__rank": 4097}, "1 to 4096"),
    ],
)
def test_a_card_cannot_ask_for_endless_memory(changes, complaint):
    with pytest.raises(InvalidModel, match=complaint):
        Card.from_json(card_with(**changes))


def test_the_largest_sizes_are_still_read():
    card = Card.from_json(card_with(halo=1022, estimator__side=4096, estimator__crops=0))
    assert (card.halo, card.estimator.side) == (1022, 4096)


@pytest.mark.parametrize("bad", ["\x1b[2J", "a\0b", "\u202e", "\ud800", "bell\x07", "line\r"])
@pytest.mark.parametrize("key", ["name", "summary", "licence", "degradations__noise", "estimator__name"])
def test_what_a_terminal_would_obey_is_no_text_of_a_card(key, bad):
    with pytest.raises(InvalidModel, match=r"without control characters") as caught:
        Card.from_json(card_with(**{key: bad}))
    assert str(caught.value).isprintable()


def test_names_of_classes_and_codes_are_printable_too():
    for changes in ({"codes": ["a\x1b"]}, {"estimator__classes": ["noise\x1b", "dark"]}):
        with pytest.raises(InvalidModel, match="control characters"):
            Card.from_json(card_with(**changes))
    card = json.loads(card_with())
    card["degradations"] = {"noise\x1b": "noise"}
    with pytest.raises(InvalidModel, match="control characters"):
        Card.from_json(json.dumps(card))


def test_texts_may_have_lines_and_every_script():
    assert Card.from_json(card_with(summary="Zwei\n\tZeilen, 二行, سطران 🙂")).summary.startswith("Zwei")


@pytest.mark.parametrize(
    "text",
    [
        "hf:../evil",
        "hf:owner/..",
        "hf:owner/name/../../evil.safetensors",
        "hf:owner/name//etc/evil.safetensors",
        "hf:owner/name/./evil.safetensors",
        "hf:owner/name/..\\evil.safetensors",
        "hf:owner/name/C:evil.safetensors",
        "hf:owner/name/evil\n.safetensors",
        "hf:owner/name/.safetensors/../a.safetensors",
        "hf:owner/name/a.safetensors.bin",
        "hf:owner/name/a.pt",
        "hf:owner/name@../../refs",
        "hf:owner/name@a\\..\\b",
    ],
)
def test_addresses_on_the_hub_are_no_paths(text):
    with pytest.raises(InvalidRequest):
        parse(text)


@pytest.mark.parametrize("name", ["..", ".", "", "a\0b", "../models/toy", "~", "x" * 5000, "\udcff"])
def test_names_of_models_are_looked_up_not_joined(name, monkeypatch, toy_path, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "toy.safetensors").write_bytes(toy_path.read_bytes())
    monkeypatch.setenv("UNVEIL_HOME", str(tmp_path))
    assert models.find("toy").is_file()
    with pytest.raises(ModelNotFound):
        models.find(name)


def test_a_model_file_of_any_name_is_read(tmp_path, toy_path):
    for name in ("صورة", "two\nlines", "\udcff"):
        path = tmp_path / f"{name}.safetensors"
        try:
            path.write_bytes(toy_path.read_bytes())
        except (OSError, UnicodeError):
            continue
        assert models.read(path).card.name == "toy"


def test_what_is_no_ordinary_file_is_no_model(tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    found = [tmp_path / "folder.safetensors"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.safetensors")
        found.append(tmp_path / "pipe.safetensors")
    for path in found:
        with pytest.raises(ModelNotFound):
            models.read(path)
        with pytest.raises(ModelNotFound):
            models.find(path)
