"""Downloads from a server that breaks off, lies, changes its file, and is busy."""

from __future__ import annotations

import hashlib
import shutil
from collections import namedtuple

import pytest

from unveil.datasets import downloading
from unveil.datasets.watching import Watch
from unveil.errors import DownloadFailed

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def get(tmp_path):
    """Download without waiting; the messages are kept in `get.said`."""

    def call(url: str, **options: object) -> downloading.Downloaded:
        watch = Watch(say=call.said.append, receive=lambda *_: call.ticks.append(_))
        return downloading.download(url, tmp_path / "file.zip", watch=watch, pause=0, **options)

    call.said, call.ticks = [], []
    return call


def test_a_file_arrives_whole_with_its_checksum(server, get, tmp_path):
    got = get(server.serve("a.zip", CONTENT))
    assert got.path.read_bytes() == CONTENT
    assert got.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert got.size == len(CONTENT)
    assert [path.name for path in tmp_path.iterdir()] == ["file.zip"]
    assert get.ticks[-1] == ("file.zip", len(CONTENT), len(CONTENT))


def test_a_broken_connection_goes_on_in_the_middle(server, get):
    url = server.serve("a.zip", CONTENT, break_after=[100_000, 50_000])
    assert get(url).path.read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert any("going on after 100,000 bytes" in line for line in get.said)


def test_an_interrupted_download_is_continued_by_the_next_call(server, get, tmp_path, monkeypatch):
    url = server.serve("a.zip", CONTENT)
    monkeypatch.setattr(downloading, "CHUNK", 1000)

    def stop(_: str, done: int, __: int | None) -> None:
        if done >= 5000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        downloading.download(url, tmp_path / "file.zip", watch=Watch(receive=stop))
    assert (tmp_path / "file.zip.part").stat().st_size == 5000
    assert not (tmp_path / "file.zip").exists()
    assert get(url).path.read_bytes() == CONTENT
    assert server.asked[-1] == ("/a.zip", "bytes=5000-")


def test_a_changed_file_starts_again_with_a_message(server, get):
    url = server.serve("a.zip", CONTENT, break_after=[100_000], statuses=[])
    with pytest.raises(DownloadFailed):
        get(url, attempts=1)
    server.serve("a.zip", CONTENT[::-1], etag='"two"')
    assert get(url).path.read_bytes() == CONTENT[::-1]
    assert "file.zip: the file on the server has changed; starting again" in get.said


def test_a_changed_size_is_noticed_where_the_server_has_no_etag(server, get):
    url = server.serve("a.zip", CONTENT, etag=None, break_after=[100_000])
    with pytest.raises(DownloadFailed):
        get(url, attempts=1)
    server.serve("a.zip", b"!" * 200_000, etag=None)
    assert get(url).path.read_bytes() == b"!" * 200_000
    assert "file.zip: the file on the server has changed; starting again" in get.said


def test_a_file_that_shrank_below_the_part_starts_again(server, get):
    url = server.serve("a.zip", CONTENT, etag=None, break_after=[100_000])
    with pytest.raises(DownloadFailed):
        get(url, attempts=1)
    server.serve("a.zip", b"!" * 500, etag=None)
    assert get(url).path.read_bytes() == b"!" * 500


def test_a_server_that_cannot_resume_is_started_again(server, get):
    url = server.serve("a.zip", CONTENT, resumable=False, break_after=[100_000])
    assert get(url).path.read_bytes() == CONTENT
    assert "file.zip: the server cannot go on in the middle; starting again" in get.said


def test_a_complete_part_is_taken_as_it_is(server, get, tmp_path):
    url = server.serve("a.zip", CONTENT)
    get(url)
    (tmp_path / "file.zip").rename(tmp_path / "file.zip.part")
    downloading._write_state(tmp_path / "file.zip.part", downloading._State(url, '"one"', None, len(CONTENT)))
    assert get(url).path.read_bytes() == CONTENT


def test_a_part_of_another_address_is_not_continued(server, get, tmp_path):
    with pytest.raises(DownloadFailed):
        get(server.serve("a.zip", CONTENT, break_after=[100_000]), attempts=1)
    assert get(server.serve("b.zip", CONTENT[::-1])).path.read_bytes() == CONTENT[::-1]


def test_fewer_bytes_than_announced_fail_and_keep_what_came(server, get, tmp_path):
    url = server.serve("a.zip", CONTENT, announce=len(CONTENT) + 10, resumable=False)
    with pytest.raises(DownloadFailed, match="gave up after 3 attempts"):
        get(url, attempts=3)
    assert not (tmp_path / "file.zip").exists()
    assert (tmp_path / "file.zip.part").stat().st_size == len(CONTENT)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final_and_names_a_way_out(server, get, status):
    url = server.serve("a.zip", CONTENT, statuses=[status])
    with pytest.raises(DownloadFailed, match=rf"the server says {status} .*--url"):
        get(url)
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(server, get):
    url = server.serve("a.zip", CONTENT, statuses=[503, 429, 500])
    assert get(url).path.read_bytes() == CONTENT


def test_a_web_page_is_no_archive(server, get):
    with pytest.raises(DownloadFailed, match="sent a web page instead of a file"):
        get(server.serve("a.zip", b"<html>please log in</html>", kind="text/html; charset=utf-8"))


def test_a_full_disk_is_noticed_before_the_first_byte(server, get, tmp_path, monkeypatch):
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 1000))
    with pytest.raises(DownloadFailed, match="are needed for"):
        get(server.serve("a.zip", CONTENT))
    assert not (tmp_path / "file.zip.part").exists()


def test_no_server_at_all_is_a_failed_download(get):
    with pytest.raises(DownloadFailed, match="no answer"):
        get("http://127.0.0.1:9/a.zip", attempts=2)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a.zip", "a.zip"])
def test_only_web_addresses_are_downloaded(get, url):
    with pytest.raises(DownloadFailed, match="expected one with http"):
        get(url)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://x.org/a/DIV2K.zip", "DIV2K.zip"),
        ("https://x.org/s/RealDOF.zip?dl=1", "RealDOF.zip"),
        ("https://x.org/a%2F..%2Fb.zip", "a_.._b.zip"),
        ("https://x.org/.hidden", "hidden"),
        ("https://x.org/", "download"),
    ],
)
def test_a_file_name_never_leads_out(url, name):
    assert downloading.file_name(url) == name
