import dataclasses

import numpy as np
import pytest

from toy import toy_model
from unveil import engines, models
from unveil.errors import EngineError, InvalidModel, InvalidRequest
from unveil.restoration import Restorer

random = np.random.default_rng(11)


@pytest.fixture(scope="module")
def restorer(toy):
    return Restorer(toy, threads=1)


def noisy(*shape, dtype=np.uint8):
    if np.dtype(dtype).kind == "f":
        return random.random(shape).astype(dtype)
    return random.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def smooth(height, width, dtype=np.uint8):
    ramp = np.linspace(0.4, 0.8, height)[:, None, None] + np.zeros((1, width, 3))
    return (ramp * np.iinfo(dtype).max).astype(dtype)


def answer(model, pixels, weights):
    """The network's answer to a whole picture whose sides are multiples of 4, unrounded."""
    blended = models.blend(model.weights["restore"], model.adapters, weights)
    network = engines.choose("onnx", threads=1).open(model, "restore", blended, {})
    top = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    image = (pixels.astype(np.float32) / np.float32(top)).transpose(2, 0, 1)[None]
    return network(image=image)["restored"][0].transpose(1, 2, 0).clip(0, 1) * top


def test_estimator_knows_the_three_kinds(restorer):
    assert restorer.diagnose(noisy(100, 120, 3)).main == "noise"
    assert restorer.diagnose(np.full((100, 120, 3), 20, np.uint8)).main == "dark"
    assert restorer.diagnose(smooth(100, 120)).main == "clean"
    assert restorer.diagnose(smooth(100, 120)).printed == {"noise": "noise", "dark": "low light", "clean": "clean"}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_result_is_the_networks_answer_with_the_blend_of_the_diagnosis(toy, restorer, dtype):
    pixels = noisy(64, 96, 3, dtype=dtype)
    done = restorer.run(pixels)
    assert done.weights == {"noise": 1.0}
    assert (done.tiles, done.untouched) == (1, False)
    assert done.image.dtype == dtype
    tolerance = 1e-5 if np.dtype(dtype).kind == "f" else 0.51
    np.testing.assert_allclose(done.image, answer(toy, pixels, {"noise": 1.0}), atol=tolerance)


def test_mixture_is_blended(toy, restorer):
    # Between dark and clean: brightness a little above the estimator's threshold for darkness.
    done = restorer.run(np.full((64, 64, 3), 0.13, np.float32))
    assert 0.1 < done.weights["dark"] < 0.9
    assert done.weights["dark"] == pytest.approx(done.diagnosis.probabilities["dark"], abs=1e-3)
    expected = answer(toy, np.full((64, 64, 3), 0.13, np.float32), done.weights)
    np.testing.assert_allclose(done.image, expected, atol=1e-5)


def test_tiled_and_untiled_agree_where_the_halo_covers_the_receptive_field(toy, restorer):
    pixels = noisy(260, 330, 3, dtype=np.float32)
    whole, tiled = restorer.run(pixels), Restorer(toy, tile_side=96, threads=1).run(pixels)
    assert whole.tiles == 1
    assert tiled.tiles > 9
    assert np.abs(whole.image - tiled.image).max() < 2e-6


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 700, 3), (3, 2, 1), (5, 5, 4), (513, 17, 3), (90, 61)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_size_and_kind_comes_back_as_it_was(restorer, shape, dtype):
    pixels = noisy(*shape, dtype=dtype)
    before = pixels.copy()
    restored = restorer.restore(pixels, weights={"noise": 1.0})
    assert (restored.shape, restored.dtype) == (pixels.shape, pixels.dtype)
    np.testing.assert_array_equal(pixels, before)


def test_alpha_of_arrays_survives(restorer):
    pixels = noisy(70, 50, 4, dtype=np.uint16)
    restored = restorer.restore(pixels)
    np.testing.assert_array_equal(restored[:, :, 3], pixels[:, :, 3])
    np.testing.assert_array_equal(restored[:, :, :3], restorer.restore(pixels[:, :, :3]))
    assert (restored[:, :, :3] != pixels[:, :, :3]).any()


def test_grey_is_the_same_with_and_without_its_axis(restorer):
    pixels = noisy(70, 50)
    np.testing.assert_array_equal(restorer.restore(pixels), restorer.restore(pixels[:, :, None])[:, :, 0])


def test_clean_picture_comes_back_untouched(restorer):
    pixels = smooth(100, 120, np.uint16)
    done = restorer.run(pixels)
    assert done.diagnosis.is_clean
    assert (done.untouched, done.tiles, done.weights) == (True, 0, {})
    np.testing.assert_array_equal(done.image, pixels)
    assert not np.shares_memory(done.image, pixels)


@pytest.mark.parametrize("options", [{"weights": {"noise": 0.5}}, {"only": ["noise"]}, {"only": "noise"}])
def test_clean_picture_is_restored_when_asked_for(restorer, options):
    assert not restorer.run(smooth(100, 120), **options).untouched


def test_threshold_of_the_card_decides_what_is_clean(toy):
    estimator = dataclasses.replace(toy.card.estimator, clean_threshold=1.1)
    model = dataclasses.replace(toy, card=dataclasses.replace(toy.card, estimator=estimator))
    assert not Restorer(model, threads=1).run(smooth(64, 64)).untouched


def test_zero_strength_gives_the_input_bit_for_bit(restorer):
    pixels = noisy(64, 64, 3, dtype=np.float64)
    done = restorer.run(pixels, strength=0)
    assert done.untouched
    np.testing.assert_array_equal(done.image, pixels)


def test_strength_mixes_with_the_input(restorer):
    pixels = noisy(64, 64, 3, dtype=np.float32)
    full, half = restorer.restore(pixels), restorer.restore(pixels, strength=0.5)
    np.testing.assert_allclose(half, (full + pixels) / 2, atol=1e-6)


def test_same_input_gives_the_same_output_whatever_came_before(toy, restorer):
    pixels = noisy(120, 200, 3)
    first = restorer.restore(pixels)
    for weights in ({"dark": 1.0}, {"noise": 0.1}, {}):
        restorer.restore(noisy(64, 64, 3), weights=weights)
    np.testing.assert_array_equal(restorer.restore(pixels), first)
    np.testing.assert_array_equal(Restorer(toy, threads=1).restore(pixels), first)


def test_weights_by_hand_need_no_diagnosis(toy, restorer):
    pixels = noisy(64, 64, 3, dtype=np.float32)
    done = restorer.run(pixels, weights={"dark": 0.4, "noise": 0})
    assert done.diagnosis is None
    assert done.weights == {"dark": 0.4}
    np.testing.assert_allclose(done.image, answer(toy, pixels, {"dark": 0.4}), atol=1e-5)


def test_only_moves_all_weight(restorer):
    assert restorer.run(noisy(64, 64, 3), only=["dark"]).weights == {"dark": 1.0}


def test_rule_can_be_chosen(restorer):
    pixels = np.full((64, 64, 3), 0.13, np.float32)
    assert restorer.run(pixels, blend="none", only=["dark"]).weights == {}
    assert restorer.run(pixels, blend="oh", only=["dark"]).weights in ({"dark": 1.0}, {})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"strength": 1.5}, "strength"),
        ({"strength": float("nan")}, "strength"),
        ({"weights": {"fog": 1}}, r"'fog'.*noise, dark"),
        ({"weights": {"noise": -1}}, "noise"),
        ({"only": ["clean"]}, "'clean'"),
        ({"only": []}, "empty"),
        ({"blend": "mean"}, "mean"),
        ({"blend": "oracle:fog"}, "fog"),
        ({"weights": {"noise": 1}, "only": ["noise"]}, "either"),
        ({"weights": {"noise": 1}, "blend": "sw"}, "either"),
    ],
)
def test_contradictions_are_refused(restorer, options, complaint):
    with pytest.raises(InvalidRequest, match=complaint):
        restorer.run(noisy(8, 8, 3), **options)


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        (np.zeros((0, 5, 3), np.uint8), "no image"),
        (np.zeros((5, 5, 2), np.uint8), "no image"),
        (np.zeros((1, 5, 5, 3), np.uint8), "no image"),
        (np.zeros((5, 5, 3), np.int32), "int32"),
        (np.zeros((5, 5), bool), "bool"),
        (np.full((5, 5), np.nan), "finite"),
        (np.array([[0.5, np.inf]]), "finite"),
        (np.full((5, 5), 128.0), "128"),
        ([[1, 2]], "list"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_image_is_refused(restorer, image, complaint):
    with pytest.raises(InvalidRequest, match=complaint):
        restorer.restore(image, weights={})


def test_invalid_alpha_is_none_of_our_business(restorer):
    pixels = noisy(8, 8, 4, dtype=np.float32)
    pixels[:, :, 3] = np.nan
    assert np.isnan(restorer.restore(pixels)[:, :, 3]).all()


def test_model_without_estimator_runs_its_base():
    model = toy_model(estimator=False)
    restorer = Restorer(model, threads=1)
    pixels = noisy(64, 64, 3, dtype=np.float32)
    done = restorer.run(pixels)
    assert (done.diagnosis, done.weights) == (None, {})
    np.testing.assert_allclose(done.image, answer(model, pixels, {}), atol=1e-5)
    assert restorer.run(pixels, weights={"noise": 1}).weights == {"noise": 1.0}


@pytest.mark.parametrize("options", [{"only": ["noise"]}, {"blend": "sw"}])
def test_model_without_estimator_cannot_choose(options):
    restorer = Restorer(toy_model(estimator=False), threads=1)
    with pytest.raises(InvalidRequest, match="no estimator"):
        restorer.run(noisy(8, 8, 3), **options)
    with pytest.raises(InvalidRequest, match="no estimator"):
        restorer.diagnose(noisy(8, 8, 3))


def test_codes_are_computed_once_on_the_whole_picture_and_given_to_every_tile():
    model = toy_model(code=True)
    pixels = np.zeros((200, 200, 3), np.float32)
    pixels[:100] = 0.6
    plain = Restorer(toy_model(), tile_side=96, threads=1).run(pixels, weights={})
    coded = Restorer(model, tile_side=96, threads=1).run(pixels, weights={})
    assert coded.tiles > 4
    inside = (plain.image > 0) & (coded.image < 1)
    np.testing.assert_allclose((coded.image - plain.image)[inside], 0.03, atol=1e-5)


def test_callback_sees_every_tile_and_can_stop(toy):
    restorer = Restorer(toy, tile_side=96, threads=1)
    pixels, seen = noisy(200, 200, 3), []
    done = restorer.run(pixels, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(index + 1, done.tiles) for index in range(done.tiles)]

    def stop(done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        restorer.run(pixels, progress=stop)
    np.testing.assert_array_equal(restorer.restore(pixels), done.image)


def count_openings(restorer, monkeypatch):
    opened = []
    true = type(restorer._sessions.engine).open

    def count(self, model, role, *rest):
        opened.append(role)
        return true(self, model, role, *rest)

    monkeypatch.setattr(type(restorer._sessions.engine), "open", count)
    return opened


def test_sessions_are_kept_for_the_same_blend_and_shape(toy, monkeypatch):
    restorer = Restorer(toy, threads=1)
    opened = count_openings(restorer, monkeypatch)
    for _ in range(3):
        restorer.restore(noisy(64, 64, 3))
    assert sorted(opened) == ["estimate", "restore"]


def test_number_of_kept_sessions_is_limited(toy, monkeypatch):
    restorer = Restorer(toy, threads=1)
    opened = count_openings(restorer, monkeypatch)
    for weight in (0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.1):
        restorer.restore(noisy(8, 8, 3), weights={"noise": weight})
    assert len(opened) == 6
    assert len(restorer._sessions) == 4


def test_missing_weight_shows_when_the_network_is_opened(toy):
    weights = toy.weights | {"restore": {"body.bias": toy.weights["restore"]["body.bias"]}}
    model = dataclasses.replace(toy, weights=weights, adapters={})
    with pytest.raises((EngineError, InvalidModel), match=r"body\.weight"):
        Restorer(model, threads=1).restore(noisy(8, 8, 3), weights={})


def test_estimator_with_too_few_logits_is_an_error(toy):
    card = dataclasses.replace(
        toy.card, estimator=dataclasses.replace(toy.card.estimator, classes=("noise", "dark", "rain", "clean"))
    )
    with pytest.raises(EngineError, match="logits"):
        Restorer(dataclasses.replace(toy, card=card), threads=1).diagnose(noisy(8, 8, 3))


def test_representation_says_what_it_undoes(restorer):
    assert repr(restorer) == "Restorer('toy', engine='onnx', undoes: noise, dark)"


def test_engines_give_the_same_picture(toy, restorer):
    pytest.importorskip("openvino")
    pixels = noisy(200, 100, 3)
    other = Restorer(toy, engine="openvino", threads=1).restore(pixels)
    assert np.abs(restorer.restore(pixels).astype(int) - other).max() <= 1


def test_only_so_many_sessions_are_kept(toy):
    class Counting:
        name = "counting"
        opened = 0

        def open(self, *arguments):
            self.opened += 1
            return engine.open(*arguments)

    restorer = Restorer(toy, threads=1, sessions=2)
    engine, restorer._sessions.engine = restorer._sessions.engine, Counting()
    pixels = np.full((16, 16, 3), 90, np.uint8)
    for weight in (0.1, 0.2, 0.1, 0.3, 0.1, 0.2):
        restorer.run(pixels, weights={"noise": weight})
    assert restorer._sessions.engine.opened == 4
    with pytest.raises(InvalidRequest, match="sessions"):
        Restorer(toy, sessions=0)


def test_rules_without_a_diagnosis_leave_clean_pictures_no_peace(toy, restorer):
    pixels = smooth(32, 32)
    assert restorer.run(pixels, blend="sw").untouched
    for rule, weights in (("sum", {"noise": 1.0, "dark": 1.0}), ("average", {"noise": 0.5, "dark": 0.5})):
        done = restorer.run(pixels, blend=rule)
        assert (done.diagnosis, done.weights) == (None, weights)
        np.testing.assert_allclose(done.image, answer(toy, pixels, weights), atol=0.51)
    assert restorer.run(pixels, blend="oracle:dark").weights == {"dark": 1.0}
    assert not restorer.run(pixels, blend="oracle:clean").untouched


def test_rules_without_a_diagnosis_need_no_estimator():
    bare = Restorer(toy_model(estimator=False), threads=1)
    assert bare.run(smooth(32, 32), blend="sum").weights == {"noise": 1.0, "dark": 1.0}
    for rule in ("auto", "topk:1", "threshold:0.1"):
        with pytest.raises(InvalidRequest, match="no estimator"):
            bare.run(smooth(32, 32), blend=rule)


def test_what_would_be_blended_can_be_asked_beforehand(restorer):
    pixels = np.full((64, 64, 3), 0.13, np.float32)
    done = restorer.run(pixels, blend="topk:1")
    found, weights = restorer.choose(pixels, blend="topk:1")
    assert (found, weights) == (done.diagnosis, done.weights)
    assert restorer.choose(smooth(64, 64))[1] is None
