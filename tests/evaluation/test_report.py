"""Tables, sheets and radars of what was measured."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from unveil.errors import InvalidRequest
from unveil.evaluation.radar import Box, _label, _overlap, radar
from unveil.evaluation.report import Report
from unveil.evaluation.sheets import sheets
from unveil.evaluation.suites import SUITES, Suite
from unveil.evaluation.tables import as_card_metrics, rows


@pytest.fixture
def report(finished) -> Report:
    suite = Suite("tiny", "Two tiny sets.", tuple(found.of for found in finished.sets))
    return Report(suite, "unveil evaluate --suite tiny", finished, rows(finished), {"Another, rain": "not there"})


def test_means_are_means_of_the_pictures(finished):
    for row in rows(finished):
        for name, column in row.columns.items():
            for key, mean in column.means.items():
                scores = [records[name].scores[key] for _, records in finished.records(row.found)]
                assert mean.psnr == pytest.approx(np.mean([score.psnr for score in scores]))
                assert mean.ssim == pytest.approx(np.mean([score.ssim for score in scores]))
        gains = [
            records["toy"].scores[row.of.protocols[0]].psnr - records["input"].scores[row.of.protocols[0]].psnr
            for _, records in finished.records(row.found)
        ]
        assert row.columns["toy"].gain == pytest.approx(np.mean(gains))
        assert row.columns["toy"].worst == pytest.approx(min(gains))
        assert row.columns["toy"].diagnosed == 1
        assert row.columns["input"].diagnosed is None


def test_the_table_says_how_it_was_made(report):
    text = report.as_markdown()
    assert text.startswith("    unveil evaluate --suite tiny\n")
    assert "| Tiny | noise | 2 | " in text
    assert "| Tiny pairs | darkness | 2 of 3 | " in text
    assert "Gaussian window" in text
    assert "Not measured, for want of their files: Another, rain." in text
    mean = report.rows[0].columns["toy"].means["rgb"]
    assert f"{mean.psnr:.2f} / {mean.ssim:.3f}" in text


def test_files_hold_every_picture_and_what_made_the_figures(report, tmp_path):
    report.write(tmp_path)
    found = json.loads((tmp_path / "results.json").read_text())
    assert set(found) == {"suite", "command", "seed", "versions", "subjects", "sets", "skipped"}
    assert found["subjects"]["toy"].startswith("sha256:")
    assert {"unveil", "numpy", "onnxruntime", "torch"} <= found["versions"].keys()
    assert [entry["digest"] for entry in found["sets"]] == [f"sha256:{row.found.digest()}" for row in report.rows]
    with (tmp_path / "pictures.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    # Two pictures and two subjects: one protocol on the first set, two on the second.
    assert len(lines) == 4 + 8
    psnr = [float(line["psnr"]) for line in lines if (line["set"], line["subject"]) == ("noisy", "toy")]
    assert np.mean(psnr) == pytest.approx(report.rows[0].columns["toy"].means["rgb"].psnr, abs=1e-3)


def test_printed_figures_stand_beside_ours_and_in_no_average_of_ours(finished, start):
    whole = SUITES["5d"]
    measured = replace(finished.sets[0].of, name="cbsd68-25")
    finished.sets[0].of = measured
    text = Report(whole, "unveil evaluate --suite 5d", finished, rows(finished), {}).as_markdown()
    assert (
        "| ABAIR SW | 37.79/.979 | 33.48/.984 | 31.38/.898 | 29.00/.878 | 24.19/.865 | 31.17/.921 | 59M | printed |"
        in text
    )
    # The figures of the renamed set are gone, so our row is empty, and has no average.
    assert "arXiv 2411.18412" in text


def test_our_average_needs_every_column_whole(report, finished):
    from unveil.evaluation.published import PublishedRow, PublishedTable

    names = tuple(found.of.name for found in finished.sets)
    table = PublishedTable(
        suite="tiny",
        title="Printed",
        source="a paper",
        protocol="RGB.",
        columns=names,
        rows=(PublishedRow(system="Theirs", figures=("30.00/.9", "20.00/.8"), average="25.00/.85"),),
    )
    by_name = {row.of.name: row for row in report.rows}
    assert report._average(table, by_name, "toy") == "-"
    finished.sets[1].expected = 2
    both = [row.columns["toy"].means[row.of.protocols[0]].psnr for row in report.rows]
    assert report._average(table, by_name, "toy").startswith(f"{np.mean(both):.2f}/")


def test_card_metrics_have_the_keys_of_a_card(report):
    metrics = as_card_metrics(report.rows, "toy")
    assert [entry["set"] for entry in metrics] == ["Tiny, 2 pictures", "Tiny pairs, 2 pictures"]
    assert set(metrics[0]) == {"set", "degradation", "input_psnr", "psnr", "input_ssim", "ssim", "protocol"}
    assert metrics[0]["psnr"] == round(report.rows[0].columns["toy"].means["rgb"].psnr, 2)


def test_sheets_show_best_and_worst_and_are_drawn_once(finished, tmp_path):
    drawn = list(sheets(finished))
    assert [sheet.name for sheet in drawn] == ["noisy--toy.png", "pairs--toy.png"]
    gains = [entry.after.scores["rgb"].psnr - entry.before.scores["rgb"].psnr for entry in drawn[0].chosen]
    assert [entry.rank for entry in drawn[0].chosen] == ["best", "worst"]
    assert gains == sorted(gains, reverse=True)
    for sheet in drawn:
        assert not sheet.is_drawn(tmp_path)
        sheet.draw(tmp_path, 0, lambda *_: None)
        assert sheet.is_drawn(tmp_path)
    pixels = np.asarray(Image.open(tmp_path / drawn[0].name))
    found, item = drawn[0].found, drawn[0].chosen[0].item
    truth = (found.load(item, 0)[1] * 255).round().astype(np.uint8)
    assert contains(pixels, truth)
    other = replace(drawn[0], chosen=drawn[0].chosen[::-1])
    assert not other.is_drawn(tmp_path)


def contains(sheet: np.ndarray, part: np.ndarray) -> bool:
    """Whether the picture stands somewhere on the sheet, pixel by pixel."""
    windows = np.lib.stride_tricks.sliding_window_view(sheet[..., 0], part.shape[:2])
    tops, lefts = np.nonzero((windows[..., 0, :4] == part[0, :4, 0]).all(-1))
    height, width = part.shape[:2]
    return any(
        np.array_equal(sheet[top : top + height, left : left + width], part)
        for top, left in zip(tops, lefts, strict=True)
    )


def test_a_radar_needs_three_sets_and_two_columns(report):
    with pytest.raises(InvalidRequest, match="three sets and two columns"):
        radar(report.rows, report.subjects, title="tiny")
    image = radar([*report.rows, *report.rows], report.subjects, title="tiny")
    colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}
    assert len(colours) > 50
    assert image.width == 1000


# There is no room for thirty.
@pytest.mark.parametrize("suite", [suite for suite in SUITES.values() if len(suite.sets) < 25], ids=lambda of: of.name)
def test_labels_of_a_radar_do_not_lie_upon_one_another(suite):
    pen = ImageDraw.Draw(Image.new("RGB", (3000, 3000)))
    boxes: list[Box] = []
    for axis, of in enumerate(suite.sets):
        boxes.append(_label(pen, axis, len(suite.sets), (of.printed, of.label, "14.2 to 100.0 dB"), boxes))
    assert not any(_overlap(one, other, gap=0) for place, one in enumerate(boxes) for other in boxes[:place])
