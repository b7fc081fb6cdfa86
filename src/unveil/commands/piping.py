"""`-` as a picture's name: one picture from stdin, or to stdout."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unveil.commands import formats
from unveil.commands.batch import stopping
from unveil.commands.restoring import Wishes, refuse_existing
from unveil.commands.terminal import shown
from unveil.errors import InvalidRequest, PictureTooLarge, UnreadablePicture

if TYPE_CHECKING:
    from unveil.images import Picture
    from unveil.restoration import Restorer

DASH = "-"

BYTES_A_PIXEL = 8
"""Of the largest file of so many pixels: four values of 16 bits, not compressed. Stdin may have no end."""

ROOM_FOR_METADATA = 64 << 20


def is_piped(paths: Sequence[Path], output: str | None) -> bool:
    """Whether stdin or stdout is one end.

    Raises InvalidRequest where `-` cannot work: with several pictures, with a folder, or onto a terminal.
    """
    dashes = [path for path in paths if str(path) == DASH]
    if not dashes and output != DASH:
        return False
    if len(paths) > 1:
        raise InvalidRequest("'-' stands for one picture; give it alone")
    if not dashes and paths[0].is_dir():
        raise InvalidRequest(f"{shown(paths[0])} is a folder, and stdout holds one picture; name a folder with -o")
    if dashes and output is not None and output != DASH and (output.endswith("/") or Path(output).is_dir()):
        raise InvalidRequest(f"a picture from stdin has no name; name a file in {output} with -o")
    if output in (None, DASH) and sys.stdout.isatty():
        raise InvalidRequest("the picture would be written to the terminal; give -o FILE, or send stdout to a file")
    return True


def restore(path: Path, output: str | None, restorer: Restorer, wishes: Wishes, extension: str | None) -> None:
    """Restore the picture at `path` (`-`: stdin) to `output` (`-` or None: stdout). Nothing is written on failure.

    The format is that of --format, of the output's name, or the input's; of those that cannot be written, PNG.
    """
    from unveil import images
    from unveil.images import metadata

    data = _stdin(wishes.pixel_limit) if str(path) == DASH else _bytes(path)
    picture = images.read(data, pixel_limit=wishes.pixel_limit)
    target = None if output in (None, DASH) else Path(output)
    if target is not None:
        formats.require_same_format(target, extension)
        refuse_existing(target, wishes.overwrite)
    with stopping() as stop_if_asked:

        def hear(done: int, total: int) -> None:
            stop_if_asked()

        done = restorer.run(picture, **wishes.choices, progress=hear)
    result = metadata.strip(done.image, wishes.strip)
    if target is not None:
        images.write(result, target, quality=wishes.quality, overwrite=wishes.overwrite)
        return
    wished = _format(picture, extension)
    if not (done.untouched and not wishes.asks_for_encoding and wished == picture.format):
        data = images.encode(result, wished, quality=wishes.quality)
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _format(picture: Picture, extension: str | None) -> str:
    from unveil.images import FORMATS

    suffix = formats.suffix_of(extension)
    if suffix is None:
        return picture.format if FORMATS[picture.format].writable else "png"
    return next(form.name for form in FORMATS.values() if suffix in form.suffixes)


def _stdin(pixel_limit: int) -> bytes:
    most = BYTES_A_PIXEL * pixel_limit + ROOM_FOR_METADATA
    data = sys.stdin.buffer.read(most + 1)
    if len(data) > most:
        raise PictureTooLarge(None, f"stdin gives more than {most / 1e6:.0f} MB; raise --pixel-limit if that is meant")
    return data


def _bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise UnreadablePicture(path, "not an ordinary file; for a pipe, give '-' and let it be stdin")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadablePicture(path, f"cannot be read ({error.strerror or error})") from error
