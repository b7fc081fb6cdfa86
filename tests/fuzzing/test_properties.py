"""Properties that hold for any picture, any tile plan and any model file, looked for by hypothesis."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from toy import toy_model
from unveil import images
from unveil.errors import EngineError, InvalidModel, InvalidRequest, ModelTooNew
from unveil.images import Picture
from unveil.models import Card
from unveil.restoration import Restorer, blending
from unveil.restoration.stitching import restore_tiles
from unveil.restoration.tiles import FEATHER, plan

bounded = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
sides = st.integers(1, 70)
dtypes = st.sampled_from(["uint8", "uint16", "float16", "float32", "float64", ">u2", ">f4"])


@st.composite
def pictures(draw):
    """Any array that is an image: shape, channels, depth, alpha."""
    channels = draw(st.sampled_from([(), (1,), (3,), (4,)]))
    dtype = np.dtype(draw(dtypes))
    shape = (draw(sides), draw(sides), *channels)
    values = {"elements": st.floats(-1, 2, width=16)} if dtype.kind == "f" else {}
    return draw(arrays(dtype, shape, **values))


@st.composite
def geometries(draw):
    """What a card may say of a network."""
    multiple = draw(st.sampled_from([1, 2, 4, 8, 12, 16, 64]))
    return {
        "size_multiple": multiple,
        "stride": draw(st.sampled_from([1, multiple, 2 * multiple, 8])),
        "halo": draw(st.integers(0, 80)),
        "side": draw(st.integers(1, 900)),
    }


@pytest.fixture(scope="module")
def restorer():
    return Restorer(toy_model(), tile_side=64)


@bounded
@given(pictures(), st.floats(0, 1), st.booleans())
def test_any_image_keeps_shape_dtype_and_alpha(restorer, array, strength, own):
    options = {"weights": {"noise": 0.5, "dark": 0.2}} if own else {}
    result = restorer.run(array, strength=strength, **options)
    assert result.image.shape == array.shape
    assert result.image.dtype == array.dtype
    if array.ndim == 3 and array.shape[2] == 4:
        np.testing.assert_array_equal(result.image[:, :, 3], array[:, :, 3])
    if strength == 0 or result.untouched:
        np.testing.assert_array_equal(result.image, array)
    assert np.isfinite(result.image.astype(np.float64)).all()


@bounded
@given(st.integers(1, 3000), st.integers(1, 3000), geometries())
def test_a_plan_covers_every_pixel_exactly_once(height, width, geometry):
    layout = plan(height, width, **geometry)
    for axis, length in ((layout.rows, height), (layout.columns, width)):
        shares = np.zeros(axis.origins[-1] + axis.tile)
        for origin, weights in zip(axis.origins, axis.weights, strict=True):
            shares[origin : origin + axis.tile] += weights
            assert origin % geometry["stride"] == 0
        np.testing.assert_allclose(shares, 1, atol=1e-6)
        assert axis.origins[0] == 0
        assert list(axis.origins) == sorted(set(axis.origins))
        assert axis.origins[-1] + axis.tile >= length > axis.origins[-1]
        assert axis.tile % geometry["size_multiple"] == 0
        assert all(np.diff(axis.origins) <= axis.tile - 2 * geometry["halo"] - FEATHER)
    assert layout.count == len(layout.rows.origins) * len(layout.columns.origins)


@bounded
@given(st.integers(1, 3000), st.integers(1, 3000), geometries())
def test_a_plan_depends_on_nothing_but_its_arguments(height, width, geometry):
    first, second = (plan(height, width, **geometry) for _ in range(2))
    turned = plan(width, height, **geometry)
    for one, other in ((first.rows, second.rows), (first.columns, second.columns), (first.rows, turned.columns)):
        assert (one.origins, one.tile, one.length) == (other.origins, other.tile, other.length)
        np.testing.assert_array_equal(one.weights, other.weights)


@bounded
@given(st.integers(1, 130), st.integers(1, 130), geometries(), st.sampled_from(["uint8", "uint16", "float32"]))
def test_a_network_that_changes_nothing_gives_the_picture_back(height, width, geometry, dtype):
    layout = plan(height, width, **{**geometry, "halo": geometry["halo"] % 9, "side": geometry["side"] % 50 + 1})
    random = np.random.default_rng(height * 200 + width)
    pixels = random.random((height, width, 3))
    pixels = pixels.astype(dtype) if dtype == "float32" else (pixels * np.iinfo(dtype).max).astype(dtype)
    out = np.zeros_like(pixels)
    restore_tiles(pixels, out, layout, lambda tile: tile)
    if dtype == "float32":
        np.testing.assert_allclose(out, pixels, atol=1e-6)
    else:
        np.testing.assert_array_equal(out, pixels)


@bounded
@given(
    st.dictionaries(st.sampled_from(["noise", "dark", "rain"]), st.floats(allow_nan=True, allow_infinity=True)),
    st.floats(allow_nan=True, allow_infinity=True),
)
def test_any_options_give_a_result_or_a_typed_error(restorer, weights, strength):
    array = np.full((9, 8, 3), 90, np.uint8)
    try:
        result = restorer.run(array, strength=strength, weights=weights)
    except InvalidRequest:
        wrong = not 0 <= strength <= 1 or "rain" in weights
        assert wrong or any(not np.isfinite(weight) or weight < 0 for weight in weights.values())
    except EngineError:
        assert max(weights.values()) > 1e3
    else:
        assert result.image.shape == array.shape


@bounded
@given(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(any))
def test_weights_of_a_diagnosis_never_sum_to_more_than_one(values):
    total = sum(values)
    probabilities = dict(zip(("noise", "dark", "clean"), (value / total for value in values), strict=True))
    for rule in ("sw", "oh", "none"):
        weights = blending.weigh(rule, probabilities, ["noise", "dark"])
        assert 0 <= sum(weights.values()) <= 1.001
        assert set(weights) <= {"noise", "dark"}
    kept = blending.weigh("sw", probabilities, ["noise", "dark"], only=["noise"])
    assert abs(sum(kept.values()) - probabilities["noise"] - probabilities["dark"]) < 0.002


@bounded
@given(
    arrays(st.sampled_from([np.uint8, np.uint16]), st.tuples(sides, sides, st.sampled_from([1, 3]))),
    st.booleans(),
    st.sampled_from(["png", "tiff"]),
)
def test_any_picture_survives_a_file(pixels, transparent, form):
    alpha = pixels[:, :, 0].copy() if transparent else None
    read = images.read(images.encode(Picture(pixels, alpha=alpha), form))
    assert read.pixels.dtype == pixels.dtype
    np.testing.assert_array_equal(read.pixels, pixels)
    if alpha is not None:
        np.testing.assert_array_equal(read.alpha, alpha)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@bounded
@given(st.data())
def test_any_value_of_a_card_is_read_or_refused(data):
    card = json.loads(toy_model().card.to_json())
    place, key = card, data.draw(st.sampled_from(sorted(card)))
    while isinstance(place[key], dict) and place[key] and data.draw(st.booleans()):
        place, key = place[key], data.draw(st.sampled_from(sorted(place[key])))
    place[key] = data.draw(anything)
    try:
        read = Card.from_json(json.dumps(card))
    except (InvalidModel, ModelTooNew):
        return
    assert Card.from_json(read.to_json()) == read
