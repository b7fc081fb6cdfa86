"""What the first bytes of a file say, and what each format holds."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from photographs import gradient

from unveil import images
from unveil.errors import UnreadablePicture, UnsupportedPicture, UnwritablePicture
from unveil.images import FORMATS, Picture
from unveil.images.formats import recognise

AVIF = (b"avif", b"avis", b"avio")
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
LONGEST = {"jpeg": 65_500, "webp": 16_383, "avif": 16_384}


def boxes(major, *compatible):
    return struct.pack(">I4s4sI", 16 + 4 * len(compatible), b"ftyp", major, 0) + b"".join(compatible) + bytes(40)


def recognised(data):
    stream = io.BytesIO(data)
    name = recognise(stream, None)
    assert stream.tell() == 0
    return name


@pytest.mark.parametrize("brand", [*AVIF, *HEIC])
def test_a_brand_tells_the_format_wherever_it_stands(brand):
    expected = "avif" if brand in AVIF else "heic"
    assert recognised(boxes(brand)) == expected
    assert recognised(boxes(b"abcd", brand)) == expected
    assert recognised(boxes(b"abcd", b"miaf", b"MA1B", brand)) == expected


def test_avif_goes_before_the_brands_that_it_shares_with_heic():
    assert recognised(boxes(b"mif1", b"heic", b"avif")) == "avif"


def test_brands_behind_their_box_do_not_count():
    with pytest.raises(UnsupportedPicture, match=r"\(isom\)"):
        recognised(boxes(b"isom")[:16] + b"avif" + bytes(40))


@pytest.mark.parametrize("size", [12, 16, 40, 52, 56, 64, 108, 124])
def test_every_header_of_a_bmp_is_known(size):
    assert recognised(b"BM" + bytes(12) + struct.pack("<I", size) + bytes(40)) == "bmp"


@pytest.mark.parametrize("size", [0, 13, 41, 40 << 8, 40 + (1 << 24), 125])
def test_two_letters_make_no_bmp(size):
    with pytest.raises(UnreadablePicture, match="not a picture"):
        recognised(b"BM" + bytes(12) + struct.pack("<I", size) + bytes(40))


@pytest.mark.parametrize(("form", "side"), LONGEST.items())
def test_sides_up_to_the_longest_are_written_and_longer_ones_refused(form, side):
    for shape in ((1, side), (side, 1)):
        picture = Picture(np.zeros((*shape, 3), np.uint8))
        assert images.read(images.encode(picture, form, quality=1)).pixels.shape == (*shape, 3)
    for shape in ((1, side + 1), (side + 1, 1)):
        with pytest.raises(UnwritablePicture, match=f"sides up to {side}"):
            images.encode(Picture(np.zeros((*shape, 3), np.uint8)), form)


@pytest.mark.parametrize(("form", "quality"), [("jpeg", 95), ("webp", 95), ("avif", 90)])
def test_the_usual_quality_is_the_one_that_is_promised(form, quality):
    noise = Picture(np.random.default_rng(4).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    usual = images.encode(noise, form)
    assert usual == images.encode(noise, form, quality=quality)
    assert usual not in [images.encode(noise, form, quality=other) for other in (quality - 1, quality + 1)]


def test_what_a_format_holds_is_what_its_row_says():
    deep = Picture(np.full((8, 8, 1), 40_000, np.uint16))
    for form, known in FORMATS.items():
        if not known.writable:
            continue
        written = images.read(images.encode(deep, form))
        assert (written.depth == 16, written.is_grey) == (known.deep, known.grey)
        if known.alpha:
            clear = Picture(gradient(), np.zeros((48, 64), np.uint8))
            assert images.read(images.encode(clear, form)).alpha is not None
