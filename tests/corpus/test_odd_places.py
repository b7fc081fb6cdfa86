"""Odd places end as the table says: nothing is lost, nothing hangs, nothing strange is said."""

from __future__ import annotations

import odd_changes
import odd_disks
import odd_names
import pytest
from odd_places import SCENARIOS, Impossible

MODULES = (odd_disks, odd_names, odd_changes)


@pytest.mark.filterwarnings("ignore::unveil.images.PictureWarning")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: f"{scenario.group}: {scenario.case}")
def test_it_ends_as_the_table_says(scenario, place):
    try:
        assert scenario.attempt(place) == scenario.outcome
    except Impossible as reason:
        pytest.skip(str(reason))


def test_every_module_brings_scenarios():
    assert {scenario.attempt.__module__ for scenario in SCENARIOS} == {module.__name__ for module in MODULES}
