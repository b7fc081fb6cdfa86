"""What each setting of the engine torch is worth, alone: CPU seconds on one thread, the forms taking turns.

    python benchmarks/torch_levers.py "Restormer-16" [--side 256] [--rounds 3] [--mapped] [--levers LEVER...]

The levers, in a row what they add to `eager`, which is PyTorch as shipped in the papers' order of operations:

    plain    our layers in inference mode, channels last
    routed   1x1 convolutions handed to oneDNN, which PyTorch does not do on one thread
    medium   `torch.set_float32_matmul_precision("medium")`
    autocast bf16 where PyTorch thinks fit
    weights  weights and picture in bf16 beforehand
    compiled `torch.compile`, for minutes

All reuse large buffers, but with --mapped, where none does. Weights are those of speed.py. Not to be mixed with its
figures: here all forms share a process, and so its memory.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from published_order import published_order
from speed import NETWORKS, built, picture

from unveil.engines import buffers
from unveil.engines.torch import _route

LEVERS = ("eager", "plain", "routed", "routed medium", "autocast", "weights", "routed compiled")


def form(levers: str, name: str, image: torch.Tensor) -> Callable[[], torch.Tensor]:
    """The network with these levers, ready to run."""
    network = built(name)
    words = levers.split()
    if levers == "eager":

        def run_eager() -> torch.Tensor:
            with published_order(), torch.no_grad():
                return network.restore(image)

        return run_eager
    if "weights" in words:
        network, image = network.bfloat16(), image.bfloat16()
    image = image.contiguous(memory_format=torch.channels_last)
    for weight in network.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    if "routed" in words:
        _route(network)
    call: Any = torch.compile(network.restore) if "compiled" in words else network.restore
    precision = "medium" if "medium" in words else "highest"

    def run() -> torch.Tensor:
        torch.set_float32_matmul_precision(precision)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled="autocast" in words):
            return call(image).float()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=list(NETWORKS)[1:], metavar="NETWORK", help="as in speed.py")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mapped", action="store_true")
    parser.add_argument("--levers", nargs="+", default=LEVERS[:-1], metavar="LEVER")
    options = parser.parse_args()
    if not options.mapped and not buffers.reuse():
        parser.error("large buffers cannot be reused here (see unveil/engines/buffers.py); give --mapped")
    torch.set_num_threads(1)
    image = torch.from_numpy(picture(options.side))
    forms = {levers: form(levers, options.network, image) for levers in options.levers}
    results = {levers: run().contiguous() for levers, run in forms.items()}
    seconds = dict.fromkeys(forms, float("inf"))
    for _ in range(options.rounds):
        for levers, run in forms.items():
            started = time.process_time()
            run()
            seconds[levers] = min(seconds[levers], time.process_time() - started)
    first = options.levers[0]
    print(f"| {options.network}, {options.side} | CPU s | against {first} | largest difference |\n|---|---:|---:|---:|")
    for levers in forms:
        error = (results[levers] - results[first]).abs().max().item()
        print(f"| {levers} | {seconds[levers]:.3f} | {seconds[first] / seconds[levers]:.2f} | {error:.0e} |")


if __name__ == "__main__":
    main()
