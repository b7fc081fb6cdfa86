"""Where nothing can be written: folders without rights, full disks, quotas."""

from __future__ import annotations

import shutil
from pathlib import Path

from odd_places import Impossible, Place, error_of, largest_file, locked, results_of, rough, scenario, small_disk

from unveil import images, models
from unveil.images import Picture


@scenario("Read-only folders", "writing a picture", "`UnwritablePicture`; nothing left behind")
def write_read_only(place: Place) -> str:
    with locked(place.root):
        error = error_of(lambda: images.write(Picture(rough()), place.root / "out.png"))
    return f"`{error}`; nothing left behind" if not place.names() else f"{error}, {place.names()}"


@scenario("Read-only folders", "`restore` beside the input, into one, `report`", "exit code 1, 1, 1; nothing changed")
def restore_read_only(place: Place) -> str:
    source = place.picture("in/a.png")
    # Whoever is nobody may not be able to import what comes late.
    place.command("report", source, place.root / "none.png", "-o", place.root / "r.html", "--model", place.model)
    (place.root / "r.html").unlink()
    with locked(place.root / "in"):
        codes = [place.restore(source), place.restore(source, "-o", place.root / "in" / "sub" / "")]
        codes.append(place.command("report", source, "-o", place.root / "in" / "r.html", "--model", place.model))
        said = place.complains("Permission denied")
    return f"exit code {codes[0]}, {codes[1]}, {codes[2]}; " + (
        "nothing changed" if place.names() == ["in", "in/a.png"] and said else f"{place.names()} {place.said}"
    )


@scenario("Full disks", "writing where 48 KB are left", "`UnwritablePicture`; nothing left behind")
def write_full_disk(place: Place) -> str:
    with small_disk(place.root / "disk") as disk:
        error = error_of(lambda: images.write(Picture(rough(200)), disk / "out.png"))
        left = list(disk.iterdir())
    return f"`{error}`; nothing left behind" if not left else f"{error}, {left}"


@scenario("Full disks", "replacing a result where no room is left", "`UnwritablePicture`; the old result is whole")
def replace_full_disk(place: Place) -> str:
    with small_disk(place.root / "disk") as disk:
        target = images.write(Picture(rough(60)), disk / "out.png")
        before = target.read_bytes()
        error = error_of(lambda: images.write(Picture(rough(200)), target, overwrite=True))
        whole = target.read_bytes() == before and list(disk.iterdir()) == [target]
    return f"`{error}`; the old result is " + ("whole" if whole else "lost")


@scenario(
    "Full disks",
    "`restore` of a folder onto a disk that fills up",
    "exit code 1; what was written is whole, once more with room: all of it",
)
def restore_full_disk(place: Place) -> str:
    for number in range(8):
        place.picture(f"in/{number}.png", side=60)
    with small_disk(place.root / "disk", "72k") as disk:
        code = place.restore(place.root / "in", "-o", disk / "out", "--json")
        records = results_of(place)
        written = [Path(record["output"]) for record in records if record["error"] is None]
        whole = 0 < len(written) < 8 and all(images.read(path).width == 60 for path in written)
        there = sorted(path for path in (disk / "out").glob("*") if path.is_file())
        rest = there == sorted(written)
        shutil.copytree(disk / "out", place.root / "out")
    again = place.restore(place.root / "in", "-o", place.root / "out", "--json")
    skipped = sum(record["skipped"] for record in results_of(place))
    if not (whole and rest and again == 0 and skipped == len(written)):
        return f"{code} {whole} {rest} {there} {again} {skipped} {records}"
    return f"exit code {code}; what was written is whole, once more with room: all of it"


@scenario("Full disks", "`report` and models, with a quota of 4 KB a file", "exit code 1, `ModelError`; nothing left")
def quota(place: Place) -> str:
    source = place.picture(side=120)
    with largest_file(4096):
        code = place.command("report", source, "-o", place.root / "r.html", "--model", place.model)
        error = error_of(lambda: models.write(place.restorer.model, place.root / "m.safetensors"))
    left = [name for name in place.names() if name != "in.png"]
    return f"exit code {code}, `{error}`; " + ("nothing left" if not left else str(left))


@scenario("Full disks", "a picture, and `--json`, to a full stdout", "exit code 1, 1, with a sentence")
def full_stdout(place: Place) -> str:
    if not Path("/dev/full").exists():
        raise Impossible("there is no /dev/full")
    source = place.picture(side=200)
    codes: list[object] = []
    for words in (("restore", source, "-o", "-"), ("diagnose", source, "--json")):
        with open("/dev/full", "wb") as full:  # noqa: PTH123
            done = place.process(*words, stdout=full, capture_output=False, stderr=-1)
        sentence = b"No space left" in done.stderr and b"fault of unveil" not in done.stderr
        codes.append(done.returncode if sentence and b"Traceback" not in done.stderr else done.stderr.decode())
    return f"exit code {codes[0]}, {codes[1]}, with a sentence"
