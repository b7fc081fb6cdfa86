"""Figures are kept as they come, taken up again, and measured anew when what they depend on has changed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from evaluation_samples import PAIRS, photograph
from PIL import Image

from unveil.errors import InvalidRequest
from unveil.evaluation import measuring as module
from unveil.evaluation.ledger import FILE, Ledger
from unveil.evaluation.tables import rows
from unveil.metrics import protocol


def quiet(done: int, total: int) -> None:
    pass


def test_figures_are_those_of_the_protocol(finished):
    for found in finished.sets:
        for item, records in finished.records(found):
            degraded, truth = found.load(item, 0)
            for name in found.of.protocols:
                assert records["input"].scores[name] == protocol(name).score(degraded, truth)
            assert records["toy"].scores.keys() == set(found.of.protocols)
    (noisy, _) = finished.sets
    assert {records["toy"].diagnosis for _, records in finished.records(noisy)} == {"noise"}


def test_a_second_run_has_nothing_to_do(finished, start):
    again = start().agenda()
    assert (again.tasks, again.kept, dict(again.outdated)) == ((), 8, {})


def test_an_interrupted_run_goes_on_where_it_stopped(start, tmp_path):
    first = start()
    ticks = 3

    def interrupted(done: int, total: int) -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 5:
            raise KeyboardInterrupt

    finished_one, cut_short, *_ = first.agenda().tasks
    first.work(finished_one, quiet)
    with pytest.raises(KeyboardInterrupt):
        first.work(cut_short, interrupted)
    kept = (tmp_path / "results" / FILE).read_text().splitlines()
    assert 0 < len(kept) < 8
    second = start()
    assert second.agenda().kept == len(kept)
    for task in second.agenda().tasks:
        second.work(task, quiet)
    assert (tmp_path / "results" / FILE).read_text().splitlines()[: len(kept)] == kept
    assert [row.pictures for row in rows(second)] == [2, 2]


def test_a_line_cut_short_is_measured_again(finished, start, tmp_path):
    path = tmp_path / "results" / FILE
    path.write_text(path.read_text()[:-40])
    again = start()
    assert again.agenda().kept == 7
    for task in again.agenda().tasks:
        again.work(task, quiet)
    assert len(path.read_text().splitlines()) == 8


def test_a_changed_file_is_noticed_and_only_its_picture_measured_again(finished, start, root):
    before = {row.of.name: row.found.digest() for row in rows(finished)}
    Image.fromarray(photograph(5)).save(root / "clean" / "1.png")
    again = start()
    agenda = again.agenda()
    assert dict(agenda.outdated) == {("noisy", "its file has changed"): 2}
    assert [(task.of.of.name, task.item.name, len(task.missing)) for task in agenda.tasks] == [("noisy", "1", 2)]
    for task in agenda.tasks:
        again.work(task, quiet)
    after = {row.of.name: row.found.digest() for row in rows(again)}
    assert after["noisy"] != before["noisy"]
    assert after["pairs"] == before["pairs"]
    assert not start().agenda().tasks


def test_a_changed_truth_is_noticed(finished, start, root):
    Image.fromarray(photograph(6)).save(root / "pairs" / "target" / "0.png")
    assert dict(start().agenda().outdated) == {("pairs", "its file has changed"): 2}


def test_another_model_file_is_noticed(finished, start):
    agenda = start(checksum="sha256:another").agenda()
    assert agenda.kept == 4
    assert dict(agenda.outdated) == {
        ("noisy", "what restores it has changed"): 2,
        ("pairs", "what restores it has changed"): 2,
    }


def test_another_seed_is_noticed(finished, start):
    agenda = start(seed=1).agenda()
    assert set(agenda.outdated) == {
        ("noisy", "the settings of its set have changed"),
        ("pairs", "the settings of its set have changed"),
    }


def test_other_versions_are_noticed(finished, start, monkeypatch):
    monkeypatch.setattr(module, "versions", lambda: {"unveil": "99"})
    assert all("versions" in reason for _, reason in start().agenda().outdated)


def test_outdated_figures_do_not_enter_a_table(finished, start, root):
    Image.fromarray(photograph(5)).save(root / "clean" / "1.png")
    (noisy, pairs) = rows(start())
    assert (noisy.pictures, pairs.pictures) == (1, 2)


def test_unchanged_pictures_survive_the_ledger(finished, tmp_path):
    record = next(iter(finished.records(finished.sets[0])))[1]["input"]
    equal = replace(record, scores={"rgb": type(record.scores["rgb"])(math.inf, 1.0)}, picture="equal")
    ledger = Ledger(tmp_path / "other")
    ledger.add(equal)
    assert Ledger(tmp_path / "other").get("noisy", "equal", "input") == equal


def test_digests_are_sums_over_names_and_sums(root):
    import hashlib

    found = PAIRS.find(root)
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(root / 'pairs').as_posix()}\n"
        for path in sorted((root / "pairs").rglob("*.png"))
    ]
    assert found.digest() == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_inputs_without_truth_and_of_other_sizes_are_refused(root):
    Image.fromarray(photograph(0, 30, 30)).save(root / "pairs" / "target" / "1.png")
    found = PAIRS.find(root)
    with pytest.raises(InvalidRequest, match="must be of one size"):
        found.load(found.items[1], 0)
    (root / "pairs" / "target" / "1.png").unlink()
    with pytest.raises(InvalidRequest, match="has no truth"):
        PAIRS.find(root)


def test_large_truths_are_reduced_and_borders_cut(root):
    found = PAIRS.find(root)
    item = found.items[0]
    big = np.repeat(np.repeat(photograph(0), 4, 0), 4, 1)
    Image.fromarray(big).save(item.truth)
    found.scale = 4
    degraded, truth = found.load(item, 0)
    assert truth.shape == degraded.shape
    assert np.abs(truth * 255 - photograph(0)).mean() < 3
    Image.fromarray(np.pad(photograph(0), ((2, 2), (2, 2), (0, 0)))).save(item.truth)
    found.scale, found.border = 1, 2
    assert np.array_equal((found.load(item, 0)[1] * 255).round(), photograph(0))
