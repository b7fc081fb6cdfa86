"""A model with prompts behind the server."""

from __future__ import annotations

import json

import numpy as np
import pytest
from server_samples import file_of, pixels_of

from toy import prompted_toy

DIM = file_of(np.full((40, 56, 3), 25, np.uint8))


@pytest.fixture(scope="module")
def toy():
    return prompted_toy()


def test_a_prompt_may_be_named_mixed_or_left_to_the_model(service):
    answers = {
        prompt: service.post(data=DIM, prompt=prompt) for prompt in ("auto", "dark", "noise", "dark=.5,noise=.5")
    }
    assert {answer.status_code for answer in answers.values()} == {200}
    told = {prompt: json.loads(answer.headers["unveil-weights"]) for prompt, answer in answers.items()}
    assert told == {
        "auto": {"dark": 1.0},
        "dark": {"dark": 1.0},
        "noise": {"noise": 1.0},
        "dark=.5,noise=.5": {"dark": 0.5, "noise": 0.5},
    }
    light = {prompt: pixels_of(answer.content).astype(int).mean() for prompt, answer in answers.items()}
    assert light["auto"] == light["dark"] > light["dark=.5,noise=.5"] > light["noise"]


def test_a_part_of_the_picture_hears_the_prompt_too(service):
    part = service.post(data=DIM, prompt="noise", region="8,8,16,16")
    assert json.loads(part.headers["unveil-weights"]) == {"noise": 1.0}
    whole = pixels_of(service.post(data=DIM, prompt="noise").content)
    assert np.array_equal(pixels_of(part.content), whole[8:24, 8:24])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"prompt": "dark", "weights": "dark=1"}, "give a prompt alone"),
        ({"prompt": "rain"}, "rain"),
        ({"prompt": "dark=no"}, "write each degradation once"),
    ],
)
def test_prompts_that_cannot_be_are_refused(service, options, complaint):
    answer = service.post(data=DIM, **options)
    assert answer.status_code == 422
    assert complaint in answer.json()["message"]
