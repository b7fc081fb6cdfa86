"""Files that people and broken programs really make: cut off, mislabelled, of rare kinds, of extreme shapes."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from odd_case import OddFile, Pixels
from PIL import Image

from unveil import images
from unveil.errors import UnreadablePicture, UnsupportedPicture
from unveil.images import Picture, libvips

sys.path.append(str(Path(__file__).parents[1] / "images"))

from photographs import DATA, known_profile, pillow_file

ENDINGS = {"jpeg": "jpg", "tiff": "tif"}
WRITABLE = ("jpeg", "png", "webp", "tiff", "avif", "bmp")


@cache
def noise(height: int = 48, width: int = 64, channels: int = 3, deep: bool = False) -> Pixels:
    """What no encoder can make small."""
    dtype = np.uint16 if deep else np.uint8
    pixels = np.random.default_rng(3).integers(0, np.iinfo(dtype).max, (height, width, channels), dtype)
    pixels.flags.writeable = False
    return pixels


@cache
def sound(form: str) -> bytes:
    """A sound file of noise in a format."""
    if form == "heic":
        return (DATA / "turned.heic").read_bytes()
    if form == "gif":
        return pillow_file(Image.fromarray(noise()), "GIF")
    return images.encode(Picture(noise()), form)


def cut_off() -> Iterator[OddFile]:
    places = (("after one byte", 1), ("after 12 bytes", 12), ("at a quarter", 0.25), ("at three quarters", 0.75))
    for form in (*WRITABLE, "heic", "gif"):
        data = sound(form)
        for words, place in places:
            length = place if isinstance(place, int) else int(len(data) * place)
            name = f"{form} cut {words}.{ENDINGS.get(form, form)}"
            yield OddFile("Cut off", f"{form} cut off {words}", name, lambda d=data[:length]: d, UnreadablePicture)


def mislabelled() -> Iterator[OddFile]:
    group = "Mislabelled"

    def case(words: str, name: str, data: bytes, **wanted: object) -> OddFile:
        return OddFile(group, words, name, lambda: data, **wanted)  # type: ignore[arg-type]

    yield case("a PNG called .jpg", "png.jpg", sound("png"), pixels=noise())
    yield case("a JPEG called .png", "jpeg.png", sound("jpeg"))
    yield case("a TIFF called .webp", "tiff.webp", sound("tiff"), pixels=noise())
    yield case("a PNG without an ending", "png", sound("png"), pixels=noise())
    for words, name, data in (
        ("a text called .jpg", "text.jpg", b"Dear Sir or Madam,\n" * 40),
        ("a web page called .png", "page.png", b"<!doctype html><html><body>404</body></html>"),
        ("a ZIP archive called .tif", "archive.tif", b"PK\x03\x04" + bytes(200)),
        ("a program called .gif", "program.gif", b"\x7fELF" + bytes(range(200))),
        ("zeros called .jpg", "zeros.jpg", bytes(1 << 20)),
    ):
        yield case(words, name, data, error=UnreadablePicture, said="not a picture")
    for words, name, data, said in (
        ("a video called .jpg", "video.jpg", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(100), "a video"),
        ("a PDF called .jpg", "pdf.jpg", b"%PDF-1.7\n" + bytes(100), "PDF"),
        ("a drawing (SVG) called .png", "svg.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        ("Photoshop's own format called .tif", "psd.tif", b"8BPS\0\1" + bytes(60), "Photoshop"),
        ("camera RAW called .tif", "raw.tif", b"II*\0\x10\0\0\0CR\x02\0" + bytes(100), "camera RAW"),
    ):
        yield case(words, name, data, error=UnsupportedPicture, said=said)
    yield case("an empty file", "empty.jpg", b"", error=UnreadablePicture, said="empty")
    yield case("one byte", "byte.png", b"\x89", error=UnreadablePicture, said="not a picture")


def shapes() -> Iterator[OddFile]:
    group = "Extreme shapes"
    for form in WRITABLE:
        ending = ENDINGS.get(form, form)
        exact = form in ("png", "tiff", "bmp")
        for words, height, width in (("1 x 1", 1, 1), ("1 x 700", 1, 700), ("700 x 1", 700, 1)):
            pixels = noise(height, width)
            yield OddFile(
                group,
                f"{form} of {words} pixels",
                f"{form} {words}.{ending}",
                lambda pixels=pixels, form=form: images.encode(Picture(pixels), form),
                pixels=pixels if exact else None,
            )
    wide = np.repeat(noise(2, 1), 65_535, axis=1)
    for form in ("png", "tiff", "bmp"):
        yield OddFile(
            group,
            f"{form} 65535 wide",
            f"wide.{ENDINGS.get(form, form)}",
            lambda form=form: images.encode(Picture(wide), form),
            pixels=wide,
        )
    longest = np.repeat(noise(2, 1), 65_500, axis=1)
    yield OddFile(group, "jpeg 65500 wide", "wide.jpg", lambda: images.encode(Picture(longest), "jpeg"))
    yield OddFile(
        group,
        "jpeg that says 65535 wide",
        "too wide.jpg",
        lambda: with_jpeg_width(sound("jpeg"), 65_535),
        UnreadablePicture,
        "cannot be decoded",
    )


def with_jpeg_width(data: bytes, width: int) -> bytes:
    """The file with another width in its frame header."""
    at = data.index(b"\xff\xc0") + 7
    return data[:at] + struct.pack(">H", width) + data[at + 2 :]


def kinds() -> Iterator[OddFile]:
    group = "Rare kinds of pixels"
    rgb = Image.fromarray(noise())

    def pillow(words: str, name: str, image: Image.Image, form: str, said: str = "", **options: object) -> OddFile:
        return OddFile(group, words, name, lambda: pillow_file(image, form, **options), said=said)

    def exact(words: str, name: str, image: Image.Image, form: str, pixels: Pixels, **options: object) -> OddFile:
        return OddFile(group, words, name, lambda: pillow_file(image, form, **options), pixels=pixels)

    cmyk, paper = rgb.convert("CMYK"), known_profile("cmyk")
    yield pillow("CMYK in JPEG, no profile", "cmyk.jpg", cmyk, "JPEG", "CMYK")
    yield pillow("CMYK in JPEG with a profile", "cmyk profile.jpg", cmyk, "JPEG", "its profile", icc_profile=paper)
    yield pillow("CMYK in TIFF", "cmyk.tif", cmyk, "TIFF", "CMYK")

    palette = rgb.quantize(16)
    shown = np.asarray(palette.convert("RGB"))
    for form, name in (("PNG", "palette.png"), ("TIFF", "palette.tif"), ("BMP", "palette.bmp"), ("GIF", "palette.gif")):
        yield exact(f"a palette in {form}", name, palette, form, shown)
    clear = np.dstack([shown, np.full(shown.shape[:2], 255, np.uint8)])
    clear[np.asarray(palette) == 3, 3] = 0
    yield exact("a palette with a transparent colour", "clear.png", palette, "PNG", clear, transparency=3)

    bits = noise(channels=1)[:, :, 0] > 127
    grey = np.where(bits, 255, 0).astype(np.uint8)[:, :, np.newaxis]
    for form, name in (("PNG", "one bit.png"), ("TIFF", "one bit.tif"), ("BMP", "one bit.bmp")):
        yield exact(f"1 bit in {form}", name, Image.fromarray(bits), form, grey)
    fax = Image.fromarray(bits)
    yield exact("1 bit in TIFF, compressed as a fax", "fax.tif", fax, "TIFF", grey, compression="group4")
    for depth in (2, 4):
        few = noise(channels=1) >> (8 - depth)
        yield OddFile(
            group,
            f"{depth} bits of grey in PNG",
            f"{depth} bits.png",
            lambda few=few, depth=depth: packed_png(few[:, :, 0], depth),
            pixels=few * np.uint8(255 // (2**depth - 1)),
        )
    for channels, words in ((1, "grey"), (3, "RGB")):
        deep = noise(channels=channels, deep=True)
        for form in ("png", "tiff"):
            yield OddFile(
                group,
                f"16 bits of {words} in {form}",
                f"deep {words}.{ENDINGS.get(form, form)}",
                lambda deep=deep, form=form: images.encode(Picture(deep), form),
                pixels=deep,
            )
    both = noise(channels=4, deep=True)
    yield OddFile(
        group,
        "16 bits with transparency in png",
        "deep clear.png",
        lambda: images.encode(Picture(both[:, :, :3], alpha=np.ascontiguousarray(both[:, :, 3])), "png"),
        pixels=both,
    )
    for words, fill in (("", 0.5), (" with NaN", np.nan), (" with infinity", np.inf)):
        yield OddFile(
            group,
            f"floating point in TIFF{words}",
            f"float{words}.tif",
            lambda fill=fill: pillow_file(Image.fromarray(np.full((8, 8), fill, np.float32)), "TIFF"),
            UnsupportedPicture,
            "32-bit floating-point values",
        )
    yield OddFile(
        group,
        "L*a*b* in TIFF",
        "lab.tif",
        lambda: pillow_file(rgb.convert("LAB"), "TIFF"),
        UnsupportedPicture,
        "L*a*b* colours",
    )
    six = np.zeros((8, 8, 6), np.uint8)
    yield OddFile(
        group,
        "six channels in TIFF",
        "six.tif",
        lambda: libvips.image_of(six).copy(interpretation="multiband").tiffsave_buffer(),
        UnsupportedPicture,
        "6 channels",
    )


def packed_png(values: Pixels, depth: int) -> bytes:
    """A grey PNG of fewer than 8 bits."""
    height, width = values.shape
    bits = np.unpackbits(values[:, :, np.newaxis], axis=2)[:, :, 8 - depth :].reshape(height, -1)
    rows = np.packbits(bits, axis=1)
    return png((width, height, depth, 0), b"".join(b"\0" + row.tobytes() for row in rows))


def png(header: tuple[int, int, int, int], rows: bytes, *, before: bytes = b"", compressed: bool = False) -> bytes:
    """A PNG of (width, height, bits, colour type) with chunks `before` its pixels, whatever they say."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0))
    body = chunk(b"IDAT", rows if compressed else zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + head + before + body + chunk(b"IEND", b"")


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def several() -> Iterator[OddFile]:
    group = "Several pictures in one file"
    frames = [Image.fromarray(np.roll(noise(), step, axis=1)) for step in range(3)]
    rest: dict[str, object] = {"save_all": True, "append_images": frames[1:]}
    first = noise()
    yield OddFile(
        group, "TIFF of 3 pages", "pages.tif", lambda: pillow_file(frames[0], "TIFF", **rest), None, "3 pages", first
    )
    for form, name in (("GIF", "animated.gif"), ("WEBP", "animated.webp")):
        yield OddFile(
            group, f"animated {form}", name, lambda form=form: pillow_file(frames[0], form, **rest), None, "3 frames"
        )
    lossless = lambda: pillow_file(frames[0], "WEBP", lossless=True, **rest)  # noqa: E731
    yield OddFile(group, "animated WebP, lossless", "animated lossless.webp", lossless, None, "3 frames", first)
    yield OddFile(group, "animated PNG", "animated.png", lambda: pillow_file(frames[0], "PNG", **rest), pixels=first)


def ordinary_files() -> list[OddFile]:
    """All of them, in the order of the table."""
    return [*cut_off(), *mislabelled(), *shapes(), *kinds(), *several()]
