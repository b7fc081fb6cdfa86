"""What lands in a file, and what never does."""

from __future__ import annotations

import io
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from photographs import DATA, XMP, exif_block, gradient, gradient16, grey_profile, known_profile, pillow_file
from PIL import Image

from unveil import images
from unveil.errors import InvalidRequest, OutputExists, UnreadablePicture, UnwritablePicture
from unveil.images import FORMATS, Picture, PictureWarning, libvips

P3 = known_profile("p3")
UPRIGHT_XMP = XMP.replace(b"6", b"1")
WRITABLE = [name for name, known in FORMATS.items() if known.writable]


def round_trip(picture: Picture, form: str, **options: int) -> Picture:
    return images.read(images.encode(picture, form, **options))


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def closeness(a: np.ndarray, b: np.ndarray) -> float:
    """Root of the mean squared error, in steps of 8 bits."""
    wide = [values / (np.iinfo(values.dtype).max / 255) for values in (a, b)]
    return float(np.sqrt(((wide[0] - wide[1]) ** 2).mean()))


def test_a_deep_png_with_alpha_and_profile_survives(tmp_path):
    alpha = gradient16()[..., 1].copy()
    made = Picture(gradient16(), alpha, icc=P3, exif=exif_block(), xmp=UPRIGHT_XMP, resolution=(240.0, 240.0))
    first = images.write(made, tmp_path / "a.png")
    picture = images.read(images.write(images.read(first), tmp_path / "b.png"))
    assert np.array_equal(picture.pixels, made.pixels)
    assert np.array_equal(picture.alpha, alpha)
    assert (picture.icc, picture.exif, picture.xmp) == (made.icc, made.exif, made.xmp)
    assert picture.resolution == pytest.approx((240, 240), abs=0.02)


@pytest.mark.parametrize("pixels", [gradient()[..., :1], gradient16()[..., :1]], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("form", ["tiff", "png"])
def test_grey_stays_grey_and_exact(pixels, form):
    made = Picture(pixels.copy(), alpha=pixels[::-1, :, 0].copy(), icc=grey_profile(2.2))
    picture = round_trip(made, form)
    assert np.array_equal(picture.pixels, made.pixels)
    assert np.array_equal(picture.alpha, made.alpha)
    assert picture.icc == made.icc


def test_grey_stays_grey_in_jpeg_and_bmp():
    grey = Picture(gradient()[..., :1].copy())
    assert round_trip(grey, "jpeg").is_grey
    assert np.array_equal(round_trip(grey, "bmp").pixels, grey.pixels)


def test_an_oriented_jpeg_keeps_its_exif_and_is_turned_once(tmp_path):
    data = pillow_file(Image.fromarray(gradient()), "JPEG", exif=b"Exif\0\0" + exif_block(6, thumbnail=True))
    first = images.read(data)
    second = images.read(images.write(first, tmp_path / "turned.jpg"))
    assert second.pixels.shape == (64, 48, 3)
    assert closeness(second.pixels, first.pixels) < 1.5
    assert second.exif == first.exif
    exif = Image.Exif()
    exif.load(second.exif)
    assert exif[0x0112] == 1
    assert exif.get_ifd(0x8769)[0x927C] == b"MakerNote" + bytes(range(50))
    assert exif.get_ifd(0x8769)[0xC0DE] == "unknown to everybody"
    assert exif.get_ifd(0x8825)[2] == (50.0, 30.0, 12.5)
    assert not exif.get_ifd(1)
    assert b"thumb" not in second.exif


@pytest.mark.parametrize("form", WRITABLE)
def test_heic_can_be_written_as_everything(form):
    picture = images.read(DATA / "deep.heic")
    written = round_trip(picture, form)
    assert written.depth == (16 if FORMATS[form].deep else 8)
    if FORMATS[form].metadata:
        assert written.icc == P3
        assert closeness(written.pixels, picture.pixels) < 2
    else:
        assert written.icc is None
        assert closeness(written.pixels, picture.srgb()) < 1


@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
def test_exif_is_unchanged_to_the_byte(form):
    made = Picture(gradient(), exif=exif_block(), xmp=UPRIGHT_XMP, icc=P3)
    assert round_trip(made, form).exif == made.exif
    assert round_trip(Picture(gradient(), exif=exif_block()), form).exif == made.exif
    assert round_trip(Picture(gradient()), form).exif is None


@pytest.mark.parametrize("form", ["tiff", "avif"])
@pytest.mark.parametrize("order", ["II", "MM"])
def test_exif_in_tiff_and_avif_keeps_its_values(form, order):
    block = exif_block()
    if order != block[:2].decode():
        other = Image.Exif()
        other.load(block)
        other.endian = {"II": "<", "MM": ">"}[order]
        block = other.tobytes().removeprefix(b"Exif\0\0")
    exif = Image.Exif()
    exif.load(round_trip(Picture(gradient(), exif=block), form).exif)
    details, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    assert (exif[0x010F], exif[0x0110]) == ("Synthetic", "Camera 1")
    assert (exif[0x011A], exif[0x011B]) == (240, 240)
    assert details[0x9003] == "2024:05:06 07:08:09"
    assert details[0x829A] == pytest.approx(0.01)
    assert details[0x927C] == b"MakerNote" + bytes(range(50))
    assert place[2] == (50.0, 30.0, 12.5)
    assert place[1] == "N"
    if form == "tiff":
        assert details[0xC0DE] == "unknown to everybody"


def test_a_tiff_with_exif_is_still_a_tiff_to_others(tmp_path):
    path = images.write(Picture(gradient(), exif=exif_block(), icc=P3), tmp_path / "a.tif")
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), gradient())
        assert image.info["icc_profile"] == P3
        assert image.getexif()[0x010F] == "Synthetic"
        assert image.getexif().get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif"])
def test_others_read_what_is_written(form):
    made = Picture(gradient(), exif=exif_block(), icc=P3)
    with Image.open(io.BytesIO(images.encode(made, form))) as image:
        assert closeness(np.asarray(image), gradient()) < 2
        assert image.getexif()[0x010F] == "Synthetic"
        assert image.info["icc_profile"] == P3


@pytest.mark.parametrize("form", ["png", "webp", "tiff", "avif"])
def test_alpha_survives_bit_exactly(form):
    alpha = np.random.default_rng(1).integers(0, 256, (48, 64), dtype=np.uint8)
    picture = round_trip(Picture(gradient(), alpha), form)
    assert np.array_equal(picture.alpha, alpha)
    assert closeness(picture.pixels, gradient()) < 3


def test_a_fully_opaque_alpha_survives_lossy_avif():
    alpha = np.full((48, 64), 255, np.uint8)
    assert np.array_equal(round_trip(Picture(gradient(), alpha), "avif").alpha, alpha)


@pytest.mark.parametrize("form", ["jpeg", "bmp"])
def test_transparency_is_never_lost_in_silence(form):
    alpha = np.full((48, 64), 255, np.uint8)
    assert round_trip(Picture(gradient(), alpha), form).alpha is None
    alpha[3, 4] = 254
    with pytest.raises(UnwritablePicture, match=r"transparent parts.*PNG, WebP, TIFF or AVIF"):
        images.encode(Picture(gradient(), alpha), form)


@pytest.mark.parametrize("form", ["jpeg", "webp", "bmp"])
def test_sixteen_bits_are_rounded_where_eight_must_do(form):
    for value, expected in ((128 * 257 + 128, 128), (128 * 257 + 129, 129), (100 * 257 - 128, 100)):
        picture = round_trip(Picture(np.full((32, 32, 1), value, np.uint16)), form, quality=100)
        assert set(np.unique(picture.pixels)) == {expected}


def test_sixteen_bits_in_avif_are_rounded_to_twelve():
    deep = Picture(gradient16(), alpha=gradient16()[..., 0].copy())
    picture = round_trip(deep, "avif")
    assert np.abs(picture.pixels.astype(int) - deep.pixels).max() <= 9
    assert np.abs(picture.alpha.astype(int) - deep.alpha).max() <= 9


@pytest.mark.parametrize("form", ["jpeg", "webp", "avif"])
def test_quality_changes_size_and_likeness(form):
    noisy = Picture(np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    low, usual, high = (images.encode(noisy, form, quality=quality) for quality in (30, None, 100))
    assert len(low) < len(usual) < len(high)
    near, far = (closeness(images.read(data).pixels, noisy.pixels) for data in (high, low))
    assert near < far


def test_high_quality_keeps_colour_resolution():
    edges = np.zeros((32, 32, 3), np.uint8)
    edges[:, ::2, 0] = edges[:, 1::2, 2] = 255
    assert closeness(round_trip(Picture(edges), "jpeg").pixels, edges) < 5
    assert closeness(round_trip(Picture(edges), "jpeg", quality=80).pixels, edges) > 40


def test_grey_with_a_profile_becomes_srgb_where_there_is_no_grey():
    grey = Picture(np.full((16, 16, 1), 128, np.uint8), icc=grey_profile(1.0))
    for form in ("webp", "avif"):
        picture = round_trip(grey, form)
        assert picture.icc is None
        assert abs(int(picture.pixels[8, 8, 0]) - 188) <= 2


@pytest.mark.parametrize("name", ["a.JPG", "a.jpeg", "a.Png", "a.webp", "a.tif", "a.TIFF", "a.avif", "a.bmp"])
def test_the_extension_says_the_format_in_any_case(name, tmp_path):
    path = images.write(Picture(gradient()), str(tmp_path / name))
    assert path == tmp_path / name
    expected = {"jpg": "jpeg", "tif": "tiff"}.get(name[2:].lower(), name[2:].lower())
    assert images.read(path).format == expected


def test_a_format_given_by_name_wins_over_the_extension(tmp_path):
    assert images.read(images.write(Picture(gradient()), tmp_path / "a.jpg", format="PNG")).format == "png"


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("a.heic", "HEIC is read but not written; use one of .jpg"),
        ("a.gif", "GIF is read but not written"),
        ("a.xyz", "'.xyz' says no format; use one of .jpg"),
        ("a", "the name has no extension"),
    ],
)
def test_names_that_say_no_writable_format_are_refused(name, cause, tmp_path):
    with pytest.raises(UnwritablePicture, match=cause) as caught:
        images.write(Picture(gradient()), tmp_path / name)
    assert caught.value.path == str(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_an_unknown_format_and_a_quality_out_of_range_are_refused():
    with pytest.raises(UnwritablePicture, match=r"unknown format 'jpeg2000'.*jpeg, png"):
        images.encode(Picture(gradient()), "jpeg2000")
    for quality in (0, 101):
        with pytest.raises(InvalidRequest, match="expected 1 to 100"):
            images.encode(Picture(gradient()), "jpeg", quality=quality)


def test_sides_that_a_format_cannot_hold_are_refused():
    wide = Picture(np.zeros((1, 16_384, 3), np.uint8))
    with pytest.raises(UnwritablePicture, match="WebP holds sides up to 16383: use PNG or TIFF"):
        images.encode(wide, "webp")
    assert round_trip(wide, "png").width == 16_384


def test_metadata_too_large_for_jpeg_is_left_out_with_a_warning():
    packet = b"<x>" + b"a" * 70_000 + b"</x>"
    with pytest.warns(PictureWarning, match="XMP packet of 70007 bytes"):
        assert images.read(images.encode(Picture(gradient(), xmp=packet), "jpeg")).xmp is None
    assert round_trip(Picture(gradient(), xmp=packet), "png").xmp == packet
    with pytest.warns(PictureWarning, match="EXIF block"):
        assert images.read(images.encode(Picture(gradient(), exif=exif_block() + bytes(66_000)), "jpeg")).exif is None


def test_xmp_just_within_a_jpeg_is_kept():
    packet = b"<x>" + b"a" * (60_000 - 7) + b"</x>"
    assert round_trip(Picture(gradient(), xmp=packet), "jpeg").xmp == packet


def test_an_existing_file_is_kept_unless_overwriting_is_asked_for(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    with pytest.raises(OutputExists, match="already exists"):
        images.write(Picture(gradient()), path)
    assert path.read_bytes() == b"precious"
    images.write(Picture(gradient()), path, overwrite=True)
    assert images.read(path).width == 64
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_file_that_appears_while_writing_is_not_replaced(hard_links, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    real = os.fsync

    def meddle(handle: int) -> None:
        path.write_bytes(b"somebody else's")
        real(handle)

    def no_links(*_: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(os, "fsync", meddle)
    if not hard_links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(OutputExists, match="in the meantime"):
        images.write(Picture(gradient()), path)
    assert path.read_bytes() == b"somebody else's"
    assert names(tmp_path) == ["a.png"]


def test_file_systems_without_hard_links_work_too(tmp_path, monkeypatch):
    def no_links(*_: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", no_links)
    images.write(Picture(gradient()), tmp_path / "a.png")
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device"), MemoryError()])
@pytest.mark.parametrize("overwrite", [True, False])
def test_nothing_is_left_behind_when_writing_fails(error, overwrite, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    if overwrite:
        path.write_bytes(b"precious")

    def fail(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    expected = UnwritablePicture if isinstance(error, OSError) else type(error)
    with pytest.raises(expected, match="No space left" if isinstance(error, OSError) else None):
        images.write(Picture(gradient()), path, overwrite=overwrite)
    assert [(name, (tmp_path / name).read_bytes()) for name in names(tmp_path)] == (
        [("a.png", b"precious")] if overwrite else []
    )


def test_a_missing_folder_and_a_folder_as_target_say_so(tmp_path):
    with pytest.raises(UnwritablePicture, match="does not exist; create it first"):
        images.write(Picture(gradient()), tmp_path / "nowhere" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UnwritablePicture, match="a folder; name a file in it"):
        images.write(Picture(gradient()), tmp_path / "folder.png", overwrite=True)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and links")
def test_a_new_file_has_usual_permissions_and_a_link_stays_one(tmp_path):
    path = images.write(Picture(gradient()), tmp_path / "a.png")
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    link = tmp_path / "link.png"
    link.symlink_to(path)
    images.write(Picture(gradient()[::-1].copy()), link, overwrite=True)
    assert link.is_symlink()
    assert np.array_equal(images.read(path).pixels, gradient()[::-1])


def test_exif_that_cannot_be_read_does_not_spoil_a_tiff(tmp_path):
    picture = Picture(gradient(), exif=b"nonsense")
    with pytest.warns(PictureWarning, match="left out of the TIFF"):
        images.write(picture, tmp_path / "a.tif")
    assert images.read(tmp_path / "a.tif").exif is None


def test_bigtiff_is_read(tmp_path):
    path = tmp_path / "big.tif"
    path.write_bytes(libvips.image_of(gradient()).tiffsave_buffer(bigtiff=True))
    assert np.array_equal(images.read(path).pixels, gradient())
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UnreadablePicture):
        images.read(path)


def test_a_tiff_too_large_for_its_offsets_is_a_bigtiff(monkeypatch):
    picture = Picture(gradient(), exif=exif_block())
    monkeypatch.setattr("unveil.images.writing._CLASSIC_TIFF_BYTES", picture.pixels.nbytes)
    assert images.encode(picture, "tiff")[:4] == b"II*\0"
    monkeypatch.setattr("unveil.images.writing._CLASSIC_TIFF_BYTES", picture.pixels.nbytes - 1)
    with pytest.warns(PictureWarning, match="left out of the TIFF .the file is a BigTIFF"):
        large = images.encode(picture, "tiff")
    assert large[:4] == b"II+\0"
    assert np.array_equal(images.read(large).pixels, gradient())


@pytest.mark.parametrize("side", [(1, 1), (1, 40), (40, 1), (7, 3)])
@pytest.mark.parametrize("form", WRITABLE)
def test_the_smallest_pictures_work(form, side):
    picture = Picture(np.full((*side, 3), 90, np.uint8), icc=P3 if FORMATS[form].metadata else None)
    written = round_trip(picture, form)
    assert written.pixels.shape == picture.pixels.shape
    assert closeness(written.pixels, picture.pixels) < 3
    assert np.array_equal(written.with_srgb(written.srgb()).pixels, written.pixels)


def test_the_path_that_comes_back_can_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert images.write(Picture(gradient()), "here.png") == Path("here.png")
    assert images.read("here.png").width == 64


def test_a_copy_is_exact_and_never_replaces_unasked(tmp_path):
    source, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
    source.write_bytes(b"any bytes")
    assert images.copy(source, target) == target
    assert target.read_bytes() == b"any bytes"
    with pytest.raises(OutputExists):
        images.copy(source, target)
    source.write_bytes(b"other bytes")
    images.copy(source, target, overwrite=True)
    assert target.read_bytes() == b"other bytes"
    with pytest.raises(UnreadablePicture):
        images.copy(tmp_path / "none.jpg", tmp_path / "c.jpg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "b.jpg"]


def test_the_bytes_are_announced_before_they_get_their_name(tmp_path):
    picture = Picture(gradient())
    for name, place in (("a.png", lambda to, tell: images.write(picture, to, announce=tell)),
                        ("b.png", lambda to, tell: images.copy(tmp_path / "a.png", to, announce=tell))):  # fmt: skip
        told: list[tuple[bytes, bool]] = []
        target = tmp_path / name
        place(target, lambda data, target=target, told=told: told.append((data, target.exists())))
        assert told == [(target.read_bytes(), False)]


def test_what_fails_in_an_announcement_leaves_no_file(tmp_path):
    def fail(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(UnwritablePicture, match="No space"):
        images.write(Picture(gradient()), tmp_path / "a.png", announce=fail)
    assert names(tmp_path) == []
