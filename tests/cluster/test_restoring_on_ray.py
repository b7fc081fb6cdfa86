"""A local Ray is started for real; its workers are killed for real."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from cluster_samples import fill, results
from failing_stores import Killing

from unveil import cluster
from unveil.cluster import running

# Ray starts processes, which takes its time where others are at work too.
pytestmark = pytest.mark.slow


@pytest.fixture
def killing(monkeypatch, tmp_path):
    """Have a worker killed while it writes one result."""

    def arrange(victim: str, **when: bool) -> None:
        def opened(place, **options):
            return Killing(place.absolute(), victim=victim, mark=tmp_path / "mark", **when)

        monkeypatch.setattr(running, "open_store", opened)

    return arrange


def test_a_worker_killed_in_mid_write_loses_nothing_and_repeats_nothing(ray, restore, killing, tmp_path):
    names = fill(tmp_path / "in", 16, below="a/") + fill(tmp_path / "in", 16)
    plain = restore(tmp_path / "in", tmp_path / "wanted")
    assert plain.summary.failed == 0
    killing("a/007.png")
    told = restore(tmp_path / "in", tmp_path / "out", cluster="ray")
    assert (tmp_path / "mark").exists()
    assert told.summary.pictures == 32
    assert told.summary.failed == 0
    assert told.summary.retried > 0
    assert results(tmp_path / "out") == results(tmp_path / "wanted")
    assert Counter(record["input"] for record in told.records) == Counter(str(tmp_path / "in" / name) for name in names)
    tally = cluster.tally(tmp_path / "out")
    assert tally.finishes == Counter(names)
    assert tally.starts == Counter(names) + Counter(["a/007.png"])


def test_a_worker_killed_after_its_write_does_not_cause_another(ray, restore, killing, tmp_path):
    names = fill(tmp_path / "in", 6)
    killing("002.png", after=True)
    told = restore(tmp_path / "in", tmp_path / "out", cluster="ray", actors=1)
    assert (tmp_path / "mark").exists()
    assert told.summary.failed == 0
    tally = cluster.tally(tmp_path / "out")
    assert tally.starts == tally.finishes == Counter(names)
    again = restore(tmp_path / "in", tmp_path / "out", cluster="ray")
    assert again.summary == replace(again.summary, pictures=6, skipped=6, failed=0)
