"""`unveil prepare` and `unveil data check`."""

from __future__ import annotations

import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from command_samples import rough, save, smooth

from unveil.datasets import sets


def lol(folder: str, *names: str) -> None:
    for name in names:
        for side in ("low", "high"):
            save(f"{folder}/eval15/{side}/{name}.png", smooth(400, 600))


def test_prepare_without_a_name_lists_the_sets(unveil):
    result = unveil("prepare")
    assert result.code == 0
    rows = {line.split()[0]: line for line in result.out.splitlines() if line.strip()}
    assert set(sets()) <= set(rows)
    assert "downloads" in rows["gopro"]
    assert "by hand" in rows["lol-v1"]
    assert "CC BY 4.0" in rows["gopro"]
    found = unveil("prepare", "--json").json["sets"]
    assert {entry["name"]: entry["downloads"] for entry in found} == {
        name: bool(entry.downloads) for name, entry in sets().items()
    }
    assert all(entry["source"] and entry["verified"] is False for entry in found)


def test_prepare_explains_what_must_be_fetched_by_hand(unveil):
    result = unveil("prepare", "lol-v1", "--root", "data")
    assert result.code == 1
    assert "  1. Open the project page" in result.out
    assert "--from PATH" in result.out
    assert "licence: research" in result.err
    assert unveil("prepare", "lol-v1", "--root", "data", "--json").json["found"] is False


def test_prepare_arranges_what_was_fetched_by_hand(unveil):
    lol("downloads", *map(str, range(15)))
    with zipfile.ZipFile("LOLdataset.zip", "w") as bundle:
        for path in sorted(Path("downloads").rglob("*.png")):
            bundle.write(path)
    result = unveil("prepare", "LOL", "--root", "data", "--from", "LOLdataset.zip")
    assert result.code == 0, result.err
    assert "test: 15 pairs of 15" in result.out
    assert "next: unveil data check data/lol-v1" in result.out
    assert Path("data/lol-v1/.unveil-set.json").is_file()
    again = unveil("prepare", "lol-v1", "--root", "data", "--json")
    assert (again.code, again.json["good"], again.json["known_by"]) == (0, True, "name")


def test_prepare_reports_what_is_missing(unveil):
    lol("downloads", "1")
    Path("downloads/eval15/high/1.png").unlink()
    result = unveil("prepare", "lol-v1", "--root", "data", "--from", "downloads")
    assert result.code == 1
    assert "wrong: 0 of 15 are there" in result.out
    assert "eval15/low/1.png has no target" in result.out


@pytest.fixture
def address(tmp_path):
    """A web server over the folder `web`."""
    (tmp_path / "web").mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "web")))
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{web.server_address[1]}"
    web.shutdown()
    web.server_close()


def test_prepare_downloads_from_another_address(unveil, address):
    lol("top", *map(str, range(15)))
    with zipfile.ZipFile("web/mirror.zip", "w") as bundle:
        for path in sorted(Path("top").rglob("*.png")):
            bundle.write(path)
    result = unveil("prepare", "lol-v1", "--root", "data", "--url", f"{address}/mirror.zip")
    assert result.code == 0, result.err
    assert f"downloading mirror.zip from {address}/mirror.zip" in result.err
    assert result.err.index("licence: research") < result.err.index("downloading")


def test_prepare_says_what_a_server_refuses(unveil, address):
    result = unveil("prepare", "lol-v1", "--root", "data", "--url", f"{address}/gone.zip")
    assert result.code == 1
    assert "the server says 404" in result.err
    assert result.err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lol-v3"], "did you mean 'lol-v"),
        (["gopro/nope"], "gopro has no part 'nope'; it has gopro/test, gopro/train"),
        (["gopro", "--from", "x", "--url", "http://x"], "it goes with neither --url nor --limit"),
    ],
)
def test_prepare_refuses_requests_that_make_no_sense(unveil, arguments, message):
    result = unveil("prepare", *arguments)
    assert result.code == 2
    assert message in result.err


def test_check_reports_every_set_with_its_digest(unveil):
    save("data/rain100h/input/1.png")
    save("data/rain100h/target/1.png", rough(41))
    save("data/mine/a.png")
    result = unveil("data", "check", "data")
    assert result.code == 1
    assert "data/mine: not in the catalogue; 1 files" in result.out
    assert "  test: 1 pairs of 100\n    wrong: 1 of 100 are there\n" in result.out
    assert "wrong: input/1.png is 56 x 40, its target 56 x 41; expected 56 x 40" in result.out
    assert result.out.count("  digest ") == 2
    quick = unveil("data", "check", "data/mine", "--quick", "--json")
    assert quick.code == 0
    assert quick.json["sets"][0] | {"folder": ""} == {
        "folder": "",
        "set": None,
        "known_by": "nothing",
        "good": True,
        "files": 1,
        "bytes": Path("data/mine/a.png").stat().st_size,
        "digest": None,
        "faults": [],
        "parts": [{"name": "pictures", "kind": "clean", "pairs": 1, "expected": None, "faults": []}],
    }


def test_check_takes_a_folder_for_the_set_it_is_told(unveil):
    save("x/eval15/low/1.png")
    save("x/eval15/high/1.png")
    assert unveil("data", "check", "x", "--as", "lol-v1", "--json").json["sets"][0]["set"] == "lol-v1"


def test_check_warns_of_the_pictures_of_rain100h_in_bsds500(unveil):
    for name in ("100075", "8049"):
        save(f"data/bsds500/images/train/{name}.jpg")
    result = unveil("data", "check", "data", "--quick")
    assert "warning: bsds500/train and rain100h/test" in result.out
    assert "1 of them are here: 100075" in result.out


def test_check_finds_pictures_that_two_folders_share(unveil):
    save("a/1.png")
    save("a/2.png", np.random.default_rng(9).integers(0, 255, (40, 56, 3), np.uint8))
    save("b/x.bmp")
    result = unveil("data", "check", "--overlap", "a", "b")
    assert (result.code, result.out) == (0, "1 of 2 pictures in a look like one of 1 in b\n  1.00  1.png  x.bmp\n")
    assert unveil("data", "check", "--overlap", "a", "b", "--json").json["twins"] == [["1.png", "x.bmp", 1.0]]


@pytest.mark.parametrize("arguments", [["--json"], ["x", "--overlap", "a", "b"], ["x", "--quick", "--decode"]])
def test_check_refuses_requests_that_make_no_sense(unveil, arguments):
    assert unveil("data", "check", *arguments).code == 2


def test_check_says_that_a_folder_is_missing(unveil):
    result = unveil("data", "check", "gone")
    assert (result.code, result.out) == (1, "")
    assert "gone is not a folder" in result.err
