"""Files that are not read: each gives a typed error that names the file and the cause."""

from __future__ import annotations

import contextlib
import os
import struct
import sys
import zlib

import numpy as np
import pytest
from photographs import DATA, exif_block, gradient, pillow_file
from PIL import Image

from unveil import images
from unveil.errors import InvalidRequest, PictureTooLarge, UnreadablePicture, UnsupportedPicture
from unveil.images import RAW_SUFFIXES, Picture, PictureWarning, libvips

RNG = np.random.default_rng(3)
NOISE = Picture(RNG.integers(0, 256, (96, 128, 3), dtype=np.uint8), exif=exif_block())


def valid_files() -> dict[str, bytes]:
    noise = Image.fromarray(NOISE.pixels)
    files = {form: images.encode(NOISE, form) for form in ("jpeg", "png", "webp", "tiff", "avif", "bmp")}
    files["progressive jpeg"] = pillow_file(noise, "JPEG", progressive=True)
    files["interlaced png"] = libvips.image_of(NOISE.pixels).pngsave_buffer(interlace=True)
    files["lossless webp"] = pillow_file(noise, "WEBP", lossless=True)
    files["tiff from pillow"] = pillow_file(noise, "TIFF", compression="tiff_lzw")
    files["tiff of jpeg strips"] = pillow_file(noise, "TIFF", compression="jpeg")
    files["tiled tiff"] = libvips.image_of(NOISE.pixels).tiffsave_buffer(tile=True, tile_width=32, tile_height=32)
    files["gif"] = pillow_file(noise, "GIF")
    files["bmp with a palette"] = pillow_file(noise.quantize(200), "BMP")
    files["heic"] = (DATA / "turned.heic").read_bytes()
    files["deep heic"] = (DATA / "deep.heic").read_bytes()
    return files


VALID = valid_files()


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", VALID)
def test_a_file_that_is_cut_off_is_never_read(kind, share, save):
    data = VALID[kind]
    path = save(f"cut.{kind}", data[: max(5, int(len(data) * share))])
    with pytest.raises(UnreadablePicture, match=r"cut\."):
        images.read(path)


@pytest.mark.parametrize("kind", ["jpeg", "progressive jpeg", "png", "webp", "lossless webp", "avif", "heic"])
def test_even_a_few_missing_bytes_are_noticed(kind):
    with pytest.raises(UnreadablePicture, match="cut off"):
        images.read(VALID[kind][:-20])


def test_a_tiff_that_lost_only_its_exif_is_read_with_a_warning():
    with pytest.warns(PictureWarning, match="EXIF block is damaged"):
        picture = images.read(VALID["tiff"][:-20])
    assert picture.exif is None
    assert np.array_equal(picture.pixels, NOISE.pixels)


@pytest.mark.parametrize("kind", ["png", "interlaced png", "tiff"])
def test_changed_bytes_are_noticed_where_the_format_has_checksums(kind):
    data = bytearray(VALID[kind])
    for at in range(len(data) // 2, len(data) // 2 + 40):
        data[at] ^= 0x55
    with pytest.raises(UnreadablePicture):
        images.read(bytes(data))


@pytest.mark.filterwarnings("ignore::unveil.images.PictureWarning")
@pytest.mark.parametrize("kind", VALID)
def test_random_damage_never_gives_an_untyped_error(kind):
    rng = np.random.default_rng(len(kind))
    for _ in range(12):
        data = bytearray(VALID[kind])
        for at in rng.integers(4, min(len(data), 600), 6):
            data[at] = rng.integers(0, 256)
        with contextlib.suppress(UnreadablePicture, UnsupportedPicture, PictureTooLarge):
            images.read(bytes(data), pixel_limit=1_000_000)


def test_missing_empty_and_foreign_files_say_so(tmp_path, save):
    cases = {
        tmp_path / "nowhere.jpg": "there is no such file",
        tmp_path / "no" / "folder.jpg": "there is no such file",
        tmp_path: "a folder, not a picture",
        save("empty.jpg", b""): "the file is empty",
        save("letter.jpg", b"Dear Sir or Madam,\n" * 40): "not a picture",
        save("one byte.png", b"\x89"): "not a picture",
        save("bm.bmp", b"BMW drivers meet here, no pixels, only words."): "not a picture",
    }
    for path, cause in cases.items():
        with pytest.raises(UnreadablePicture, match=cause) as caught:
            images.read(path)
        assert caught.value.path == str(path)
        assert str(caught.value).startswith(str(path))


def test_a_name_that_no_system_knows_is_an_error_too():
    with pytest.raises(UnreadablePicture):
        images.read("null\0byte.jpg")
    with pytest.raises(UnreadablePicture):
        images.read("x" * 5000)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a user without all rights")
def test_missing_permission_says_so(save):
    path = save("locked.png", VALID["png"])
    path.chmod(0)
    with pytest.raises(UnreadablePicture, match="permission"):
        images.read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(UnreadablePicture, match="not an ordinary file"):
        images.read(tmp_path / "pipe.jpg")


def raw_like(entries: list[tuple[int, int, int, int]]) -> bytes:
    table = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4) + bytes(200)


@pytest.mark.parametrize(
    "data",
    [
        b"II*\0\x10\0\0\0CR\x02\0" + bytes(100),
        b"FUJIFILMCCD-RAW 0201" + bytes(100),
        b"IIU\0\x18\0\0\0" + bytes(100),
        b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom" + bytes(100),
        raw_like([(0x0106, 3, 1, 32803), (0x0100, 3, 1, 60)]),
        raw_like([(0x0106, 3, 1, 2), (0xC612, 1, 4, 0x0401)]),
        raw_like([(0x0103, 3, 1, 34713), (0x0100, 3, 1, 60)]),
    ],
    ids=["cr2", "raf", "rw2", "cr3", "cfa", "dng", "nef"],
)
def test_camera_raw_is_refused_with_advice_whatever_its_name(data, save):
    with pytest.raises(UnsupportedPicture, match="camera RAW is not read; develop it"):
        images.read(save("renamed.tif", data))


@pytest.mark.parametrize("deep", [False, True], ids=["first directory", "below it"])
@pytest.mark.parametrize(
    ("tag", "value"),
    [*((0x0103, value) for value in (32767, 32769, 32770, 34713, 65000, 65535)), (0x0106, 32803), (0x0106, 34892)],
)
def test_every_way_in_which_cameras_pack_raw_is_refused(tag, value, deep):
    data = raw_like([(tag, 3, 1, value), (0x0100, 3, 1, 60)])
    if deep:
        data = raw_like([(0x014A, 4, 1, 226)])[:226].ljust(226, b"\0") + data[8:]
    with pytest.raises(UnsupportedPicture, match="camera RAW"):
        images.read(data)


@pytest.mark.parametrize("suffix", [".NEF", ".arw", ".dng", ".iiq"])
def test_camera_raw_is_refused_by_its_extension(suffix, save):
    assert suffix.lower() in RAW_SUFFIXES
    with pytest.raises(UnsupportedPicture, match="camera RAW"):
        images.read(save(f"a{suffix}", VALID["tiff"]))
    with pytest.raises(UnsupportedPicture, match="camera RAW"):
        images.read(save(f"b{suffix}", bytes(range(256)) * 4))


@pytest.mark.parametrize(
    ("data", "printed"),
    [
        (b"\xff\x0a" + bytes(50), "JPEG XL"),
        (b"8BPS\0\1" + bytes(50), "Photoshop"),
        (b"%PDF-1.7" + bytes(50), "PDF"),
        (b"P6\n8 8\n255\n" + bytes(192), "Netpbm"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\0\0\0\x14ftypisom\0\0\2\0isom" + bytes(50), "video"),
    ],
)
def test_other_kinds_of_files_are_named(data, printed):
    with pytest.raises(UnsupportedPicture, match=printed):
        images.read(data)


@pytest.mark.parametrize("kind", ["float", "double", "int", "uint", "short", "char"])
def test_values_other_than_8_and_16_bits_are_refused_with_advice(kind):
    image = libvips.image_of(gradient()).cast(kind)
    with pytest.raises(UnsupportedPicture, match="values; convert it to 8 or 16 bits"):
        images.read(image.tiffsave_buffer())


def test_lab_and_many_channels_are_refused_with_advice():
    with pytest.raises(UnsupportedPicture, match=r"L.a.b. colours; convert it to RGB"):
        images.read(pillow_file(Image.fromarray(gradient(), "LAB"), "TIFF"))
    many = np.zeros((8, 8, 6), np.uint8)
    image = libvips.load().Image.new_from_memory(many, 8, 8, 6, "uchar").copy(interpretation="multiband")
    with pytest.raises(UnsupportedPicture, match="6 channels"):
        images.read(image.tiffsave_buffer())


def huge_png(side: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_the_pixel_limit_is_checked_before_decoding():
    # Nothing of these could be decoded, so only the header can have been read.
    with pytest.raises(PictureTooLarge, match=r"30000 x 30000 is 900.0 megapixels, the limit is 250.0; raise"):
        images.read(huge_png(30_000))
    bmp = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, 40_000, 40_000, 1, 24, 0, 0, 0, 0, 0, 0)
    with pytest.raises(PictureTooLarge):
        images.read(bmp + bytes(60))


@pytest.mark.parametrize("kind", VALID)
def test_the_pixel_limit_holds_for_every_format(kind):
    with pytest.raises(PictureTooLarge, match="limit"):
        images.read(VALID[kind], pixel_limit=100)


def test_the_pixel_limit_can_be_reached_but_not_be_zero():
    assert images.read(VALID["png"], pixel_limit=96 * 128).width == 128
    with pytest.raises(InvalidRequest, match="pixel_limit"):
        images.read(VALID["png"], pixel_limit=0)
