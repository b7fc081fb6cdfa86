"""A model described for other programs."""

from __future__ import annotations

import dataclasses

import pytest

from toy import prompted_toy, toy_model
from unveil.models import base_checksum
from unveil.models.facts import describe


def test_every_fact_is_counted_or_read():
    model = toy_model()
    card = dataclasses.replace(model.card, training_data="twelve photographs")
    facts = describe(dataclasses.replace(model, card=card)).as_dict()
    assert facts == {
        "name": "toy",
        "summary": "For tests only.",
        "architecture": "toy",
        "configuration": {"width": 8},
        "undoes": {"noise": "noise", "dark": "low light"},
        "steered_by": "adapters",
        "diagnoses": True,
        "leaves_clean_alone": True,
        "sees_whole_picture": False,
        "blend": "sw",
        "input_channels": 3,
        "output_channels": 3,
        "scale": 1,
        "size_multiple": 4,
        "stride": 4,
        "halo": 12,
        "parameters": 8 * 48 * 9 + 8 + 48 * 8 * 9,
        "adapter_parameters": {"noise": 2 * 48 * 9 + 16, "dark": 48 * 8 * 9},
        "stored_as": ("float16",),
        "licence": "Apache-2.0",
        "training_data": "twelve photographs",
        "checksum": base_checksum(model.weights["restore"]),
        "file": None,
    }


@pytest.mark.parametrize(
    ("model", "steered_by", "sees_whole_picture", "diagnoses"),
    [
        (toy_model(code=True, estimator=False), "adapters", True, False),
        (prompted_toy(), "prompts", False, True),
    ],
)
def test_what_steers_a_model_is_told(model, steered_by, sees_whole_picture, diagnoses):
    facts = describe(model)
    assert (facts.steered_by, facts.sees_whole_picture, facts.diagnoses) == (steered_by, sees_whole_picture, diagnoses)
    assert facts.leaves_clean_alone == diagnoses


def test_a_model_that_nothing_steers_says_so():
    model = toy_model(estimator=False)
    bare = dataclasses.replace(model.card, adapters={}, degradations={})
    assert describe(dataclasses.replace(model, card=bare, adapters={})).steered_by == "nothing"


def test_an_estimator_without_a_class_for_clean_pictures_leaves_none_alone():
    model = toy_model()
    estimator = dataclasses.replace(model.card.estimator, classes=("noise", "dark", "rain"))
    facts = describe(dataclasses.replace(model, card=dataclasses.replace(model.card, estimator=estimator)))
    assert (facts.diagnoses, facts.leaves_clean_alone) == (True, False)
