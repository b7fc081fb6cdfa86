"""What is fuzzed: each target takes bytes, and raises nothing but a defect."""

from __future__ import annotations

import contextlib
import functools
import io
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from spoiling import (
    Spoil,
    spoil_boxes,
    spoil_bytes,
    spoil_jpeg,
    spoil_message,
    spoil_model,
    spoil_png,
    spoil_tiff,
    spoil_value,
    spoil_webp,
)

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "images")]

import json  # noqa: E402

from photographs import DATA, XMP, exif_block, gradient, gradient16, known_profile, pillow_file  # noqa: E402
from PIL import Image  # noqa: E402

from toy import encode_graph, estimate_graph, restore_graph, toy_model  # noqa: E402
from unveil import images, models  # noqa: E402
from unveil.engines import choose  # noqa: E402
from unveil.errors import EngineError, InvalidModel, InvalidRequest, ModelTooNew, PictureError, UnwritablePicture  # noqa: E402
from unveil.images import Picture, exif  # noqa: E402
from unveil.models import Card  # noqa: E402
from unveil.restoration import Restorer  # noqa: E402

PIXEL_LIMIT = 1_000_000


@dataclass(frozen=True)
class Target:
    """`run` takes a file; `seeds` are sound ones, each with what spoils it."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[tuple[bytes, Spoil]]]

    def spoilt(self, random: Random) -> bytes:
        """A spoilt seed: mostly with its structure kept."""
        seed, spoil = random.choice(self.seeds())
        return spoil(random, seed) if random.random() < 0.8 else spoil_bytes(random, seed)


def read_picture(data: bytes) -> None:
    """A picture is read or refused with a typed error; what is read can be written and is then the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = images.read(data, pixel_limit=PIXEL_LIMIT)
        except PictureError:
            return
        assert picture.height * picture.width <= PIXEL_LIMIT
        with contextlib.suppress(UnwritablePicture):
            again = images.read(images.encode(picture, "png"))
            assert np.array_equal(again.pixels, picture.pixels)
            assert (again.alpha is None) == (picture.alpha is None)


@functools.cache
def pictures() -> list[tuple[bytes, Spoil]]:
    rich = Picture(gradient(), exif=exif_block(6, thumbnail=True), xmp=XMP, icc=known_profile("p3"))
    clear = Picture(gradient16(), alpha=gradient16()[:, :, 0].copy())
    spoils: dict[str, Spoil] = {
        "png": spoil_png,
        "jpeg": spoil_jpeg,
        "webp": spoil_webp,
        "tiff": spoil_tiff,
        "avif": spoil_boxes,
    }
    found = [(images.encode(rich, form), spoil) for form, spoil in spoils.items()]
    found += [(images.encode(clear, form), spoils[form]) for form in ("png", "webp", "tiff", "avif")]
    image = Image.fromarray(gradient())
    found.append((images.encode(Picture(gradient()), "bmp"), spoil_bytes))
    found.append((pillow_file(image.quantize(20), "BMP"), spoil_bytes))
    found.append((pillow_file(image, "GIF", save_all=True, append_images=[image.rotate(90)]), spoil_bytes))
    found.append((pillow_file(image, "WEBP", save_all=True, append_images=[image.rotate(90)]), spoil_webp))
    found.append((pillow_file(image.convert("CMYK"), "JPEG", icc_profile=known_profile("cmyk")), spoil_jpeg))
    found.append((pillow_file(image.convert("CMYK"), "TIFF", compression="tiff_lzw"), spoil_tiff))
    found.append((pillow_file(image, "JPEG", progressive=True), spoil_jpeg))
    found += [((DATA / f"{name}.heic").read_bytes(), spoil_boxes) for name in ("turned", "deep", "alpha", "grey")]
    return found


def read_tags(data: bytes) -> None:
    """An EXIF block is turned, carried and read, or refused with TagsError."""
    for use in (
        lambda: exif.upright(data, sides_swapped=True),
        lambda: exif.resolution(data),
        lambda: exif.from_tiff(io.BytesIO(data)),
        lambda: exif.into_tiff(tiff(), data),
        lambda: exif.into_tiff(data, exif_block()),
    ):
        with contextlib.suppress(exif.TagsError):
            use()


@functools.cache
def tiff() -> bytes:
    return images.encode(Picture(gradient()), "tiff")


@functools.cache
def blocks() -> list[tuple[bytes, Spoil]]:
    block = exif_block(6, thumbnail=True)
    return [
        (block, spoil_tiff),
        (exif_block(), spoil_tiff),
        (tiff(), spoil_tiff),
        (b"MM\0+\0\x08\0\0" + bytes(60), spoil_bytes),
    ]


def read_card(data: bytes) -> None:
    """A card is read or refused; what is read survives being written."""
    try:
        card = Card.from_json(data.decode("utf-8", "surrogatepass" if data.isascii() else "replace"))
    except (InvalidModel, ModelTooNew) as error:
        str(error).encode()
        return
    assert Card.from_json(card.to_json()) == card


def cards() -> list[tuple[bytes, Spoil]]:
    spoil: Spoil = lambda random, data: json.dumps(spoil_value(random, json.loads(data))).encode()  # noqa: E731
    return [(toy_model(code=code).card.to_json().encode(), spoil) for code in (False, True)]


def open_graph(data: bytes) -> None:
    """A graph is refused, or opened, or ONNX Runtime says in an error why not; what is opened runs or stops."""
    model = toy_model(code=True)
    weights = {name: array for named in model.weights.values() for name, array in named.items()}
    model.graphs["restore"] = data
    try:
        network = choose("onnx", threads=1).open(model, "restore", weights, {"batch": 1, "height": 32, "width": 32})
        views = np.zeros((1, 3, 32, 32), np.float32)
        network(image=views)
        network(image=views, shade=views[:, :, :1, :1])
    except (EngineError, InvalidModel):
        return


def graphs() -> list[tuple[bytes, Spoil]]:
    made = (restore_graph(), restore_graph(code=True), estimate_graph(), encode_graph())
    return [(graph, spoil_message) for graph in made]


def use_model(data: bytes) -> None:
    """A model file is refused, or read and used, or its network stops with an error."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "m.safetensors"
        path.write_bytes(data)
        try:
            restorer = Restorer(models.read(path), threads=1)
            result = restorer.run(gradient())
        except (InvalidModel, ModelTooNew, EngineError, InvalidRequest):
            return
        assert result.image.shape == gradient().shape
        assert repr(restorer)
        assert json.dumps(restorer.facts.as_dict())


@functools.cache
def model_files() -> list[tuple[bytes, Spoil]]:
    with tempfile.TemporaryDirectory() as folder:
        made = (toy_model(), toy_model(code=True))
        return [(models.write(model, Path(folder) / "m.safetensors").read_bytes(), spoil_model) for model in made]


TARGETS = {
    "pictures": Target(read_picture, pictures),
    "tags": Target(read_tags, blocks),
    "cards": Target(read_card, cards),
    "graphs": Target(open_graph, functools.cache(graphs)),
    "models": Target(use_model, model_files),
}
