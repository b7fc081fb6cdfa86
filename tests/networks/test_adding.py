"""The example of docs/how-to/add-a-network.md works as it stands."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")

from unveil import networks  # noqa: E402
from unveil.networks.table import Entry  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-network.md"


def test_the_example_of_the_guide_is_built_recognised_and_takes_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    file, line = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    module = ModuleType("unveil.networks.tiny")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(file, module.__dict__)
    table: dict[str, Entry] = {}
    exec(line, {"NETWORKS": table, "Entry": Entry})
    for name, entry in table.items():
        monkeypatch.setitem(networks.NETWORKS, name, entry)
    network = networks.build("tiny", dim=5).eval()
    found = networks.recognise(networks.official_state(network))
    assert (found.name, found.config) == ("tiny", {"dim": 5})
    image = torch.rand(1, 3, 37, 53)
    with torch.inference_mode():
        assert found.build()(image).equal(network(image))
        assert network(image).shape == image.shape
