"""The file of all sets: complete, consistent, and strictly read."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from unveil import datasets
from unveil.datasets import catalogue, patterns
from unveil.errors import InvalidRequest

WANTED = {
    "div2k",
    "flickr2k",
    "wed",
    "bsds500",
    "gldv2",
    "ots",
    "sots",
    "rain100l",
    "rain100h",
    "rain13k",
    "gopro",
    "hide",
    "realblur",
    "lol-v1",
    "lol-v2",
    "snow100k",
    "csd",
    "cdd11",
    "live1",
    "kodak24",
    "urban100",
    "cbsd68",
    "mcmaster",
    "lsdir",
    "rain1400",
    "test100",
    "test1200",
    "test2800",
    "lfdof",
    "dpdd",
    "realdof",
    "fivek",
    "ntire18",
    "ntire20",
    "toled",
    "imagenet",
}


def test_every_set_of_the_four_systems_is_there():
    assert set(datasets.sets()) >= WANTED


def test_nothing_claims_to_be_verified_that_nobody_has_downloaded():
    assert not any(entry.verified for entry in datasets.sets().values())


@pytest.mark.parametrize("entry", datasets.sets().values(), ids=lambda entry: entry.name)
def test_an_entry_says_where_it_is_from_and_how_to_get_it(entry):
    assert entry.source
    assert entry.home.startswith("http")
    assert entry.licence
    assert entry.downloads or entry.steps
    assert not re.search(r"sha256|md5", entry.note + "".join(entry.steps), re.IGNORECASE)
    for download in entry.downloads:
        assert all(url.startswith("http") for url in download.urls())


def test_no_two_sets_share_a_name():
    owners: dict[str, str] = {}
    for entry in datasets.sets().values():
        for name in (entry.name, entry.title, *entry.aliases):
            assert owners.setdefault(catalogue.plain(name), entry.name) == entry.name


def test_overlaps_name_parts_that_there_are():
    for overlap in datasets.overlaps():
        for name in overlap.parts:
            entry, part = datasets.find(name)
            assert entry.part(part).name == part


def test_the_pictures_of_rain100h_in_bsds500_are_listed():
    (leak,) = [one for one in datasets.overlaps() if one.parts == ("bsds500/train", "rain100h/test")]
    assert len(set(leak.names)) == 67


@pytest.mark.parametrize("spelling", ["Rain100H", "rain-100h", "RAIN_100H", "R100H", "rain100h/test"])
def test_spelling_plays_no_part(spelling):
    assert datasets.find(spelling)[0].name == "rain100h"


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(InvalidRequest, match="did you mean 'rain100h'"):
        datasets.find("rain100hh")


def test_a_set_with_several_tests_wants_a_part():
    with pytest.raises(InvalidRequest, match="sots/outdoor"):
        datasets.sets()["sots"].part()
    assert datasets.sets()["gopro"].part().name == "test"
    with pytest.raises(InvalidRequest, match="gopro/train"):
        datasets.sets()["gopro"].part("nope")


def test_one_table_stands_for_the_eleven_mixtures():
    parts = [part.name for part in datasets.sets()["cdd11"].parts]
    assert len(parts) == 22
    assert datasets.sets()["cdd11"].part("haze_snow").layouts[0].input == "CDD-11_test/haze_snow/{name}"


def test_numbered_addresses_are_counted_out():
    urls = datasets.sets()["gldv2"].downloads[0].urls()
    assert (len(urls), urls[0][-8:], urls[-1][-8:]) == (500, "_000.tar", "_499.tar")


SET = """
[[set]]
name = "a"
title = "A"
use = "x"
home = "https://x"
licence = "x"
source = "x"
verified = false
steps = ["x"]
{}
"""


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ('colour = "red"\n[[set.part]]\nname="t"\nrole="test"\nlayouts=[{target="{n}"}]', "unknown keys"),
        ('[[set.part]]\nname="t"\nrole="exam"\nlayouts=[{target="{n}"}]', "role"),
        ('[[set.part]]\nname="t"\nrole="test"\nlayouts=[{input="in/{n}", target="out/{m}"}]', "does not follow"),
        ('[[set.part]]\nname="t"\nrole="test"\nlayouts=[{}]', "neither input nor target"),
        ('[[set.part]]\nname="t"\nrole="test"\nlayouts=[{input="a/{n}",target="b/{n}",pairing="luck"}]', "pairs by"),
        (
            '[[set.download]]\nurl="https://x"\nparts=["u"]\n[[set.part]]\nname="t"\nrole="test"\nlayouts=[{target="{n}"}]',
            "'u'",
        ),
    ],
)
def test_a_wrong_entry_is_refused(tmp_path, monkeypatch, made_up, wrong, message):
    made_up()
    (tmp_path / "catalogue.toml").write_text(SET.format(wrong))
    monkeypatch.setattr(catalogue, "CATALOGUE", tmp_path / "catalogue.toml")
    catalogue._file.cache_clear()
    with pytest.raises(ValueError, match=message):
        catalogue.sets()


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("a/{x}", "a/b", {"x": "b"}),
        ("a/{x}", "a/b/c", None),
        ("hazy/**/{id}_{rest}", "hazy/0001_0.8_0.2", {"id": "0001", "rest": "0.8_0.2"}),
        ("hazy/**/{id}_{rest}", "hazy/part1/b/0001_0.8", {"id": "0001", "rest": "0.8"}),
        ("{x}/{x}", "a/a", {"x": "a"}),
        ("{x}/{x}", "a/b", None),
        ("a.b/{x}", "aXb/c", None),
    ],
)
def test_patterns_match_whole_paths(pattern, path, fields):
    found = patterns.compiled(pattern).fullmatch(path)
    assert (found.groupdict() if found else None) == fields


def test_the_face_imports_nothing_heavy():
    code = (
        "import sys; from unveil import datasets; datasets.sets(); "
        "print([name for name in ('numpy', 'torch', 'pyvips', 'PIL', 'typer', 'rich') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert out.strip() == "[]"
