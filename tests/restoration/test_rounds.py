"""Rounds: a restored picture is looked at again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from toy import toy_model
from unveil import models
from unveil.errors import InvalidModel, InvalidRequest
from unveil.restoration import Restorer, blending
from unveil.restoration.diagnosis import Diagnosis

PICTURE = np.random.default_rng(3).integers(0, 255, (40, 56, 3), dtype=np.uint8)


def looking(*, again: tuple[str, ...] = ("noise", "dark")) -> models.Model:
    model = toy_model()
    assert model.card.estimator is not None
    card = dataclasses.replace(model.card, estimator=dataclasses.replace(model.card.estimator, again=again))
    return dataclasses.replace(model, card=card)


def seeing(monkeypatch: pytest.MonkeyPatch, *looks: dict[str, float], again: tuple[str, ...] = ("noise", "dark")):
    """A restorer that sees these things, look by look, and the pictures that it looked at."""
    restorer, seen, told = Restorer(looking(again=again), threads=1), [], iter(looks)

    def diagnose(pixels):
        seen.append(np.array(pixels))
        found = {"noise": 0.0, "dark": 0.0, "clean": 0.0, **next(told)}
        return Diagnosis(found, {name: name for name in found})

    monkeypatch.setattr(restorer._running, "diagnose", diagnose)
    return restorer, seen


def test_what_comes_to_light_is_undone_too(monkeypatch) -> None:
    restorer, seen = seeing(monkeypatch, {"noise": 0.9, "dark": 0.1}, {"dark": 0.8, "clean": 0.2})
    counts = []
    done = restorer.run(PICTURE, progress=lambda tiles, count: counts.append((tiles, count)))
    plain = Restorer(toy_model(), threads=1)
    first = plain.restore(PICTURE, weights={"noise": 0.9, "dark": 0.1})
    assert np.array_equal(seen[1], first)
    assert np.array_equal(done.image, plain.restore(first, weights={"dark": 0.8}))
    assert done.weights == {"noise": 0.9, "dark": 0.1}
    assert done.later == ({"dark": 0.8},)
    assert (done.tiles, counts) == (2, [(1, 1), (2, 2)])
    assert "noise 0.90, dark 0.10, then dark 0.80" in repr(done)


@pytest.mark.parametrize(
    "second",
    [{"clean": 1.0}, {"noise": 1.0}, {"dark": 0.45, "noise": 0.3, "clean": 0.25}],
    ids=["clean", "the same once more", "unsure"],
)
def test_one_round_where_nothing_else_is_seen_plainly(monkeypatch, second) -> None:
    restorer, seen = seeing(monkeypatch, {"noise": 0.9, "dark": 0.1}, second)
    done = restorer.run(PICTURE)
    assert (len(seen), done.later, done.tiles) == (2, (), 1)


def test_what_had_left_no_trace_at_first_is_not_looked_for(monkeypatch) -> None:
    restorer, seen = seeing(monkeypatch, {"noise": 0.99, "dark": 0.01}, {"dark": 1.0})
    assert (restorer.run(PICTURE).later, len(seen)) == ((), 1)


def tracing(model: models.Model, trace: dict[str, float]) -> models.Model:
    assert model.card.estimator is not None
    estimator = dataclasses.replace(model.card.estimator, trace=trace)
    return dataclasses.replace(model, card=dataclasses.replace(model.card, estimator=estimator))


def test_a_card_may_want_no_trace_of_a_class(monkeypatch) -> None:
    restorer, seen = seeing(monkeypatch, {"noise": 1.0}, {"dark": 0.9, "clean": 0.1})
    restorer.model = tracing(restorer.model, {"dark": 0.0})
    assert (restorer.run(PICTURE).later, len(seen)) == (({"dark": 0.9},), 2)


@pytest.mark.parametrize(
    ("options", "weights", "later"),
    [
        ({}, {"noise": 1.0}, ({"dark": 0.7},)),
        ({"blend": "topk:1"}, {"noise": 0.6}, ({"dark": 0.7},)),
        ({"only": ["noise"]}, {"noise": 0.6}, ()),
    ],
)
def test_a_single_adapter_that_the_card_wants_whole_acts_in_full(monkeypatch, options, weights, later) -> None:
    """By the card's own rule alone, at the first look alone."""
    restorer, _ = seeing(monkeypatch, {"noise": 0.55, "dark": 0.05, "clean": 0.4}, {"dark": 0.7, "clean": 0.3})
    card = restorer.model.card
    whole = dataclasses.replace(card.estimator, whole=("noise", "dark"))
    restorer.model = dataclasses.replace(
        restorer.model, card=dataclasses.replace(card, blend="topk:1", estimator=whole)
    )
    done = restorer.run(PICTURE, **options)
    assert done.weights == pytest.approx(weights)
    assert done.later == later


def test_of_several_adapters_none_is_made_whole() -> None:
    assert blending.whole({"noise": 0.5, "dark": 0.4}, ("noise", "dark")) == {"noise": 0.5, "dark": 0.4}
    assert blending.whole({"noise": 0.5}, ("dark",)) == {"noise": 0.5}
    assert blending.whole({}, ("dark",)) == {}


def test_a_picture_that_has_been_sharpened_is_not_looked_at_again(monkeypatch) -> None:
    monkeypatch.setattr("unveil.restoration.diagnosis.SHARPENING", frozenset(("noise",)))
    restorer, seen = seeing(monkeypatch, {"noise": 0.9, "dark": 0.1}, {"dark": 1.0})
    assert (restorer.run(PICTURE).later, len(seen)) == ((), 1)


def test_only_what_the_card_names_is_looked_for(monkeypatch) -> None:
    restorer, _ = seeing(monkeypatch, {"dark": 0.9, "noise": 0.1}, {"noise": 1.0}, again=("dark",))
    assert restorer.run(PICTURE).later == ()


@pytest.mark.parametrize(
    "options",
    [{"rounds": 1}, {"strength": 0.5}, {"only": ["noise"]}, {"weights": {"noise": 1.0}}, {"blend": "oracle:noise"}],
)
def test_what_is_asked_for_by_hand_is_done_once(monkeypatch, options) -> None:
    restorer, seen = seeing(monkeypatch, {"noise": 0.9, "dark": 0.1}, {"dark": 1.0})
    assert restorer.run(PICTURE, **options).later == ()
    assert len(seen) <= 1


def test_no_second_look_without_a_word_of_the_card_and_none_at_clean_pictures(monkeypatch) -> None:
    restorer, seen = seeing(monkeypatch, {"noise": 0.9, "dark": 0.1}, {"dark": 1.0}, again=())
    assert (restorer.run(PICTURE).later, len(seen)) == ((), 1)
    restorer, seen = seeing(monkeypatch, {"clean": 1.0}, {"dark": 1.0})
    assert (restorer.run(PICTURE).untouched, len(seen)) == (True, 1)


def test_wrong_numbers_and_names_are_refused(tmp_path) -> None:
    with pytest.raises(InvalidRequest, match="rounds is 0"):
        Restorer(looking(), threads=1).run(PICTURE, rounds=0)
    path = models.write(looking(), tmp_path / "model.safetensors")
    found = models.read(path).card.estimator
    assert (found.again, found.trace) == (("noise", "dark"), {})
    path = models.write(tracing(looking(), {"dark": 0.1}), tmp_path / "telling.safetensors")
    assert models.read(path).card.estimator.trace == {"dark": 0.1}
    path = models.write(tracing(looking(), {"fog": 0.1}), tmp_path / "wrong.safetensors")
    with pytest.raises(InvalidModel, match="trace"):
        models.read(path)
    for wrong in (("fog",), ("clean",)):
        with pytest.raises(InvalidModel, match="again"):
            models.read(models.write(looking(again=wrong), tmp_path / "wrong.safetensors"))
        card = looking().card
        strange = dataclasses.replace(card, estimator=dataclasses.replace(card.estimator, whole=wrong))
        with pytest.raises(InvalidModel, match="whole"):
            models.read(models.write(dataclasses.replace(looking(), card=strange), tmp_path / "wrong.safetensors"))
