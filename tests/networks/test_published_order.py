"""The forms that benchmarks measure ours against compute the same."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from unveil import networks  # noqa: E402

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("nafnet", {"width": 8, "encoder": [1], "middle": 1, "decoder": [1]}),
        ("restormer", {"dim": 8, "blocks": [1, 1, 1, 1], "refinement": 1}),
    ],
)
def test_the_published_order_of_operations_gives_the_same_picture(monkeypatch, name, config) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "published_order", raising=False)
    from published_order import published_order

    torch.manual_seed(0)
    network = networks.build(name, **config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        picture = torch.rand(1, 3, 32, 48)
        ours = network(picture)
        with published_order():
            theirs = network(picture)
    assert not torch.equal(ours, theirs)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
