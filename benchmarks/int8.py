"""What 8-bit whole numbers would cost and gain: blends of the shipped model, quantised by ONNX Runtime's own tools.

    pip install onnx
    python benchmarks/int8.py --pictures data/test_kodak24 --calibration photographs/

Weights and activations in int8, by channel and by tensor; ranges from spoilt training crops. Convolutions alone are
quantised (norms, gates and sums stay in float32), once all of them and once without the first and the last. Prints PSNR
on noise of sigma 25 and JPEG of quality 20, and seconds of the bare network, all forms taking turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from shipped_model import Damaging, Pixels, jpeg, noise, read

from unveil import export, models
from unveil.metrics.fidelity import psnr

DAMAGES = {"noise": noise(25), "jpeg": jpeg(20)}


def given(pixels: Pixels) -> NDArray[np.float32]:
    """8-bit pixels `H W 3` to what a network takes, `1 3 H W`."""
    return (pixels / 255.0).astype(np.float32).transpose(2, 0, 1)[None]


def spoil(pictures: list[Pixels], damage: Damaging) -> list[Pixels]:
    return [damage(pixels, np.random.default_rng(seed)) for seed, pixels in enumerate(pictures)]


class Crops(CalibrationDataReader):
    def __init__(self, crops: list[Any]) -> None:
        self.crops: Iterator[Any] = iter(crops)

    def get_next(self) -> dict[str, Any]:
        crop = next(self.crops, None)
        return {} if crop is None else {"image": crop}


def quantised(model: models.Model, blend: str, calibration: list[Any], folder: str) -> dict[str, Path]:
    """ONNX files of the blend by the name of their form."""
    plain, ready = Path(folder, "float.onnx"), Path(folder, "ready.onnx")
    export.write_onnx(model, plain, weights={blend: 1.0})
    quant_pre_process(plain, ready, skip_symbolic_shape=True)
    convolutions = [node.name for node in onnx.load(ready).graph.node if node.op_type == "Conv"]
    forms = {"float32": plain}
    for name, spared in (("int8, all", ()), ("int8, ends spared", (convolutions[0], convolutions[-1]))):
        forms[name] = Path(folder, f"{len(forms)}.onnx")
        quantize_static(
            ready,
            forms[name],
            Crops(calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(spared),
            calibrate_method=CalibrationMethod.MinMax,
        )
    return forms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--model", default=models.DEFAULT)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    model = models.read(models.find(chosen.model))
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads, options.enable_mem_pattern = 3, chosen.threads, False
    truths, crops = read(chosen.pictures, chosen.count, 320), read(chosen.calibration, 24, 192)
    print(f"{model.card.name}, {len(truths)} pictures, threads: {chosen.threads}\n")
    print("| blend | input, dB | form | restored, dB | seconds for 320 x 320 | MB |\n|---|---:|---|---:|---:|---:|")
    for blend, damage in DAMAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            forms = quantised(model, blend, [given(spoilt) for spoilt in spoil(crops, damage)], folder)
            size = {name: path.stat().st_size / 1e6 for name, path in forms.items()}
            sessions = {name: ort.InferenceSession(path, options) for name, path in forms.items()}
        found: dict[str, list[float]] = {name: [] for name in forms}
        seconds = dict.fromkeys(forms, float("inf"))
        before: list[float] = []
        for truth, spoilt in zip(truths, spoil(truths, damage), strict=True):
            image, wanted = given(spoilt), truth.transpose(2, 0, 1)[None] / 255.0
            before.append(psnr(image.astype(np.float64), wanted))
            for name, session in sessions.items():
                started = time.perf_counter()
                restored = session.run(None, {"image": image})[0]
                seconds[name] = min(seconds[name], time.perf_counter() - started)
                found[name].append(psnr(restored.clip(0, 1).astype(np.float64), wanted))
        for name in forms:
            numbers = f"{np.mean(found[name]):.2f} | {seconds[name]:.3f} | {size[name]:.1f}"
            print(f"| {blend} | {np.mean(before):.2f} | {name} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
