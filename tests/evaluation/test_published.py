"""Printed figures: whole, sourced, of sets that suites have, and with averages that are what they say."""

from __future__ import annotations

import re

import pytest

from unveil.evaluation.published import beside, published
from unveil.evaluation.suites import SUITES


@pytest.mark.parametrize("table", published(), ids=lambda table: f"{table.suite}: {table.title}")
def test_tables_name_their_source_and_stand_beside_sets_of_their_suite(table):
    assert table.source
    assert table.protocol
    names = {entry.name for entry in SUITES[table.suite].sets}
    assert all(column in names or column.startswith("(") for column in table.columns)
    for row in table.rows:
        assert len(row.figures) == len(table.columns), row
        for figure in row.figures:
            assert re.fullmatch(r"[+]?\d+\.\d+(/0?\.\d+)?|-", figure), row


def test_averages_are_those_of_their_columns_or_the_note_says_that_they_are_not():
    checked = 0
    for table in published():
        named = [place for place, column in enumerate(table.columns) if not column.startswith("(")]
        for row in table.rows:
            figures = [row.figures[place].split("/")[0] for place in named]
            if not row.average or "-" in figures:
                continue
            checked += 1
            mean = sum(map(float, figures)) / len(figures)
            if abs(mean - float(row.average.split("/")[0])) > 0.011:
                assert row.system in table.note, (table.title, row.system, mean)
    assert checked > 80


def test_known_figures_stand_where_they_belong():
    (abair,) = [table for table in beside("5d") if "Table 1" in table.title]
    (row,) = [row for row in abair.rows if row.system == "ABAIR SW"]
    assert dict(zip(abair.columns, row.figures, strict=True))["gopro"] == "29.00/.878"
    assert row.average == "31.17/.921"
    assert not beside("local")
