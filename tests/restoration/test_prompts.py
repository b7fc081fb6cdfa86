"""Prompts by name, in mixtures, and by the model's own choice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from toy import prompted_toy, toy_model
from unveil.errors import InvalidRequest
from unveil.restoration import Restorer
from unveil.restoration.prompting import weights_of


@pytest.fixture(scope="module")
def restorer():
    return Restorer(prompted_toy(), threads=1)


@pytest.fixture
def picture():
    # Dark to the estimator, and with room for the prompt's light.
    return np.full((24, 32, 3), 0.1, np.float32)


def test_a_mixture_of_prompts_lies_between_them(restorer, picture):
    dark, noise, mixed = (
        restorer.restore(picture, prompt=prompt) for prompt in ("dark", "noise", {"dark": 0.75, "noise": 0.25})
    )
    assert np.abs(dark - noise).max() > 0.02
    np.testing.assert_allclose(mixed, 0.75 * dark + 0.25 * noise, atol=1e-5)
    # Only the ratio counts.
    np.testing.assert_allclose(restorer.restore(picture, prompt={"dark": 3, "noise": 1}), mixed, atol=1e-6)


def test_codes_are_mixed_instead_of_prompts_on_request(picture):
    curved = Restorer(prompted_toy(curved=True), threads=1)
    dark, noise = (curved.restore(picture, prompt=prompt) for prompt in ("dark", "noise"))
    mixture = {"dark": 0.75, "noise": 0.25}
    # A mean of 0.5, squared 0.25, against 0.75 * 0.36 + 0.25 * 0.04 = 0.28.
    codes = curved.restore(picture, prompt=mixture, mixing="codes")
    np.testing.assert_allclose(codes, 0.75 * dark + 0.25 * noise, atol=1e-5)
    prompts = curved.restore(picture, prompt=mixture)
    np.testing.assert_allclose((prompts - noise) / (dark - noise), (0.25 - 0.04) / (0.36 - 0.04), atol=1e-2)
    assert np.array_equal(dark, curved.restore(picture, prompt="dark", mixing="codes"))
    with pytest.raises(InvalidRequest, match="expected prompts or codes"):
        curved.restore(picture, mixing="both")


def test_auto_is_the_classifier_and_the_default(restorer, picture):
    done = restorer.run(picture, prompt="auto")
    assert done.diagnosis.main == "dark"
    assert done.weights == {"dark": 1.0}
    assert np.array_equal(done.image, restorer.restore(picture))
    assert np.array_equal(done.image, restorer.restore(picture, prompt={"dark": 1.0}))
    told = restorer.run(picture, prompt="noise")
    assert told.diagnosis is None
    assert told.weights == {"noise": 1.0}


def test_weights_mean_the_same_for_such_models(restorer, picture):
    weights = {"dark": 0.6, "noise": 0.4}
    assert np.array_equal(restorer.restore(picture, weights=weights), restorer.restore(picture, prompt=weights))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"prompt": "rain"}, "it has: noise, dark"),
        ({"prompt": {"dark": -1}}, "expected a number from 0"),
        ({"prompt": {"dark": 0}}, "holds nothing"),
        ({"prompt": "dark", "weights": {"dark": 1}}, "either a prompt"),
        ({"prompt": "auto", "only": ["dark"]}, "either a prompt"),
        ({"prompt": "dark", "blend": "oh"}, "either a prompt"),
    ],
)
def test_what_cannot_be_is_refused(restorer, picture, options, complaint):
    with pytest.raises(InvalidRequest, match=complaint):
        restorer.run(picture, **options)


def test_a_model_without_a_classifier_must_be_told(picture):
    restorer = Restorer(prompted_toy(estimator=False), threads=1)
    for prompt in (None, "auto"):
        with pytest.raises(InvalidRequest, match="noise, dark"):
            restorer.run(picture, prompt=prompt)
    assert restorer.run(picture, prompt="dark").weights == {"dark": 1.0}


def test_models_without_prompts_say_what_to_use_instead(picture):
    with pytest.raises(InvalidRequest, match="say with weights how much of each adapter it shall use: noise, dark"):
        Restorer(toy_model(), threads=1).run(picture, prompt="dark")
    plain = replace(toy_model(estimator=False).card, degradations={}, adapters={})
    with pytest.raises(InvalidRequest, match="restores every picture in the same way"):
        weights_of("auto", plain)
    with pytest.raises(InvalidRequest, match="the picture itself is its prompt"):
        weights_of("auto", replace(plain, codes=("code",)))


def test_codes_are_told_by_models_that_take_them_from_the_picture(restorer, picture):
    model = toy_model(code=True)
    code = Restorer(model, threads=1).encode(picture)
    np.testing.assert_allclose(code["shade"].ravel(), 0.01, rtol=1e-3)
    with pytest.raises(InvalidRequest, match="takes them from prompts"):
        restorer.encode(picture)
    with pytest.raises(InvalidRequest, match="has none"):
        Restorer(toy_model(), threads=1).encode(picture)
