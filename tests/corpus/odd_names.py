"""Names in every script and of no text at all, and links that lead nowhere, to themselves, or back."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from odd_places import Impossible, Place, error_of, make_link, results_of, rough, scenario, small_disk

from unveil import images
from unveil.images import Picture

NAMES = (
    "صورة.png",
    "фото.png",
    "写真.png",
    "תמונה.png",
    "ภาพถ่าย.png",
    "📷👩‍👩‍👧.png",
    "e\u0301 and \u202egnp.png",
    "two\nlines.png",
    "\x1b[31mred.png",
    "-o.png",
    "--help",
    " .png",
    "50% of $HOME; rm 'x' \"y\" `z` *?[a].png",
    "x" * 200 + ".png",
)
ALONE = ("צורה.png", "two\nlines.png", "-o.png", "--help")


@scenario("Names", "a folder of names in every script, with line ends, dashes, escapes", "all restored, shown as text")
def every_script(place: Place) -> str:
    data = place.picture().read_bytes()
    names = [name if name.endswith(".png") else f"{name}.png" for name in NAMES]
    for name in names:
        (place.root / "in").mkdir(exist_ok=True)
        (place.root / "in" / name).write_bytes(data)
    code = place.restore(place.root / "in", "-o", place.root / "out")
    made = sorted(path.name for path in (place.root / "out").iterdir() if path.is_file())
    safe = "\x1b" not in "".join(place.said)
    code += place.restore(place.root / "in", "-o", place.root / "out", "--json")
    told = sorted(Path(record["output"]).name for record in results_of(place))
    return (
        "all restored, shown as text"
        if (code, made, safe, told) == (0, sorted(names), True, made)
        else repr(place.said)
    )


@scenario(
    "Names",
    "a script, a line end, dashes: alone, from their own folder",
    "restored; what begins with a dash after `--` or `./`",
)
def each_alone(place: Place) -> str:
    data, before = place.picture().read_bytes(), Path.cwd()
    os.chdir(place.root)
    try:
        for name in ALONE:
            Path(name).write_bytes(data)
            result = Path(f"{Path(name).stem}.restored.png")
            code = place.command("restore", "--model", place.model, "--format", "png", "--", name)
            code += place.restore(f"./{name}", "-o", "again.png", "--overwrite")
            if code or not np.array_equal(images.read(result).pixels, images.read("again.png").pixels):
                return f"{name!r}: {place.said}"
    finally:
        os.chdir(before)
    return "restored; what begins with a dash after `--` or `./`"


@scenario("Names", "bytes that are no text, all formats", "restored, exit code 0; the Python face too")
def bytes_without_text(place: Place) -> str:
    folder, count = place.root / "in", 0
    folder.mkdir()
    for form in ("png", "jpeg", "webp", "tiff", "avif", "bmp"):
        ending = {"jpeg": "jpg", "tiff": "tif"}.get(form, form)
        path = Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe-" + form.encode() + b"." + ending.encode()))
        try:
            path.write_bytes(images.encode(Picture(rough()), form))
        except (OSError, UnicodeError):
            raise Impossible("this file system knows only names that are text") from None
        error = error_of(lambda path=path: place.restorer.run(path))
        if error != "nothing":
            return error
        count += 1
    code = place.restore(folder, "-o", place.root / "out", "--json")
    made = sum(images.read(path).width == 40 for path in (place.root / "out").iterdir() if path.is_file())
    return f"restored, exit code {code}; the Python face too" if made == count else repr(place.said)


@scenario("Names", "printed where only ASCII can be (a process)", "restored, exit code 0, 0; escapes are shown")
def ascii_terminal(place: Place) -> str:
    data = place.picture().read_bytes()
    for name in NAMES[:6]:
        (place.root / "in").mkdir(exist_ok=True)
        (place.root / "in" / name).write_bytes(data)
    env = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    codes: list[object] = []
    for words in (("restore", place.root / "in", "-o", place.root / "out"), ("diagnose", place.root / "in")):
        done = place.process(*words, env=env)
        codes.append(done.returncode if b"\\u" in done.stdout else done.stderr.decode())
    return f"restored, exit code {codes[0]}, {codes[1]}; escapes are shown"


@scenario("Names", "a name for which `.restored` leaves no room", "exit code 1; the next picture is restored")
def too_long(place: Place) -> str:
    place.picture("in/" + "y" * 250 + ".png")
    place.picture("in/z.png")
    code = place.restore(place.root / "in", "--json")
    kept = (place.root / "in" / "z.restored.png").is_file() and place.complains("too long")
    return f"exit code {code}; the next picture is " + ("restored" if kept else repr(place.said))


@scenario("Links", "a folder that contains itself", "every picture once")
def folder_loop(place: Place) -> str:
    place.picture("in/a.png")
    make_link(place.root / "in" / "again", place.root / "in")
    make_link(place.root / "in" / "up", place.root)
    code = place.restore(place.root / "in", "-o", place.root / "out", "--json")
    return "every picture once" if (code, len(results_of(place))) == (0, 1) else repr(place.said)


@scenario("Links", "a link to itself, and one to nowhere, as input", "`UnreadablePicture` twice; exit code 1")
def link_input(place: Place) -> str:
    loop = make_link(place.root / "in" / "loop.png", "loop.png") if (place.root / "in").mkdir() is None else None
    nowhere = make_link(place.root / "in" / "nowhere.png", place.root / "none.png")
    assert loop is not None
    errors = {error_of(lambda path=path: images.read(path)) for path in (loop, nowhere)}
    code = place.restore(place.root / "in", "-o", place.root / "out", "--json")
    typed = all(record["error"] for record in results_of(place)) and place.complains("loop.png")
    return f"`{errors.pop()}` twice; exit code {code}" if len(errors) == 1 and typed else f"{errors} {place.said}"


@scenario("Links", "a link to itself as output", "`OutputExists`; with `overwrite` it becomes the picture")
def link_output(place: Place) -> str:
    loop = make_link(place.root / "loop.png", "loop.png")
    error = error_of(lambda: images.write(Picture(rough()), loop))
    after = error_of(lambda: images.write(Picture(rough()), loop, overwrite=True))
    done = after == "nothing" and np.array_equal(images.read(loop).pixels, rough())
    return f"`{error}`; with `overwrite` it becomes " + ("the picture" if done else after)


@scenario("Links", "a link to another disk as output, with `overwrite`", "the file there is replaced, the link kept")
def link_elsewhere(place: Place) -> str:
    with small_disk(place.root / "disk") as disk:
        images.write(Picture(rough(20)), disk / "far.png")
        link = make_link(place.root / "link.png", disk / "far.png")
        images.write(Picture(rough(30)), link, overwrite=True)
        kept = link.is_symlink() and images.read(disk / "far.png").width == 30 and len(list(disk.iterdir())) == 1
    return "the file there is replaced, the link kept" if kept else str(place.names())


@scenario("Links", "an output that is the input by another name", "exit code 2; the input is untouched")
def same_file(place: Place) -> str:
    source = place.picture()
    before = source.read_bytes()
    try:
        os.link(source, place.root / "hard.png")
    except OSError:
        raise Impossible("this file system knows no hard links") from None
    make_link(place.root / "soft.png", source)
    codes = {
        place.restore(source, "-o", place.root / name, "--overwrite") for name in ("hard.png", "soft.png", "in.png")
    }
    return f"exit code {codes.pop()}; the input is " + ("untouched" if source.read_bytes() == before else "lost")
