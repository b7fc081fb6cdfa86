"""The figures of a study as tables: means over seeds, their spread, and what cannot be concluded."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from unveil.evaluation.study import Study, Table, read_damage
from unveil.evaluation.subjects import INPUT
from unveil.models.card import CLEAN

INCONCLUSIVE = 1.0
"""A row that gains less over its input, in dB, has not learnt enough to be compared."""

Figures = Mapping[str, Mapping[int, Mapping[str, Any]]]


def markdown(study: Study, figures: Figures) -> str:
    """The tables that the study asks for, or one of everything.

    Cells are means over seeds and the sample standard deviation. The last columns are the mean PSNR and the mean gain
    over the input, over the tests of the table but the clean ones, in dB; a row that gains less than 1 dB is called
    inconclusive.
    """
    if not any(figures.values()):
        return "No run is finished yet.\n"
    tables = study.tables or {"": Table()}
    parts = [
        (f"**{title}**\n\n" if title else "") + "\n".join(_lines(study, table, figures)) + "\n"
        for title, table in tables.items()
    ]
    return "\n".join(parts)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """`mean ± sample standard deviation`; of one value the value alone."""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def _lines(study: Study, table: Table, figures: Figures) -> list[str]:
    tests = list(table.tests or study.tests.damages)
    spoilt = [test for test in tests if read_damage(study.tests.damages[test])[0] != [CLEAN]]
    shows_psnr = table.shows == "psnr"
    ends = ["mean", "gain"] if shows_psnr else []
    lines = ["| " + " | ".join(["", *tests, *ends]) + " |", "|---|" + "---:|" * (len(tests) + len(ends))]
    if shows_psnr:
        first = next(iter(next(seeds for seeds in figures.values() if seeds).values()))[INPUT]
        cells = [f"{first[test]['psnr']:.2f}" for test in tests]
        mean = f"{_mean([first[test]['psnr'] for test in spoilt]):.2f}"
        lines.append("| " + " | ".join(["input", *cells, mean, ""]) + " |")
    for variant in table.variants or study.variants:
        seeds = figures.get(variant, {})
        known = [way for way in next(iter(seeds.values()), {}) if way != INPUT]
        ways = [way for way in known if not table.ways or way in table.ways]
        for way in ways:
            label = variant if len(ways) == 1 else f"{variant}, {way}"
            found = [figures[way] for figures in seeds.values() if way in figures]
            cells = [_cell(found, test, table.shows) for test in tests]
            lines.append("| " + " | ".join([label, *cells, *(_ends(found, spoilt) if shows_psnr else [])]) + " |")
    return lines


def _cell(found: Sequence[Mapping[str, Any]], test: str, shows: str) -> str:
    values = [figures[test][shows] for figures in found if test in figures and figures[test][shows] is not None]
    return spread(values, 3 if shows == "ssim" else 2) if values else ""


def _ends(found: Sequence[Mapping[str, Any]], tests: Sequence[str]) -> list[str]:
    """Mean PSNR and mean gain over tests; empty where the row has no figure for one of them."""
    if not tests or not all(test in figures for figures in found for test in tests):
        return ["", ""]
    means = [_mean([figures[test]["psnr"] for test in tests]) for figures in found]
    gains = [_mean([figures[test]["gain"] for test in tests]) for figures in found]
    verdict = " (inconclusive)" if statistics.fmean(gains) < INCONCLUSIVE else ""
    return [spread(means), f"{statistics.fmean(gains):+.2f}{verdict}"]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
