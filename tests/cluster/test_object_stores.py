"""Pictures in an S3 server of this machine, and in a store where files appear while they are written."""

from __future__ import annotations

from collections import Counter

import pytest
from cluster_samples import fill, results, rough
from PIL import Image

from unveil import cluster
from unveil.cluster import manifest
from unveil.errors import StoreError
from unveil.stores import open_store


def upload(folder, bucket, s3):
    """Put a folder into a bucket, below `in`."""
    store = open_store(f"{bucket}/in", **s3)
    for name, data in results(folder).items():
        store.write(name, data)


def download(url, s3):
    store = open_store(url, **s3)
    names = [entry.name for _, entries in store.walk(print) for entry in entries]
    return store.read_all(names)


@pytest.fixture
def pictures(tmp_path):
    """Pictures with names that need care in a URL."""
    place = tmp_path / "in"
    fill(place, 2)
    fill(place, 2, below="a/b/")
    for name in ("with space.png", "ümlaut.png", "100%.png", "a+b&c.png"):
        Image.fromarray(rough(3)).save(place / name)
    return place


def test_results_in_a_bucket_are_those_of_a_folder(pictures, bucket, s3, restore, tmp_path):
    upload(pictures, bucket, s3)
    restore(pictures, tmp_path / "wanted")
    told = restore(f"{bucket}/in", f"{bucket}/out", options=s3)
    assert told.errors == {}
    assert told.summary.pictures == 8
    assert download(f"{bucket}/out", s3) == results(tmp_path / "wanted")
    tally = cluster.tally(f"{bucket}/out", **s3)
    assert tally.starts == tally.finishes == Counter(list(results(pictures)))
    again = restore(f"{bucket}/in/", f"{bucket}/out/", options=s3)
    assert again.summary.skipped == 8
    assert cluster.tally(f"{bucket}/out", **s3) == tally


def test_a_bucket_and_a_folder_go_together(pictures, bucket, s3, restore, tmp_path):
    assert restore(pictures, bucket, options=s3).errors == {}
    assert restore(bucket, tmp_path / "twice", options=s3).errors == {}
    assert results(tmp_path / "twice").keys() == results(pictures).keys()


# Ray starts processes, which takes its time where others are at work too.
@pytest.mark.slow
def test_a_bucket_is_restored_on_ray(ray, bucket, s3, restore, tmp_path):
    names = fill(tmp_path / "in", 6)
    upload(tmp_path / "in", bucket, s3)
    told = restore(f"{bucket}/in", f"{bucket}/out", cluster="ray", actors=1, options=s3)
    assert told.errors == {}
    assert download(f"{bucket}/out", s3).keys() == set(names)
    assert cluster.tally(f"{bucket}/out", **s3).finishes == Counter(names)


def test_what_changed_in_a_bucket_is_done_again(bucket, s3, restore, tmp_path):
    fill(tmp_path / "in", 3)
    upload(tmp_path / "in", bucket, s3)
    restore(f"{bucket}/in", f"{bucket}/out", options=s3)
    open_store(f"{bucket}/out", **s3).remove("000.png")
    Image.fromarray(rough(9)).save(tmp_path / "changed.png")
    open_store(f"{bucket}/in", **s3).write("001.png", (tmp_path / "changed.png").read_bytes())
    again = restore(f"{bucket}/in", f"{bucket}/out", options=s3)
    assert again.errors == {}
    assert again.summary.skipped == 1


def test_one_object_holds_what_an_attempt_has_told(bucket, s3, restore, tmp_path):
    fill(tmp_path / "in", 3)
    restore(tmp_path / "in", f"{bucket}/out", options=s3)
    store = open_store(f"{bucket}/out", **s3)
    files = store.entries(manifest.FOLDER)
    events = [event["event"] for event in manifest.read(store, "")]
    assert len(files) < len(events) == 9
    assert Counter(events) == {"start": 3, "made": 3, "finish": 3}


def test_a_bucket_that_is_not_there_is_said(s3, restore, tmp_path):
    with pytest.raises(StoreError, match="nowhere"):
        restore("s3://nowhere-at-all/in", tmp_path / "out", options=s3)


def test_a_result_gets_its_name_when_it_is_complete(restore, tmp_path, monkeypatch):
    memory = pytest.importorskip("fsspec").filesystem("memory")
    written: list[str] = []
    pipe = type(memory).pipe_file

    def watch(self, path, value, **options):
        written.append(path)
        return pipe(self, path, value, **options)

    monkeypatch.setattr(type(memory), "pipe_file", watch)
    fill(tmp_path / "in", 2)
    told = restore(tmp_path / "in", "memory://scale/out")
    assert told.errors == {}
    assert written
    assert all(path.endswith(".part") for path in written)
    assert {path.rpartition("/")[2] for path in memory.ls("/scale/out", detail=False)} == {
        "000.png",
        "001.png",
        ".unveil",
    }
