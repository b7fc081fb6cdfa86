"""What comes out of a file: upright pixels of the right kind, and the metadata."""

from __future__ import annotations

import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from photographs import (
    DATA,
    XMP,
    exif_block,
    gradient,
    gradient16,
    grey_profile,
    known_profile,
    pillow_file,
    table_profile,
)
from PIL import Image

from unveil import images
from unveil.images import Picture, PictureWarning, libvips


def vips_file(values: np.ndarray, saver: str, **options: object) -> bytes:
    return getattr(libvips.image_of(values), f"{saver}_buffer")(**options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_comes_out_upright(orientation, form):
    upright = Image.fromarray(gradient())
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    if form == "TIFF":
        data = pillow_file(stored, form, tiffinfo={0x0112: orientation, 0x010F: "Synthetic"})
    else:
        data = pillow_file(stored, form, exif=b"Exif\0\0" + exif_block(orientation), **options)
    picture = images.read(data)
    assert picture.pixels.shape == (48, 64, 3)
    assert np.abs(picture.pixels.astype(int) - gradient()).max() <= (4 if form == "JPEG" else 0)
    exif = Image.Exif()
    exif.load(picture.exif)
    assert exif[0x0112] == 1
    assert exif[0x010F] == "Synthetic"


def test_content_decides_and_not_the_name(save):
    path = save("really a png.JPG", pillow_file(Image.fromarray(gradient()), "PNG"))
    picture = images.read(path)
    assert picture.format == "png"
    assert picture.path == path
    assert np.array_equal(picture.pixels, gradient())


@pytest.mark.parametrize("name", ["holiday[page=1].png", "zwölf Äpfel 写真.png", "no extension"])
def test_any_name_is_taken_as_it_is(save, name):
    assert images.read(str(save(name, pillow_file(Image.fromarray(gradient()), "PNG")))).format == "png"


def test_palettes_become_colours_and_single_bits_grey():
    colours = Image.fromarray(gradient()).quantize(32)
    assert np.array_equal(images.read(pillow_file(colours, "PNG")).pixels, np.asarray(colours.convert("RGB")))
    assert np.array_equal(images.read(pillow_file(colours, "TIFF")).pixels, np.asarray(colours.convert("RGB")))
    assert np.array_equal(images.read(pillow_file(colours, "BMP")).pixels, np.asarray(colours.convert("RGB")))
    bits = Image.fromarray(gradient()).convert("1")
    for form in ("PNG", "TIFF", "BMP"):
        picture = images.read(pillow_file(bits, form))
        assert picture.is_grey
        assert picture.depth == 8
        assert np.array_equal(picture.pixels[..., 0], np.asarray(bits.convert("L")))


def test_transparency_of_a_palette_becomes_alpha():
    colours = Image.fromarray(gradient()).quantize(32)
    picture = images.read(pillow_file(colours, "PNG", transparency=0))
    assert np.array_equal(picture.alpha == 0, np.asarray(colours) == 0)


def test_white_is_zero_tiffs_are_not_negatives():
    grey = Image.fromarray(gradient()[..., 0])
    data = vips_file(gradient()[..., :1], "tiffsave", miniswhite=True)
    assert np.array_equal(images.read(data).pixels[..., 0], np.asarray(grey))


@pytest.mark.parametrize(
    ("form", "options", "what"),
    [
        ("GIF", {}, "2 frames"),
        ("WEBP", {"lossless": True}, "2 frames"),
        ("TIFF", {}, "2 pages"),
    ],
)
def test_only_the_first_page_is_read_with_a_warning(save, form, options, what):
    first = Image.fromarray(gradient()).quantize(64).convert("RGB")
    second = Image.fromarray(gradient()[::-1].copy())
    path = save("several", pillow_file(first, form, save_all=True, append_images=[second], **options))
    with pytest.warns(PictureWarning, match=rf"several: has {what}.*only the first") as caught:
        picture = images.read(path)
    assert caught[0].filename == __file__
    assert picture.format == form.lower()
    assert np.array_equal(picture.pixels, np.asarray(first))


@pytest.mark.parametrize("form", ["GIF", "WEBP", "TIFF", "AVIF"])
def test_one_page_or_frame_needs_no_warning(form):
    still = Image.fromarray(gradient()).quantize(64)
    made = pillow_file(still, form) if form == "GIF" else images.encode(Picture(gradient()), form.lower())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = images.read(made)
    if form in ("GIF", "TIFF"):
        assert np.array_equal(picture.pixels, np.asarray(still.convert("RGB")) if form == "GIF" else gradient())


def test_cmyk_is_converted_through_its_profile_with_a_warning():
    cmyk = Image.fromarray(np.full((8, 8, 4), (0, 255, 255, 0), np.uint8), "CMYK")
    with pytest.warns(PictureWarning, match="CMYK.*its profile"):
        own = images.read(pillow_file(cmyk, "TIFF", icc_profile=known_profile("cmyk")))
    with pytest.warns(PictureWarning, match="CMYK.*common profile"):
        common = images.read(pillow_file(cmyk, "JPEG", quality=100))
    for picture in (own, common):
        assert picture.icc is None
        red, green, blue = picture.pixels[4, 4].astype(int)
        assert red > 180
        assert max(green, blue) < 70


def without_tables(profile):
    """The profile with its ways from inks to colours under names that nobody asks for."""
    for name in (b"A2B0", b"A2B1", b"A2B2"):
        profile = profile.replace(name, b"x" + name[1:], 1)
    return profile


@pytest.mark.parametrize(
    "profile",
    [
        known_profile("p3"),
        known_profile("cmyk")[:5000],
        without_tables(known_profile("cmyk")),
        struct.pack(">I", 132) + known_profile("cmyk")[4:128] + bytes(4),
    ],
    ids=["other colours", "cut off", "no tables", "only a header"],
)
@pytest.mark.parametrize("form", ["TIFF", "JPEG"])
def test_a_cmyk_profile_that_cannot_be_used_is_never_said_to_be_used(form, profile):
    cmyk = Image.fromarray(np.random.default_rng(6).integers(0, 256, (16, 16, 4), dtype=np.uint8), "CMYK")
    with pytest.warns(
        PictureWarning, match=r"common profile for coated paper, as its own is damaged or made for other"
    ):
        picture = images.read(pillow_file(cmyk, form, icc_profile=profile))
    with pytest.warns(PictureWarning, match="as it has none of its own"):
        assert np.array_equal(images.read(pillow_file(cmyk, form)).pixels, picture.pixels)


def test_cmyk_goes_through_its_own_profile_and_not_the_common_one():
    profile = known_profile("cmyk")
    count = struct.unpack_from(">I", profile, 128)[0]
    places = {name: (at, length) for name, at, length in struct.iter_unpack(">4sII", profile[132 : 132 + 12 * count])}
    at, length = places[b"A2B1"]
    table = bytes(255 - value for value in profile[at + length // 2 : at + length - 2000])
    other = profile[: at + length // 2] + table + profile[at + length - 2000 :]
    cmyk = Image.fromarray(np.random.default_rng(6).integers(0, 256, (16, 16, 4), dtype=np.uint8), "CMYK")
    with pytest.warns(PictureWarning, match="through its profile"):
        first, second = (images.read(pillow_file(cmyk, "TIFF", icc_profile=icc)) for icc in (profile, other))
    assert np.abs(first.pixels.astype(int) - second.pixels).mean() > 20


def test_heic_is_read_upright_with_its_exif():
    picture = images.read(DATA / "turned.heic")
    assert (picture.format, picture.height, picture.width) == ("heic", 64, 48)
    assert np.abs(picture.pixels.astype(int) - np.rot90(gradient(), -1)).mean() < 1.5
    exif = Image.Exif()
    exif.load(picture.exif)
    assert (exif[0x010F], exif[0x0112]) == ("Synthetic", 1)


def test_pixels_of_heic_outlive_their_file():
    first = images.read(DATA / "turned.heic")
    before = first.pixels.copy()
    others = [images.read(DATA / "turned.heic") for _ in range(20)]
    assert np.array_equal(first.pixels, before)
    assert all(np.array_equal(other.pixels, before) for other in others)


def test_heic_keeps_grey_alpha_depth_and_profile():
    grey = images.read(DATA / "grey.heic")
    assert grey.is_grey
    assert np.abs(grey.pixels[..., 0].astype(int) - gradient()[..., 0]).mean() < 1.5
    alpha = images.read(DATA / "alpha.heic").alpha
    assert alpha is not None
    assert np.abs(alpha.astype(int) - (255 - np.arange(64) * 4)).mean() < 1.5
    deep = images.read(DATA / "deep.heic")
    assert deep.depth == 16
    assert deep.icc == known_profile("p3")
    assert np.abs(deep.pixels / 257 - gradient()).mean() < 1.5


@pytest.mark.parametrize("bits", [10, 12])
def test_ten_and_twelve_bits_reach_the_full_range(bits):
    white = np.full((16, 16, 3), 65535, np.uint16)
    data = vips_file(white, "heifsave", compression="av1", bitdepth=bits, lossless=True)
    picture = images.read(data)
    assert picture.depth == 16
    assert picture.pixels.min() == 65535


def test_metadata_is_read_from_every_format():
    profile = known_profile("p3")
    made = Picture(gradient(), icc=profile, exif=exif_block(), xmp=XMP.replace(b"6", b"1"), resolution=(240.0, 240.0))
    for form in ("jpeg", "png", "webp", "tiff", "avif"):
        picture = images.read(images.encode(made, form))
        assert picture.icc == profile
        assert picture.exif is not None
        assert picture.xmp == made.xmp


def test_orientation_in_xmp_is_reset_too():
    data = pillow_file(Image.fromarray(gradient()), "JPEG", exif=b"Exif\0\0" + exif_block(6), xmp=XMP)
    assert images.read(data).xmp == XMP.replace(b'"6"', b'"1"')


def test_sides_in_exif_follow_the_turn():
    exif = Image.Exif()
    exif.load(images.read(pillow_file(Image.fromarray(gradient()), "JPEG", exif=b"Exif\0\0" + exif_block(6))).exif)
    details = exif.get_ifd(0x8769)
    assert (details[0xA002], details[0xA003]) == (48, 64)


def test_a_profile_for_other_colours_is_left_out_with_a_warning():
    header = struct.pack(">I", 132) + known_profile("p3")[4:128] + bytes(4)
    for profile in (b"no profile at all", grey_profile(2.2), known_profile("p3")[:200], header, table_profile(b"B2A0")):
        with pytest.warns(PictureWarning, match="ICC profile is damaged or made for other colours"):
            picture = images.read(pillow_file(Image.fromarray(gradient()), "TIFF", icc_profile=profile))
        assert picture.icc is None


@pytest.mark.parametrize("table", [b"A2B0", b"A2B1"])
def test_a_profile_of_one_table_is_taken_as_it_is(table):
    # The profiles of many scanners have the perceptual table alone, and no way back.
    with pytest.warns(PictureWarning, match="a device that cannot be written to; the picture is converted to sRGB"):
        picture = images.read(pillow_file(Image.fromarray(gradient()), "PNG", icc_profile=table_profile(table)))
    lightness = gradient().mean(axis=2) * 100 / 255
    linear = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    expected = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear) * 255
    assert picture.icc is None
    assert np.abs(picture.pixels - expected[..., np.newaxis]).max() < 3


def test_cmyk_of_16_bits_stays_deep():
    inks = np.random.default_rng(6).integers(0, 65536, (16, 16, 4), dtype=np.uint16)
    deep = libvips.image_of(inks).copy(interpretation="cmyk")
    with pytest.warns(PictureWarning, match="CMYK"):
        picture = images.read(deep.tiffsave_buffer())
    assert picture.depth == 16
    assert len(np.unique(picture.pixels % 257)) > 100


def test_a_cmyk_profile_of_one_table_is_used_too():
    cmyk = Image.fromarray(np.random.default_rng(6).integers(0, 256, (16, 16, 4), dtype=np.uint8), "CMYK")
    profile = known_profile("cmyk")
    for name in (b"A2B1", b"A2B2"):
        profile = profile.replace(name, b"x" + name[1:], 1)
    with pytest.warns(PictureWarning, match="through its profile"):
        images.read(pillow_file(cmyk, "TIFF", icc_profile=profile))


def test_damaged_exif_is_left_out_with_a_warning():
    data = pillow_file(Image.fromarray(gradient()), "PNG", exif=b"Exif\0\0" + b"II*\0\xff\xff\xff\x00nonsense")
    with pytest.warns(PictureWarning, match="EXIF block is damaged"):
        picture = images.read(data)
    assert picture.exif is None
    assert np.array_equal(picture.pixels, gradient())


def test_sixteen_bits_stay_sixteen():
    deep = gradient16()
    for saver in ("pngsave", "tiffsave"):
        assert np.array_equal(images.read(vips_file(deep, saver)).pixels, deep)


def test_reading_prints_nothing_even_about_damage(save):
    path = save("cut.tif", pillow_file(Image.fromarray(gradient()), "TIFF", compression="jpeg")[:-300])
    heic = save("cut.heic", (DATA / "deep.heic").read_bytes()[:-200])
    script = (
        "import sys; from unveil import images\n"
        "for path in sys.argv[1:]:\n"
        "    try: images.read(path)\n"
        "    except images.reading.UnreadablePicture: pass\n"
        "    else: sys.exit('was read')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), str(heic)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_loads_no_codec():
    script = "import sys, unveil.images; print([m for m in ('pyvips', 'PIL', 'pi_heif') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_bytes_and_files_give_the_same(save):
    data = pillow_file(Image.fromarray(gradient()), "TIFF")
    assert np.array_equal(images.read(data).pixels, images.read(save("a.tif", data)).pixels)
    assert images.read(data).path is None


def png_of_density(across, down):
    """A PNG with so many pixels per metre."""
    data = pillow_file(Image.fromarray(gradient()), "PNG")
    chunk = b"pHYs" + struct.pack(">IIB", across, down, 1)
    return data[:33] + struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


@pytest.mark.parametrize(
    ("across", "down", "expected"),
    [(1000, 2000, (25.4, 50.8)), (2000, 1000, (50.8, 25.4)), (0, 3000, None), (3000, 0, None), (0, 0, None)],
)
def test_resolution_is_told_for_both_sides_or_not_at_all(across, down, expected):
    found = images.read(png_of_density(across, down)).resolution
    assert found is None if expected is None else found == pytest.approx(expected)


@pytest.mark.parametrize("form", ["png", "tiff", "bmp"])
def test_a_resolution_that_differs_from_side_to_side_survives(form):
    for made in ((25.4, 50.8), (50.8, 25.4), (300.0, 72.0)):
        found = images.read(images.encode(Picture(gradient(), resolution=made), form)).resolution
        assert found == pytest.approx(made, abs=0.02)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_taken_for_srgb_with_a_warning(transfer, name):
    data = bytearray((DATA / "turned.heic").read_bytes())
    struct.pack_into(">H", data, data.index(b"nclx") + 6, transfer)
    with pytest.warns(PictureWarning, match=f"high dynamic range \\({name}\\)"):
        picture = images.read(bytes(data))
    assert np.array_equal(picture.pixels, images.read(DATA / "turned.heic").pixels)
