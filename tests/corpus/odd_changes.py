"""Files that change while they are read, and what is no file at all."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from odd_places import Place, error_of, in_time, make_link, make_pipe, make_socket, rough, scenario

from unveil import images
from unveil.commands import forecast
from unveil.images import Picture, decoding


def changing(place: Place, change: Callable[[Path], object], form: str) -> str:
    """Read a file that is changed at the moment between recognising and decoding it."""
    path = place.root / f"in.{form}"
    path.write_bytes(images.encode(Picture(rough(200)), form))
    before = decoding._open

    def change_first(*words: object) -> object:
        change(path)
        return before(*words)  # type: ignore[arg-type]

    with mock.patch.object(decoding, "_open", change_first):
        return error_of(lambda: images.read(path))


@scenario("Files that change while they are read", "cut to half, all formats", "`UnreadablePicture`")
def cut_meanwhile(place: Place) -> str:
    errors = {
        changing(place, lambda path: os.truncate(path, path.stat().st_size // 2), form)
        for form in ("png", "jpeg", "webp", "tiff", "avif")
    }
    return f"`{errors.pop()}`" if len(errors) == 1 else str(errors)


@scenario("Files that change while they are read", "replaced by another picture, all formats", "`UnreadablePicture`")
def replaced_meanwhile(place: Place) -> str:
    other = place.picture("other.png")

    def replace(path: Path) -> None:
        shutil.copy(other, place.root / "new")
        (place.root / "new").replace(path)

    errors = {changing(place, replace, form) for form in ("png", "jpeg", "webp", "tiff", "avif")}
    return f"`{errors.pop()}`" if len(errors) == 1 else str(errors)


@scenario("Files that change while they are read", "one that grows, as a download does", "`UnreadablePicture`")
def growing(place: Place) -> str:
    def grow(path: Path) -> None:
        with path.open("ab") as stream:
            stream.write(bytes(1000))

    return f"`{changing(place, grow, 'png')}`"


@scenario("Files that change while they are read", "deleted while it is read", "`UnreadablePicture`")
def deleted_meanwhile(place: Place) -> str:
    return f"`{changing(place, Path.unlink, 'png')}`"


@scenario(
    "Files that change while they are read", "deleted between listing and reading", "exit code 1; the rest is restored"
)
def vanished(place: Place) -> str:
    gone, kept = place.picture("in/a.png"), place.picture("in/b.png")
    before = images.read

    def read(path: Path, **options: int) -> Picture:
        gone.unlink(missing_ok=True)
        return before(path, **options)

    with mock.patch.object(images, "read", read):
        code = place.restore(place.root / "in", "-o", place.root / "out", "--json")
    good = (place.root / "out" / kept.name).is_file() and place.complains("a.png")
    return f"exit code {code}; the rest is " + ("restored" if good else repr(place.said))


@scenario("No files", "a pipe, a socket and a folder called .png, `/dev/zero`", "`UnreadablePicture`")
def no_files(place: Place) -> str:
    errors = {error_of(lambda path=path: images.read(path)) for path in strange(place)}
    return f"`{errors.pop()}`" if len(errors) == 1 else str(errors)


@scenario("No files", "the same, by every command", "exit code 1, or 2 for an empty folder; none waits")
def no_files_by_command(place: Place) -> str:
    for path in strange(place):
        html, out = place.root / "r.html", place.root / "out"
        lines = [
            ("restore", path, "-o", place.root / "one.png"),
            ("restore", path, "-o", out / ""),
            ("restore", path, "-o", out / "", "--dry-run"),
            ("restore", path, "-o", "-"),
            ("diagnose", path),
            ("report", path, "-o", html, "--overwrite"),
        ]
        if path.is_socket():
            # Opening it fails at once, whoever does it.
            lines = lines[:2]
        for words in lines:
            code = place.command(*words, "--model", place.model)
            wished = (1, 2) if path.is_dir() or "-" in words else (1,)
            if code not in wished or not place.complains("error"):
                return f"{words}: {code} {place.said[-2:]}"
    return "exit code 1, or 2 for an empty folder; none waits"


@scenario("No files", "a pipe among the pictures of a folder", "exit code 1; the picture is restored")
def pipe_in_folder(place: Place) -> str:
    place.picture("in/a.png")
    make_pipe(place.root / "in" / "b.png")
    codes: set[int] = set()
    with mock.patch.multiple(forecast, SMALL=0, SHORT=0):
        for extra in ((), ("--dry-run",), ("--overwrite",)):
            codes.add(place.restore(place.root / "in", "-o", place.root / "out", *extra))
    good = (place.root / "out" / "a.png").is_file() and place.complains("b.png")
    return f"exit code {codes.pop()}; the picture is " + ("restored" if good and not codes else repr(place.said))


@scenario("No files", "a pipe and a device as output, with `overwrite`", "`UnwritablePicture`; they stay what they are")
def special_output(place: Place) -> str:
    pipe = make_pipe(place.root / "pipe.png")
    link = make_link(place.root / "null.png", "/dev/null")
    errors = {error_of(lambda path=path: images.write(Picture(rough()), path, overwrite=True)) for path in (pipe, link)}
    kept = pipe.is_fifo() and link.is_symlink() and link.is_char_device()
    return f"`{errors.pop()}`; they " + ("stay what they are" if kept and not errors else str(errors))


@scenario("No files", "stdin that is empty, cut off, and without an end", "exit code 1, 1, 1")
def odd_stdin(place: Place) -> str:
    data = place.picture().read_bytes()
    codes: list[object] = []
    for stream in (io.BytesIO(), io.BytesIO(data[: len(data) // 2]), Endless()):
        with mock.patch.object(sys, "stdin", mock.Mock(buffer=stream)), in_time():
            code = place.restore("-", "--pixel-limit", "0.1")
        codes.append(code if place.complains("error") and not place.said[-2] else place.said[-2:])
    return f"exit code {codes[0]}, {codes[1]}, {codes[2]}"


class Endless(io.RawIOBase):
    """A stream like /dev/zero."""

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            raise MemoryError("all of an endless stream was asked for")
        return bytes(size)


def strange(place: Place) -> list[Path]:
    """One of each kind of thing that is no file."""
    folder = place.root / "folder.png"
    folder.mkdir()
    found = [make_pipe(place.root / "pipe.png"), make_socket(place.root / "socket.png"), folder]
    zero = Path("/dev/zero")
    return [*found, zero] if zero.exists() else found
