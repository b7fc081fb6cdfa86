"""How fast networks restore here, as ratios measured in one run: our engines against plain eager PyTorch.

    python benchmarks/speed.py [--networks NAME...] [--sides 256 512] [--threads 1 2] [--rounds 3] [--clock cpu]
    python benchmarks/speed.py --device cuda --sides 1024 --threads 1 --forms eager torch "torch bf16"

Every form of a network runs in a process of its own, which is asked in turn, so that what else the machine does falls
on all of them alike, and no form profits from the memory of another. Times are the least of the rounds, of a network on
one picture. Beside other work, `--clock cpu` counts the seconds of processors that a form uses instead of those that
pass: on one thread the same on a machine at rest. The forms:

    eager      PyTorch as shipped, operations in the papers' order (published_order.py): 1.00
    torch      our engine torch; bf16 with --precision bf16; `mapped` where large buffers are not reused; `compiled` is
               our engine torch-compiled, in minutes for each
    onnx raw   ONNX Runtime with its own settings on a graph in the papers' order; `openvino raw` likewise, in float32
    onnx       our engine onnx on our graph; `openvino` and `openvino bf16` likewise

Weights are random and far from zero, but for the shipped model. The error is the largest difference from `eager`.
Ceilings are measured first: a 3x3 convolution of 64 channels in PyTorch, channels last. On a GPU, `eager` and `torch`
run there, the picture's way there and back counts, and MiB are the GPU's.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "abair-fast (shipped)": ("", {}),
    "NAFNet-32": ("nafnet", {"width": 32, "encoder": (2, 2, 4, 8), "middle": 12, "decoder": (2, 2, 2, 2)}),
    "Restormer-16": ("restormer", {"dim": 16}),
    "Restormer-48": ("restormer", {"dim": 48}),
    "PromptIR": ("promptir", {}),
    "X-Restormer": ("xrestormer", {}),
    "SwinIR small": ("swinir", {"dim": 60, "depths": (6, 6, 6, 6), "heads": (6, 6, 6, 6)}),
    "ABAIR tiny": ("abair", {"preset": "tiny"}),
    "ABAIR small": ("abair", {"preset": "small"}),
    "Uformer": ("uformer", {}),
    "MAXIM": ("maxim", {}),
    "SRResNet": ("srresnet", {}),
}
FORMS = (
    "eager", "torch mapped", "torch", "torch bf16", "torch compiled", "torch compiled bf16", "onnx raw", "onnx",
    "openvino raw", "openvino", "openvino bf16",
)  # fmt: skip
EAGER = FORMS[0]
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Task:
    """What a process runs: a form of the network in a file, on pictures of a side."""

    form: str
    name: str
    folder: Path
    side: int
    threads: int
    clock: str
    device: str


def peak(device: str) -> float:
    """The most memory that this process has had, or has had on the GPU, in MiB."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def picture(side: int) -> Any:
    return np.random.default_rng(0).random((1, 3, side, side), dtype=np.float32)


def opened(task: Task) -> Callable[[Any], Any]:
    """The network of a task, ready to run."""
    from unveil import models

    raw = task.form.endswith("raw")
    if in_pytorch([task.form]) and NETWORKS[task.name][0]:
        model = graphless(task.name)
    else:
        model = models.read(task.folder / ("raw.safetensors" if raw else "model.safetensors"))
    if task.form == EAGER:
        return _eager(model, task.threads, task.device)
    name, *rest = task.form.split()
    weights = models.blend(model.weights["restore"], {}, {})
    sides = {"batch": 1, "height": task.side, "width": task.side}
    if raw:
        return _raw(name, model, weights, sides, task.threads)
    from unveil import engines

    if "mapped" in rest:
        from unveil.engines import buffers

        buffers.reuse = lambda: False  # pyright: ignore[reportAttributeAccessIssue]
    name = engines.COMPILED if "compiled" in rest else name
    engine = engines.choose(name, threads=task.threads, precision="bf16" if "bf16" in rest else "fp32")
    network = engine.open(model, "restore", weights, sides)
    return lambda image: network(image=image)["restored"]


def _eager(model: Any, threads: int, device: str) -> Callable[[Any], Any]:
    import torch
    from published_order import published_order

    from unveil import export

    torch.set_num_threads(threads)
    network = export.network_of(model).to(device)

    def run(image: Any) -> Any:
        with published_order(), torch.no_grad():
            return network.restore(torch.from_numpy(image).to(device)).cpu().numpy()

    return run


def _raw(name: str, model: Any, weights: Any, sides: dict[str, int], threads: int) -> Callable[[Any], Any]:
    """The engine with no setting of ours but the number of threads; sides are fixed, as a user would export them."""
    from unveil.engines import graph as graphs

    label, graph, signature = graphs.describe(model, "restore")
    arrays = graphs.fit_weights(label, signature, weights)
    values = graphs.solve_dimensions(signature, sides)
    if name == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        for symbol, value in values.items():
            options.add_free_dimension_override_by_name(symbol, value)
        options.add_external_initializers(
            list(arrays), [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
        )
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return lambda image: (session.run(None, {"image": image})[0], arrays)[0]
    from unveil.engines import openvino as ours
    from unveil.engines.nodes import inlined

    core = ours.openvino.Core()
    network = core.read_model(inlined(graph, arrays))
    network.reshape({key: [values.get(s, s) for s in shape] for key, shape in signature.inputs.items()})
    # Left to itself it computes in bf16 where the processor can.
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(network, "CPU", settings)
    request = compiled.create_infer_request()
    return lambda image: np.array(request.infer({"image": image})["restored"])


def serve(task: Task, pipe: Any) -> None:
    """The life of a process: open, then run and answer with seconds for every message until told to stop."""
    try:
        before, clock = peak(task.device), CLOCKS[task.clock]
        image = picture(task.side)
        begun = time.perf_counter()
        run = opened(task)
        started = clock()
        result = np.asarray(run(image))
        pipe.send((time.perf_counter() - begun, clock() - started, result))
        while pipe.recv():
            started = clock()
            run(image)
            pipe.send((clock() - started, peak(task.device) - before))
    except Exception as error:
        pipe.send((repr(error), 0.0, None))


def ceilings(threads: int, clock: Callable[[], float], device: str) -> dict[str, float]:
    """GFLOP/s of a 3x3 convolution."""
    import torch

    torch.set_num_threads(threads)
    found: dict[str, float] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        conv = torch.nn.Conv2d(64, 64, 3, padding=1).to(device, dtype).to(memory_format=torch.channels_last)
        x = torch.rand(1, 64, 256, 256).to(device, dtype).to(memory_format=torch.channels_last)
        best = float("inf")
        with torch.inference_mode():
            for _ in range(8):
                started = clock()
                conv(x)
                if device == "cuda":
                    torch.cuda.synchronize()
                best = min(best, clock() - started)
        found[name] = 2 * 64 * 64 * 9 * 256 * 256 / best / 1e9
    return found


def has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def in_pytorch(forms: Sequence[str]) -> bool:
    """Whether all these forms need no graph."""
    return all(form.startswith((EAGER, "torch")) for form in forms)


def built(name: str) -> Any:
    """A network with random weights that are far from zero, the same every time."""
    import torch

    from unveil import networks

    kind, config = NETWORKS[name]
    torch.manual_seed(0)
    network = networks.build(kind, **config).eval()
    for parameter in network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return network


def graphless(name: str) -> Any:
    """What PyTorch needs of a model: tracing the graphs of a large network takes minutes."""
    kind, config = NETWORKS[name]
    weights = {key: parameter.detach().numpy() for key, parameter in built(name).named_parameters()}
    card = SimpleNamespace(name=name, network={"name": kind, "config": config})
    return SimpleNamespace(card=card, weights={"restore": weights}, adapters={})


def write(name: str, folder: Path, *, raw: bool) -> None:
    """The model files of a network that are not there yet: with our graph, and for `raw` forms in the papers' order."""
    import torch
    from published_order import published_order

    from unveil import conversion, export, graphs, models, networks

    ours, theirs = folder / "model.safetensors", folder / "raw.safetensors"
    if not ours.is_file() and NETWORKS[name][0]:
        torch.save({"params": networks.official_state(built(name))}, folder / "weights.pth")
        models.write(conversion.convert(conversion.recognise(folder / "weights.pth"), folder / "weights.pth"), ours)
    elif not ours.is_file():
        models.write(export.retraced(models.read(models.find(models.DEFAULT))), ours)
    if not raw or theirs.is_file():
        return
    model = models.read(ours)
    network = export.network_of(model)
    with published_order():
        graph = graphs.restoring(network).data
    models.write(replace(model, path=None, graphs={**model.graphs, "restore": graph}), theirs)


def work(name: str, folder: Path, side: int) -> float:
    """GFLOP of one picture, by PyTorch's counter."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from unveil import export, models

    network = built(name) if NETWORKS[name][0] else export.network_of(models.read(folder / "model.safetensors"))
    network = network.to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.restore(torch.empty(1, 3, side, side, device="meta"))
    return counter.get_total_flops() / 1e9


def measure(forms: Sequence[str], task: Callable[[str], Task], rounds: int, patience: float) -> list[Any]:
    """One row a form: form, seconds, seconds until the first result, MiB, largest error."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Any] = {}
    processes: list[Any] = []
    rows: dict[str, list[Any]] = {}
    reference = None
    for form in forms:
        mine, theirs = context.Pipe()
        process = context.Process(target=serve, args=(task(form), theirs), daemon=True)
        process.start()
        processes.append(process)
        opening, seconds, result = mine.recv()
        if result is None:
            print(f"{form}: {opening}", file=sys.stderr)
            continue
        reference = result if form == EAGER else reference
        error = 0.0 if reference is None else float(np.abs(result - reference).max())
        rows[form] = [form, seconds, opening, 0.0, error]
        pipes[form] = mine
    for _ in range(rounds):
        started = time.perf_counter()
        for form, pipe in pipes.items():
            pipe.send(True)
            seconds, memory = pipe.recv()
            rows[form][1] = min(rows[form][1], seconds)
            rows[form][3] = memory
        if time.perf_counter() - started > patience:
            break
    for pipe in pipes.values():
        pipe.send(False)
    for process in processes:
        process.join(10)
    return list(rows.values())


def summary(records: Sequence[dict[str, Any]], forms: Sequence[str]) -> None:
    """One row a network, side and number of threads: how often each form is faster than `eager`."""
    print(f"\n| network | side | threads | eager, s | {' | '.join(forms[1:])} |")
    print("|---|---:|---:|---:|" + "---:|" * len(forms[1:]))
    cases = dict.fromkeys((row["network"], row["side"], row["threads"]) for row in records)
    for case in cases:
        rows = {row["form"]: row for row in records if (row["network"], row["side"], row["threads"]) == case}
        told = [f"{rows[form]['ratio']:.2f}" if form in rows else "" for form in forms[1:]]
        eager = rows[EAGER]["seconds"] if EAGER in rows else float("nan")
        print(f"| {' | '.join(map(str, case))} | {eager:.2f} | {' | '.join(told)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--sides", nargs="+", type=int, default=[256, 512])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS), metavar="FORM")
    parser.add_argument("--rounds", type=int, default=4, help="beside the first run, which counts as well")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="for the forms `eager` and `torch`")
    parser.add_argument("--patience", type=float, default=20, help="seconds after which one round must do")
    parser.add_argument("--models", type=Path, help="folder to keep the model files in: writing them takes minutes")
    parser.add_argument("--json", type=Path, help="write all figures here too, after each network")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if options.device == "cpu":
        # Our engine torch takes a GPU wherever it sees one.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif options.clock != "wall" or not in_pytorch(options.forms):
        parser.error("a GPU is measured by --clock wall, with the forms `eager` and `torch` only")
    elif not has_gpu():
        parser.error("PyTorch finds no GPU here")
    limits = {threads: ceilings(threads, CLOCKS[options.clock], options.device) for threads in options.threads}
    print(f"{platform.machine()}, {os.cpu_count()} cores; ceilings in GFLOP/s by threads: {limits}\n")
    print(
        "| network | side | threads | form | seconds | against eager | GFLOP/s | of ceiling | error | MiB | first in |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    records: list[dict[str, Any]] = []
    for name in options.networks:
        with contextlib.ExitStack() as stack:
            place = options.models or stack.enter_context(tempfile.TemporaryDirectory())
            folder = Path(place) / name.replace(" ", "-")
            folder.mkdir(parents=True, exist_ok=True)
            if not (in_pytorch(options.forms) and NETWORKS[name][0]):
                write(name, folder, raw=any(form.endswith("raw") for form in options.forms))
            for side in options.sides:
                flop = work(name, folder, side)
                gc.collect()
                for threads in options.threads:
                    task = partial(
                        Task, name=name, folder=folder, side=side, threads=threads, clock=options.clock,
                        device=options.device,
                    )  # fmt: skip
                    rows = measure(options.forms, task, options.rounds, options.patience)
                    eager = next((row[1] for row in rows if row[0] == EAGER), float("nan"))
                    for form, seconds, opening, memory, error in rows:
                        ceiling = limits[threads]["bf16" if "bf16" in form else "fp32"]
                        print(
                            f"| {name} | {side} | {threads} | {form} | {seconds:.3f} | {eager / seconds:.2f} "
                            f"| {flop / seconds:.0f} | {flop / seconds / ceiling:.0%} | {error:.0e} | {memory:.0f} "
                            f"| {opening:.2f} |",
                            flush=True,
                        )
                        records.append(
                            {
                                "network": name, "side": side, "threads": threads, "form": form, "seconds": seconds,
                                "ratio": eager / seconds, "gflops": flop / seconds, "error": error, "mib": memory,
                                "opening": opening,
                            }
                        )  # fmt: skip
        if options.json:
            options.json.write_text(json.dumps({"ceilings": limits, "rows": records}, indent=1), encoding="utf-8")
    summary(records, options.forms)


if __name__ == "__main__":
    main()
