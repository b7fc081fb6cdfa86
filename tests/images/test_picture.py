"""The way to sRGB and back, which must leave alone what a network leaves alone."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from photographs import gradient, gradient16, grey_profile, known_profile, table_profile

from unveil.errors import InvalidRequest
from unveil.images import Picture, colour
from unveil.images.depth import fill, narrow, widen

RNG = np.random.default_rng(5)
P3, SRGB = known_profile("p3"), known_profile("srgb")


def every_kind() -> dict[str, Picture]:
    eight = RNG.integers(0, 256, (40, 30, 3), dtype=np.uint8)
    deep = RNG.integers(0, 65536, (40, 30, 3), dtype=np.uint16)
    kinds = {}
    for name, pixels in (("8", eight), ("16", deep)):
        grey = pixels[..., :1].copy()
        kinds |= {
            f"colour {name}": Picture(pixels),
            f"colour {name} sRGB": Picture(pixels, icc=SRGB),
            f"colour {name} P3": Picture(pixels, icc=P3),
            f"grey {name}": Picture(grey),
            f"grey {name} gamma 1.8": Picture(grey, icc=grey_profile(1.8)),
            f"alpha {name} P3": Picture(pixels, alpha=pixels[..., 0].copy(), icc=P3),
        }
    return kinds


KINDS = every_kind()


@pytest.mark.parametrize("kind", KINDS)
def test_an_unchanged_picture_is_bit_identical(kind):
    picture = KINDS[kind]
    same = picture.with_srgb(picture.srgb().copy())
    assert same.pixels.dtype == picture.pixels.dtype
    assert np.array_equal(same.pixels, picture.pixels)
    assert same.alpha is picture.alpha
    assert same.icc == picture.icc


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_network_sees_has_three_channels(kind):
    seen = KINDS[kind].srgb()
    assert seen.shape == (40, 30, 3)
    converted = "P3" in kind or "gamma" in kind
    assert seen.dtype == (np.uint16 if converted else KINDS[kind].pixels.dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_picture_looks_as_asked_for(kind):
    picture = KINDS[kind]
    dtype = picture.pixels.dtype
    middle = (np.iinfo(dtype).max * (0.4 + 0.2 * RNG.random(picture.pixels.shape))).astype(dtype)
    seen = Picture(middle, icc=picture.icc).srgb()
    step = np.iinfo(seen.dtype).max // 50
    changed = Picture(middle, icc=picture.icc).with_srgb(seen + seen.dtype.type(step))
    error = changed.srgb().astype(float) - seen - step
    assert np.abs(error).max() / np.iinfo(seen.dtype).max < 1.6 / 255


def test_a_wide_profile_is_converted_as_its_definition_says():
    seen = Picture(np.full((1, 1, 3), (200, 120, 90), np.uint8), icc=P3).srgb()[0, 0] / 65535
    encoded = np.array([200, 120, 90]) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    # SMPTE EG 432-1 and IEC 61966-2-1 primaries, both with D65.
    to_srgb = np.array([[1.2249, -0.2249, 0.0], [-0.0420, 1.0420, 0.0], [-0.0197, -0.0786, 1.0983]])
    linear = to_srgb @ linear
    expected = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(seen - expected).max() < 1.5 / 255


def test_colours_outside_srgb_survive_a_change_elsewhere():
    pixels = np.zeros((1, 2, 3), np.uint8)
    pixels[0, 0], pixels[0, 1] = (0, 255, 0), (120, 120, 120)
    picture = Picture(pixels, icc=P3)
    restored = picture.srgb().copy()
    restored[0, 1] += 2000
    changed = picture.with_srgb(restored).pixels
    assert tuple(changed[0, 0]) == (0, 255, 0)
    assert (changed[0, 1] > 120).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_stays_white_and_black_black_beside_a_change(dtype):
    most = np.iinfo(dtype).max
    pixels = np.zeros((1, 3, 3), dtype)
    pixels[0, 1], pixels[0, 2] = most, most // 2
    for picture in (Picture(pixels, icc=P3), Picture(pixels[..., :1].copy(), icc=grey_profile(1.8))):
        restored = picture.srgb().copy()
        restored[0, 2] += 3000
        changed = picture.with_srgb(restored).pixels
        assert np.array_equal(changed[:, :2], picture.pixels[:, :2])
        assert (changed[0, 2] > most // 2).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_becomes_brighter_than_white_or_darker_than_black_stays_there(dtype):
    most = np.iinfo(dtype).max
    pixels = np.full((1, 1, 3), (most, most // 2, 0), dtype)
    picture = Picture(pixels, icc=P3)
    seen = picture.srgb().astype(int)
    brighter = picture.with_srgb(np.clip(seen + 6000, 0, 65535).astype(np.uint16)).pixels
    darker = picture.with_srgb(np.clip(seen - 6000, 0, 65535).astype(np.uint16)).pixels
    assert brighter[0, 0, 0] == most
    assert darker[0, 0, 2] == 0
    assert darker[0, 0, 1] < most // 2 < brighter[0, 0, 1]


@pytest.mark.parametrize(("share", "kind"), [(1.0, "srgb"), (0.995, "srgb"), (0.97, "other")])
def test_a_profile_a_shade_from_srgb_is_taken_for_it(share, kind):
    count = int.from_bytes(SRGB[128:132], "big")
    places = {name: at for name, at, _ in struct.iter_unpack(">4sII", SRGB[132 : 132 + 12 * count])}
    at = places[b"rXYZ"] + 8
    red = [round(value * share) for value in struct.unpack_from(">3i", SRGB, at)]
    assert colour.kind(SRGB[:at] + struct.pack(">3i", *red) + SRGB[at + 12 :], 3) == kind


def test_a_table_of_parts_that_is_cut_off_makes_no_profile():
    head = SRGB[4:128] + struct.pack(">I", 300)
    for length, expected in ((132 + 12 * 300, "RGB"), (131 + 12 * 300, ""), (132 + 12 * 299, ""), (140, "")):
        assert colour.space((struct.pack(">I", length) + head).ljust(length, b"\0")) == expected
    outside = (struct.pack(">I", 5000) + head).ljust(5000 - 12 * 100, b"\0")
    assert colour.space(outside) == ""
    parts = struct.pack(">4sII", b"desc", 144, 57)
    profile = struct.pack(">I", 200) + SRGB[4:128] + struct.pack(">I", 1) + parts
    assert colour.space(profile.ljust(200, b"\0")) == ""
    assert colour.space(profile.ljust(201, b"\0")) == "RGB"


@pytest.mark.parametrize("tables", [(b"A2B0", b"B2A0"), (b"A2B1", b"B2A1")])
def test_profiles_with_tables_for_one_intent_are_converted_both_ways(tables):
    picture = Picture(gradient(), icc=table_profile(*tables))
    seen = picture.srgb()
    assert seen.dtype == np.uint16
    assert np.ptp(seen.astype(int), axis=2).max() < 300
    assert np.array_equal(picture.with_srgb(seen).pixels, gradient())
    brighter = picture.with_srgb(seen + np.uint16(2570)).pixels.astype(int) - gradient()
    assert 5 < brighter.mean() < 15


def test_a_grey_profile_is_honoured():
    picture = Picture(np.full((2, 2, 1), 128, np.uint8), icc=grey_profile(1.0))
    linear = 128 / 255
    expected = 1.055 * linear ** (1 / 2.4) - 0.055
    assert picture.srgb()[0, 0] / 65535 == pytest.approx(expected, abs=0.01)


def test_grey_changes_by_the_mean_of_the_channels():
    picture = Picture(np.full((1, 1, 1), 100, np.uint8))
    assert picture.with_srgb(np.array([[[103, 106, 109]]], np.uint8)).pixels[0, 0, 0] == 106
    assert picture.with_srgb(np.array([[[255, 255, 255]]], np.uint8)).pixels[0, 0, 0] == 255


@pytest.mark.parametrize("most", [3 * 64 * 7, 1], ids=["7 rows", "less than a row"])
def test_strips_join_without_a_seam(monkeypatch, most):
    picture = Picture(gradient()[:20], icc=P3)
    restored = picture.srgb() // 2
    whole = picture.with_srgb(restored).pixels
    monkeypatch.setattr("unveil.images.colour._STRIP_VALUES", most)
    assert np.array_equal(picture.with_srgb(restored).pixels, whole)


def test_without_a_profile_the_restored_pixels_are_taken_as_they_are():
    restored = gradient16()
    assert np.array_equal(Picture(gradient16() // 2, icc=SRGB).with_srgb(restored).pixels, restored)


@pytest.mark.parametrize(
    "restored",
    [np.zeros((48, 64, 1), np.uint8), np.zeros((48, 63, 3), np.uint8), np.zeros((48, 64, 3), np.uint16)],
)
def test_restored_pixels_of_another_kind_are_refused(restored):
    with pytest.raises(InvalidRequest, match=r"expected uint8 of shape \(48, 64, 3\)"):
        Picture(gradient()).with_srgb(restored)


def test_pixels_and_alpha_of_the_wrong_kind_are_refused():
    with pytest.raises(InvalidRequest, match=r"\(H, W, 1\) or \(H, W, 3\)"):
        Picture(gradient()[..., 0])
    with pytest.raises(InvalidRequest, match="float64"):
        Picture(gradient() / 255)
    with pytest.raises(InvalidRequest, match="alpha"):
        Picture(gradient(), alpha=np.zeros((48, 63), np.uint8))
    with pytest.raises(InvalidRequest, match="alpha"):
        Picture(gradient(), alpha=np.zeros((48, 64), np.uint16))


def test_a_picture_describes_itself():
    picture = Picture(gradient16()[..., :1].copy(), icc=P3, format="tiff")
    assert repr(picture) == "<Picture (in memory): tiff, 64x48 16-bit grey icc>"
    assert (picture.height, picture.width, picture.depth, picture.is_grey) == (48, 64, 16, True)


def test_sixteen_bits_are_rounded_to_the_nearest_of_eight():
    every = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(narrow(every), np.round(every / 257).astype(np.uint8))
    assert np.array_equal(narrow(widen(np.arange(256, dtype=np.uint8))), np.arange(256))


def test_what_has_the_right_depth_already_is_not_copied():
    assert narrow(eight := gradient()) is eight
    assert widen(deep := gradient16()) is deep


def test_filling_reaches_both_ends_and_is_nearly_linear():
    for bits in (10, 12):
        values = np.arange(2**bits, dtype=np.uint16)
        filled = fill(values << np.uint16(16 - bits), bits)
        assert np.abs(filled - values * (65535 / (2**bits - 1))).max() <= 1
