"""What is trained does not depend on the number of processes, nor on being killed."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from PIL import Image  # noqa: E402

from unveil import training  # noqa: E402
from unveil.errors import RecipeError  # noqa: E402

RECIPE = """
name: processes
seed: 3
precision: 32-true
network: {name: fastnaf, width: 8, encoder: [1], middle: 1, decoder: [1]}
pretraining:
  {degradations: {noise: 1, blur: 1, rain: 1}, iterations: 24, batch: 4, parts: 2, patch: 32, learning_rate: 1.0e-3}
adaptation: {iterations: 3, batch: 2, patch: 32, learning_rate: 1.0e-2}
adapters: {noise: {}}
estimation: {iterations: 3, batch: 8, patch: 32, learning_rate: 1.0e-3}
"""

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, a photograph, and a run in one process that nobody stopped."""
    place = tmp_path_factory.mktemp("processes")
    (place / "recipe.yaml").write_text(RECIPE)
    (place / "photographs").mkdir()
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((96, 80), Image.Resampling.BICUBIC).save(place / "photographs" / "a.png")
    training.run(
        place / "recipe.yaml", data=[place / "photographs"], out=place / "whole", phases=["pretrain"], threads=1
    )
    return place


def command(place: Path, out: Path, *options: str) -> list[str]:
    words = ["-m", "unveil", "train", str(place / "recipe.yaml"), "--data", str(place / "photographs")]
    return [*words, "--out", str(out), "--phase", "pretrain", "--threads", "1", *options]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "pretraining" / "final.ckpt", weights_only=True)["state_dict"]


def losses(run: Path) -> list[float]:
    with (run / "pretraining" / "metrics.csv").open(newline="") as stream:
        return [float(row["l1"]) for row in csv.DictReader(stream) if row["l1"]]


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(place: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *command(place, tmp_path)], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    alone, together = weights(place / "whole"), weights(tmp_path)
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, atol=1e-6, rtol=1e-5)
    # One process logs both halves of a batch in turn and two their own, so that only the course can be compared.
    assert losses(tmp_path)[-1] < 1.5 * max(losses(place / "whole"))


def test_a_killed_run_goes_on_to_the_same_weights(place: Path, tmp_path: Path) -> None:
    started = [
        sys.executable,
        *command(place, tmp_path, "--checkpoint-every", "5", "--set", "pretraining.iterations=24"),
    ]
    last = tmp_path / "pretraining" / "last.ckpt"
    process = subprocess.Popen(started, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not last.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    finally:
        process.wait()
    if (tmp_path / "pretraining" / "final.ckpt").exists():
        pytest.skip("the machine was too fast to kill the run in time")
    assert last.exists()
    training.run(place / "recipe.yaml", data=[place / "photographs"], out=tmp_path, phases=["pretrain"], threads=1)
    resumed, whole = weights(tmp_path), weights(place / "whole")
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_processes_that_cannot_share_a_batch_are_told(place: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="3 processes cannot share out 2 parts"):
        training.run(
            place / "recipe.yaml",
            data=[place / "photographs"],
            out=tmp_path,
            phases=["pretrain"],
            machine=training.Machine(devices=3),
        )
    with pytest.raises(RecipeError, match="cannot be drawn in 3 equal parts"):
        training.Recipe.read(place / "recipe.yaml", overrides=["pretraining.parts=3"])
