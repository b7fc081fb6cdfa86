import dataclasses
import json
import math

import pytest

from toy import toy_model
from unveil import models
from unveil.errors import InvalidModel, ModelTooNew
from unveil.models import Card
from unveil.models.page import body


def written(**changes):
    """The toy's card as JSON, with dotted keys changed; None as a change takes the key away."""
    card = json.loads(toy_model().card.to_json())
    for path, change in changes.items():
        *way, last = path.split("__")
        place = card
        for key in way:
            place = place[key]
        if change is ...:
            del place[last]
        else:
            place[last] = change
    return json.dumps(card)


def test_card_survives_json():
    card = toy_model(code=True).card
    assert Card.from_json(card.to_json()) == card


def test_card_without_estimator_survives_json():
    card = toy_model(estimator=False).card
    assert Card.from_json(card.to_json()) == card


def test_newer_format_is_refused_with_advice():
    with pytest.raises(ModelTooNew, match=r"format 3.*up to format 2.*upgrade"):
        Card.from_json(written(format=3))


def test_newer_format_is_refused_before_anything_else():
    with pytest.raises(ModelTooNew):
        Card.from_json('{"format": 7, "networks": []}')


@pytest.mark.parametrize("key", ["name", "network", "halo", "adapters", "estimator", "metrics", "codes", "licence"])
def test_missing_key_is_named(key):
    with pytest.raises(InvalidModel, match=f"'{key}'"):
        Card.from_json(written(**{key: ...}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", 3),
        ("stride", "8"),
        ("stride", 0),
        ("stride", True),
        ("halo", -1),
        ("size_multiple", 10**9),
        ("blend", "average"),
        ("codes", ["a", 1]),
        ("codes", ["a", "a"]),
        ("metrics", [1]),
        ("degradations__noise", 1),
        ("network__name", None),
        ("network__config", []),
        ("adapters__noise__rank", 0),
        ("adapters__noise__alpha", "2"),
        ("estimator__classes", []),
        ("estimator__classes", ["clean", "noise"]),
        ("estimator__temperature", 0),
        ("estimator__accuracy", "good"),
        ("estimator__ece", -1),
        ("estimator__confusion", [[1, 2, 3]]),
        ("estimator__confusion", [[1, 2, 3], [1, 2, 3], [1, 2, "3"]]),
        ("estimator__side", 10**6),
        ("estimator__global_weight", float("nan")),
    ],
)
def test_wrong_value_is_named(key, value):
    with pytest.raises(InvalidModel, match=key.replace("__", ".")):
        Card.from_json(written(**{key: value}))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000])
def test_what_is_no_object_is_refused(text):
    with pytest.raises(InvalidModel):
        Card.from_json(text)


def test_unknown_keys_are_ignored():
    assert Card.from_json(written(colour="blue")) == toy_model().card


def test_what_was_measured_of_an_estimator_survives_and_may_be_missing():
    card = toy_model().card
    confusion = ((5, 1, 0), (0, 4, 2), (0, 0, 6))
    measured = dataclasses.replace(card.estimator, accuracy=0.83, ece=0.04, confusion=confusion)
    told = dataclasses.replace(card, estimator=measured)
    assert Card.from_json(told.to_json()) == told
    values = json.loads(card.to_json())
    for key in ("accuracy", "ece", "confusion"):
        del values["estimator"][key]
    assert Card.from_json(json.dumps(values)) == card


def test_the_page_of_a_model_tells_how_far_its_diagnosis_can_be_trusted():
    card = toy_model().card
    measured = dataclasses.replace(
        card.estimator, accuracy=0.833, ece=0.04, confusion=((5, 1, 0), (0, 4, 2), (0, 0, 6))
    )
    page = body(dataclasses.replace(card, estimator=measured), "owner/toy")
    assert "83.3% are called by their right name (expected calibration error 0.040)" in page
    assert "| called | noise | dark | clean |\n|---|---|---|---|\n| noise | 5 | 1 | 0 |" in page
    assert "## Diagnosis" not in body(card, "owner/toy")


def test_a_card_stands_in_its_file_as_people_write():
    card = dataclasses.replace(toy_model().card, summary="Für Straßen, 二行")
    assert "Für Straßen, 二行" in card.to_json()
    assert Card.from_json(card.to_json()) == card


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {1, 2}])
@pytest.mark.parametrize("key", ["metrics", "recipe"])
def test_a_card_with_what_json_cannot_hold_is_not_written(tmp_path, key, value):
    model = toy_model()
    changes = {key: ({"psnr": value},) if key == "metrics" else {"rate": value}}
    spoilt = dataclasses.replace(model, card=dataclasses.replace(model.card, **changes))
    with pytest.raises(InvalidModel, match=r"card of 'toy' cannot be written .* finite numbers"):
        models.write(spoilt, tmp_path / "toy.safetensors")
    assert not list(tmp_path.iterdir())
