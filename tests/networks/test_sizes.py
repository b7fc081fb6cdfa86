"""Full-size builds have exactly the published numbers of parameters."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from unveil import networks  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent.parent / "reference"))

from cases import NAMES, Case  # noqa: E402

PUBLISHED = {
    "restormer": 26_126_644,
    "nafnet": 87_404_483,
    "maxim": 8_175_683,
    "conv": 5_032_995,
    "srresnet": 1_222_147,
    "swinir": 11_604_775,
    "uformer": 50_880_946,
    "promptir": 35_376_967,
    "xrestormer": 26_041_208,
    "abair": 40_632_867,
    "constyle": 1_190_832,
    "constyle-v2": 1_835_416,
    "constyle-conv": 6_782_499,
    "constyle-restormer": 15_574_960,
    "constyle-nafnet": 12_739_872,
    "constyle-maxim": 8_101_664,
    "srresnet-ep": 1_441_033,
    "srresnet-ap": 1_447_305,
    "swinir-ep": 11_854_341,
    "swinir-ap": 11_860_613,
    "restormer-ep": 26_547_578,
    "restormer-ap": 26_572_666,
    "uformer-ep": 51_457_976,
    "uformer-ap": 51_489_336,
    "mioir-classifier": 188_551,
}

OTHERS: list[tuple[str, dict[str, Any], int]] = [
    ("restormer", {"bias": False}, 26_111_668),
    ("uformer", {"depths": [2] * 9, "modulated": False}, 20_628_317),
]


def count(name: str, **config: Any) -> int:
    with torch.device("meta"):
        network = networks.build(name, **config)
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_full_size_has_the_published_number_of_parameters(name: str) -> None:
    assert count(name) == PUBLISHED[name]


@pytest.mark.parametrize(("name", "config", "parameters"), OTHERS)
def test_other_published_builds_have_theirs(name: str, config: dict[str, Any], parameters: int) -> None:
    assert count(name, **config) == parameters


def test_every_network_but_our_own_is_counted() -> None:
    assert set(PUBLISHED) == set(networks.NETWORKS) - {"fastnaf", "guided"}


@pytest.mark.parametrize("case", [name for name in NAMES if not name.endswith("training-step")])
def test_reference_cases_say_the_same_numbers(case: str) -> None:
    found = Case.load(case)
    name = networks.recognise(found.state()).name
    assert found.parameters in {PUBLISHED[name], *(count for other, _, count in OTHERS if other == name)}


def test_idle_parameters_of_maxim_are_as_many_as_counted() -> None:
    for name, idle in (("maxim", 2_041_312), ("constyle-maxim", 1_529_088)):
        with torch.device("meta"):
            network = networks.build(name)
        pattern = re.compile("|".join(map(re.escape, network.idle())))
        assert sum(value.numel() for key, value in network.named_parameters() if pattern.match(key)) == idle


def test_reference_page_has_a_row_for_every_network() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "networks.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")]
    found = {row[0].strip("`"): (row[1], row[2], row[3]) for row in rows}
    assert found == {name: (entry.form, entry.paper, f"{count(name):,}") for name, entry in networks.NETWORKS.items()}
