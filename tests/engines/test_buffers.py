import ctypes
from types import SimpleNamespace

import pytest

from unveil.engines import buffers


@pytest.fixture
def library(monkeypatch):
    """A C library that notes what it is told; nothing of this process is changed."""
    told = []

    def mallopt(name, value):
        told.append((name, value))
        return 1

    for name in (*buffers.BY_HAND, "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    buffers.reuse.cache_clear()
    yield told
    buffers.reuse.cache_clear()


def test_buffers_are_neither_mapped_nor_given_back(library):
    assert buffers.reuse()
    assert library == [(-4, 0), (-1, -1)]


def test_the_process_is_told_once(library):
    assert buffers.reuse()
    assert buffers.reuse()
    assert len(library) == 2


@pytest.mark.parametrize(
    ("variable", "value"), [("MALLOC_MMAP_MAX_", "9"), ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1")]
)
def test_what_a_user_has_set_stays(library, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    assert not buffers.reuse()
    assert library == []


def test_other_tunables_are_no_obstacle(library, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    assert buffers.reuse()


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_nothing_is_done(library, monkeypatch, platform):
    monkeypatch.setattr("sys.platform", platform)
    assert not buffers.reuse()
    assert library == []


def test_another_c_library_is_left_alone(library, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    assert not buffers.reuse()
    assert library == []
