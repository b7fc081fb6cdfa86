"""Where ONNX Runtime spends its time on a tile, by kind of node, and what sharing a session does to it.

python benchmarks/onnx_nodes.py [--model NAME] [--side 512] [--rounds 8]

A blend that is opened alone and one on a shared session (`unveil.engines.sharing`) take turns on one thread, in seconds
of the processor; the shares of nodes are of the fastest run of each.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from unveil import models
from unveil.engines import onnx as engine
from unveil.engines.graph import describe, fit_dimensions, fit_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=models.DEFAULT)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    model = models.read(models.find(options.model))
    label, graph, signature = describe(model, "restore")
    values = fit_dimensions(label, signature, {"batch": 1, "height": options.side, "width": options.side})
    base = models.blend(model.weights["restore"], {}, {})
    graph, weights = engine.prepare(graph, fit_weights(label, signature, base))
    shared = engine._share((graph, engine.shapes_of(weights), tuple(values.items())))
    if shared is None:
        raise SystemExit(f"Blends of {model.card.name} share no session here.")
    image = np.random.default_rng(0).random((1, 3, options.side, options.side), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:

        def profiled(name: str, found: Any) -> Any:
            found.enable_profiling, found.profile_file_prefix = True, str(Path(folder) / name)
            return found

        plain = engine._options(1, level=ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
        sessions = {
            "alone": engine._open(graph, profiled("alone", engine._options(1, values)), weights),
            "shared": engine._open(shared.graph, profiled("shared", plain), {}),
        }
        inputs = {"alone": {"image": image}, "shared": {"image": image, **shared.lay_out(weights)}}
        seconds: dict[str, list[float]] = defaultdict(list)
        answers: dict[str, Any] = {}
        for _ in range(options.rounds + 1):
            for name, session in sessions.items():
                started = time.process_time()
                answers[name] = session.run(None, inputs[name])[0]
                seconds[name].append(time.process_time() - started)
        best = {name: min(found[1:]) for name, found in seconds.items()}
        same = "the same bits" if np.array_equal(answers["alone"], answers["shared"]) else "OTHER BITS"
        print(f"{model.card.name} at {options.side}: " + ", ".join(f"{n} {t * 1e3:.0f} ms" for n, t in best.items()))
        print(f"shared is {best['alone'] / best['shared']:.2f} times as fast, with {same}")
        for name, session in sessions.items():
            print(f"\n{name}:\n" + "\n".join(shares(json.loads(Path(session.end_profiling()).read_text("utf-8")))))


def shares(events: list[dict[str, Any]]) -> list[str]:
    """Lines on kinds of nodes, the slowest first."""
    runs: dict[str, list[int]] = defaultdict(list)
    kinds: dict[str, str] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            runs[event["name"]].append(event["dur"])
            kinds[event["name"]] = kind(event["args"])
    total: Counter[str] = Counter()
    for name, found in runs.items():
        total[kinds[name]] += min(found)
    counts = Counter(kinds.values())
    whole = sum(total.values())
    return [f"{what:20} {counts[what]:4} {took / whole:6.1%}" for what, took in total.most_common()]


def kind(details: dict[str, Any]) -> str:
    operator = str(details["op_name"])
    if operator != "Conv":
        return operator
    _, inputs, height, width = next(iter(details["input_type_shape"][1].values()))
    return f"Conv {height}x{width}" + (" by channels" if inputs == 1 else "")


if __name__ == "__main__":
    main()
