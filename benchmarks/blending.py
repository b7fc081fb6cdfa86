"""What blending adapters costs: merging, opening a session, and the restoration of a picture, side by side.

    python benchmarks/blending.py                    the shipped model, on ONNX Runtime
    python benchmarks/blending.py --tiny --side 256  ABAIR's smallest preset with random weights, on PyTorch

Times are the best of some rounds, interleaved, so that their ratios hold on a busy machine. The counts beside them are
exact: multiply-adds of merging against those of running the adapters beside their layers, the two ways to blend.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from unveil import engines, export, models, networks
from unveil.methods.abair import variants
from unveil.models import Adapter, AdapterCard, Card, Model
from unveil.packing import LARGEST_HALO, arrays, to_array
from unveil.restoration import Restorer

ROUNDS = 3


def tiny() -> Model:
    """ABAIR's smallest preset and eight adapters of rank 4, with random weights; PyTorch needs no graphs."""
    torch.manual_seed(0)
    network: Any = networks.build("abair", preset="tiny").eval()
    weights = {"restore": arrays(network, list(dict(network.named_parameters())))}
    checksum = models.base_checksum(weights["restore"])
    names = ("noise", "blur", "rain", "haze", "dark", "jpeg", "bits", "snow")
    card = Card(
        name="abair tiny",
        network={"name": "abair", "config": {"preset": "tiny"}},
        size_multiple=network.size_multiple,
        stride=network.size_multiple,
        halo=LARGEST_HALO,
        base_checksum=checksum,
        degradations={name: name for name in names},
        adapters={name: AdapterCard(rank=4, alpha=4.0, mode="compact", base_checksum=checksum) for name in names},
        blend="none",
    )
    return Model(None, card, weights, {name: adapter(network, name, checksum) for name in names})


def adapter(network: nn.Module, name: str, checksum: str) -> Adapter:
    made = variants.fresh(network, rank=4)
    factors = {
        weight: {factor: to_array(torch.randn_like(value) * 0.01, half=True) for factor, value in group.items()}
        for weight, group in made.named_factors().items()
    }
    return Adapter(name, 4, 4.0, "compact", checksum, factors)


def times(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of each, the best of some rounds in which all take turns."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(ROUNDS):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def measure(model: Model, engine_name: str, side: int, threads: int) -> str:
    """The row of the table of times."""
    engine = engines.choose(engine_name, threads=threads)
    restorer = Restorer(model, engine=engine_name, threads=threads)
    names = list(model.adapters)
    base = models.blend(model.weights["restore"], {}, {})
    plan = restorer._running.plan(np.empty((side, side, 3), np.uint8))
    dimensions = {"batch": 1, "height": plan.rows.tile, "width": plan.columns.tile}
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    blends = {1: {names[0]: 1.0}, 2: {names[0]: 0.6, names[1]: 0.4}, len(names): dict.fromkeys(names, 1 / len(names))}
    restorer.run(picture, weights=blends[1])
    works: dict[str, Callable[[], object]] = {
        f"merge {count}": lambda weights=weights: models.blend(base, model.adapters, weights)
        for count, weights in blends.items()
    }
    works["open"] = lambda: engine.open(model, "restore", base, dimensions)
    works["restore"] = lambda: restorer.run(picture, weights=blends[1])
    found = times(works)
    total = found["restore"]

    def cell(seconds: float) -> str:
        return f"{1000 * seconds:.0f} ms ({seconds / total:.1%})"

    merges = " | ".join(cell(found[f"merge {count}"]) for count in blends)
    return f"| {model.card.name} | {merges} | {cell(found['open'])} | {total:.2f} s |"


def counted(model: Model) -> list[str]:
    """Rows of the table of multiply-adds, for one megapixel and for a square of 256."""
    network: Any = export.network_of(model)
    side = 4 * network.size_multiple
    places: dict[str, int] = {}
    own: dict[str, int] = {}

    def hook(name: str) -> Callable[[nn.Module, Any, torch.Tensor], None]:
        def note(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
            positions = output[0, 0].numel() if isinstance(layer, nn.Conv2d) else output[..., 0].numel()
            weight = layer.get_parameter("weight")
            places[name] = places.get(name, 0) + positions
            own[name] = positions * weight.numel()

        return note

    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(hook(f"{name}.weight"))
    with torch.inference_mode():
        network(torch.zeros(1, 3, side, side))
    rows: list[str] = []
    base = model.weights["restore"]
    for shown, pixels in (("1 megapixel", 1_000_000), ("256 x 256", 256 * 256)):
        area = pixels / side**2
        layers = sum(own.values()) * area
        for count in (1, len(model.adapters)):
            merge = parallel = 0.0
            for each in list(model.adapters.values())[:count]:
                for name, factors in each.factors.items():
                    size = base[name].size
                    if "delta" in factors:
                        merge += size
                        parallel += places.get(name, 0) * area * (size if base[name].ndim > 1 else 0)
                    else:
                        merge += factors["up"].size * factors["down"].size / each.rank
                        parallel += places[name] * area * (factors["up"].size + factors["down"].size)
            rows.append(
                f"| {model.card.name} | {shown} | {count} | {layers / 1e9:.1f} G | {merge / 1e9:.3f} G "
                f"({merge / layers:.2%}) | {parallel / 1e9:.2f} G ({parallel / layers:.0%}) |"
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="ABAIR's smallest preset instead of the shipped model")
    parser.add_argument("--side", type=int, default=1000, help="of the picture that is restored")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = tiny() if options.tiny else models.read(models.find(models.DEFAULT))
    engine = "torch" if options.tiny else "onnx"
    print("| model | picture | adapters | its layers | merged | beside the layers |")
    print("|---|---|---|---|---|---|")
    print("\n".join(counted(model)), flush=True)
    cores = "1 thread" if options.threads == 1 else f"{options.threads} threads"
    print(f"\n{options.side} x {options.side}, {engine}, {cores}, {platform.machine()}, best of {ROUNDS} rounds\n")
    print("| model | merge 1 adapter | merge 2 | merge 8 | open a session | restore, session open |")
    print("|---|---|---|---|---|---|")
    print(measure(model, engine, options.side, options.threads))


if __name__ == "__main__":
    main()
