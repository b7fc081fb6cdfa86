"""What is special about Uformer: what no shape tells, and stochastic depth along its U-Net."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from unveil import networks  # noqa: E402
from unveil.networks.uformer import Uformer  # noqa: E402

CONSTYLE: dict[str, Any] = {"depths": [2] * 9, "modulated": False}


def build(**config: Any) -> Uformer:
    with torch.device("meta"):
        return Uformer(**config)


def shifts(network: Uformer, stage: str) -> list[int]:
    return [block.attn.shift for block in network.get_submodule(stage).blocks]


@pytest.mark.parametrize(("image_size", "bottleneck"), [(128, [0, 0]), (256, [0, 4]), (512, [0, 4])])
def test_a_bottleneck_of_one_window_is_not_shifted(image_size: int, bottleneck: list[int]) -> None:
    network = build(image_size=image_size)
    assert shifts(network, "conv") == bottleneck
    assert shifts(network, "encoderlayer_3") == [0, 4] * 4


def test_pictures_smaller_than_a_window_in_the_bottleneck_are_refused() -> None:
    with pytest.raises(ValueError, match="128 or more"):
        build(image_size=64)


@pytest.mark.parametrize(
    ("config", "size"), [({}, 256), (CONSTYLE, 256), ({"dim": 16}, 128), ({"depths": [1] * 9}, 128)]
)
def test_published_sizes_are_taken_to_be_built_for_256(config: dict[str, Any], size: int) -> None:
    shapes = {name: tuple(value.shape) for name, value in build(**config).state_dict().items()}
    assert Uformer.read_sizes(shapes)["image_size"] == size


def test_constyle_has_the_same_network_without_modulators() -> None:
    network = build(**CONSTYLE)
    assert sum(parameter.numel() for parameter in network.parameters()) == 20_628_317
    assert networks.recognise(network.state_dict()).config == {
        "dim": 32,
        "depths": [2] * 9,
        "heads": [1, 2, 4, 8, 16, 16, 8, 4, 2],
        "window": 8,
        "factor": 4.0,
        "modulated": False,
        "image_size": 256,
    }


def test_branches_are_left_out_more_often_towards_the_bottleneck() -> None:
    network = build(**CONSTYLE)
    rates = [module.rate for name, module in network.named_modules() if name.endswith("drop_path")]
    down = [0.1 * number / 7 for number in range(8)]
    assert rates == pytest.approx([*down, 0.1, 0.1, *reversed(down)])
