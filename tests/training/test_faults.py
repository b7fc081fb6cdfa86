"""Bad steps, kills, full disks and damaged checkpoints: the weights stay sound, and the same call goes on."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from unveil.errors import (  # noqa: E402
    CheckpointError,
    Diverged,
    Terminated,
)
from unveil.images import Picture, read, write  # noqa: E402
from unveil.methods.phase import Phase  # noqa: E402
from unveil.training import checkpoints  # noqa: E402
from unveil.training.checkpoints import DAMAGED, FINAL, FORMER, LAST, Checkpoints, TrainingWarning, check  # noqa: E402
from unveil.training.fitting import Machine, _Data, fit  # noqa: E402
from unveil.training.recipe import Stage  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
STEPS = 6


class Line(Phase):
    """Learns a straight line; in the steps of `bad` its loss is spoiled."""

    def __init__(self, bad: dict[int, Callable[[Any], Any]] | None = None, **options: Any) -> None:
        super().__init__(iterations=STEPS, learning_rate=0.1, seed=3, **options)
        self.network = torch.nn.Linear(1, 1)
        torch.nn.init.zeros_(self.network.weight)
        torch.nn.init.zeros_(self.network.bias)
        self.bad = bad or {}
        self.record = {"version": "0"}

    def training_step(self, batch: Any, index: int) -> Any:
        noise = 0.01 * torch.randn(batch.shape, generator=self.draw())
        loss = (self.network(batch) - 2 * batch - noise).square().mean()
        return self.bad.get(self.global_step, lambda good: good)(loss)


class Numbers:
    """Batches that depend on step and part alone."""

    def __call__(self, step: int, part: int) -> Any:
        return torch.full((4, 1), step + part / 2)

    def digest(self) -> str:
        return "sha256:0"


def train(place: Path, phase: Phase | None = None, *, every: int = 2, **stage: Any) -> dict[str, Any]:
    chosen = Stage(iterations=STEPS, batch=4, patch=1, learning_rate=0.1, **stage)
    fit(phase or Line(), chosen, Numbers(), place / "line", precision="32-true", machine=Machine(every=every))
    return torch.load(place / "line" / FINAL, weights_only=True)["state_dict"]


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def spoiled(loss: Any) -> Any:
    return loss * float("nan")


def spoiled_gradients(loss: Any) -> Any:
    """A sound loss whose gradient is not: the slope of a root at zero times nothing."""
    return loss + (loss * 0).sqrt()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, Any]:
    return train(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(("spoil", "said"), [(spoiled, "the loss is nan"), (spoiled_gradients, "network.weight first")])
def test_a_bad_step_ends_the_phase_before_it_reaches_the_weights(tmp_path, whole, spoil, said):
    phase = Line({4: spoil})
    with pytest.raises(Diverged, match=f"line: in step 4 .*{said}"):
        train(tmp_path, phase)
    assert all(torch.isfinite(weight).all() for weight in phase.network.parameters())
    assert check(tmp_path / "line" / LAST) == 4
    found = torch.load(tmp_path / "line" / "bad-step-4.pt", weights_only=True)
    assert (found["phase"], found["step"], found["seed"], found["parts"]) == ("line", 4, 3, [0])
    assert torch.equal(found["batches"][0], Numbers()(4, 0))
    assert same(train(tmp_path), whole)


def test_a_bad_step_is_met_again_by_the_same_call(tmp_path):
    for _ in range(2):
        with pytest.raises(Diverged, match="in step 3 the loss is nan"):
            train(tmp_path, Line({3: spoiled}))


def test_bad_steps_are_left_out_up_to_a_number(tmp_path):
    with pytest.warns(TrainingWarning, match=r"step 1 the loss is nan; it is left out, number 1 of 2"):
        weights = train(tmp_path, Line({1: spoiled, 3: spoiled_gradients}), skip_steps=2)
    assert all(torch.isfinite(weight).all() for weight in weights.values())
    with pytest.warns(TrainingWarning), pytest.raises(Diverged, match="step 4"):
        train(tmp_path / "more", Line({1: spoiled, 3: spoiled, 4: spoiled}), skip_steps=2)
    # What was left out before counts in a run that goes on.
    with pytest.raises(Diverged, match="step 4"):
        train(tmp_path / "more", Line({4: spoiled}), skip_steps=2)


def test_a_step_left_out_changes_no_weight(tmp_path):
    seen: dict[int, float] = {}

    class Watched(Line):
        def training_step(self, batch: Any, index: int) -> Any:
            seen[self.global_step] = self.network.weight.item()
            return super().training_step(batch, index)

    with pytest.warns(TrainingWarning):
        train(tmp_path, Watched({2: spoiled}), skip_steps=1)
    assert seen[2] == seen[3]
    assert seen[1] != seen[2]


def test_all_parts_of_a_bad_step_are_kept(tmp_path):
    with pytest.raises(Diverged):
        train(tmp_path, Line({2: spoiled}), parts=2)
    found = torch.load(tmp_path / "line" / "bad-step-2.pt", weights_only=True)
    assert found["parts"] == [0, 1]
    assert len(found["losses"]) == 2
    assert torch.equal(found["batches"][1], Numbers()(2, 1))


def stopped(place: Path, step: int, number: int = signal.SIGINT) -> None:
    """Run until a signal comes in the middle of a step."""

    def interrupt(loss: Any) -> Any:
        os.kill(os.getpid(), number)
        return loss

    with pytest.raises(Terminated if number == signal.SIGTERM else KeyboardInterrupt, match=f"from step {step + 1}"):
        train(place, Line({step: interrupt}))


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_and_keeps_it(tmp_path, whole, number):
    # What runs in the background may have them ignored, and Ray, if it runs here, has set its own.
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    stopped(tmp_path, 2, number)
    assert check(tmp_path / "line" / LAST) == 3
    assert {each: signal.getsignal(each) for each in before} == before
    assert same(train(tmp_path), whole)


def killed(place: Path) -> Path:
    """A phase that ended as by SIGKILL in step 5, with the checkpoints of steps 4 and 2."""

    def fall(_: Any) -> Any:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        train(place, Line({5: fall}))
    folder = place / "line"
    assert (check(folder / LAST), check(folder / FORMER)) == (4, 2)
    return folder


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def test_after_a_kill_it_goes_on_from_the_last_checkpoint(tmp_path, whole):
    folder = killed(tmp_path)
    assert same(train(tmp_path), whole)
    assert sorted(path.name for path in folder.glob("*.ckpt")) == [FINAL]


@pytest.mark.parametrize("harm", [damage, lambda path: path.write_bytes(path.read_bytes()[:900]), Path.unlink])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(tmp_path, whole, harm):
    folder = killed(tmp_path)
    harm(folder / LAST)
    with pytest.warns() as said:
        assert same(train(tmp_path), whole)
    there = (folder / DAMAGED).exists()
    assert there == any("going on from step 2 of former.ckpt" in str(warning.message) for warning in said)
    assert there == (harm is not Path.unlink)


def test_without_a_sound_checkpoint_nothing_is_overwritten(tmp_path):
    folder = killed(tmp_path)
    damage(folder / LAST)
    damage(folder / FORMER)
    before = {path: path.read_bytes() for path in folder.glob("*.ckpt")}
    with pytest.raises(CheckpointError, match=r"last.ckpt .*former.ckpt .*Remove them"):
        train(tmp_path)
    assert {path: path.read_bytes() for path in folder.glob("*.ckpt")} == before


@pytest.fixture
def full(monkeypatch):
    """Have files of these names meet a full disk. What gets its name first is written under another one."""

    def arrange(*names: str) -> None:
        place = Checkpoints._place

        def refuse(self: Checkpoints, data: Any, target: Path, step: int) -> None:
            with monkeypatch.context() as patch:
                if target.name in names:
                    patch.setattr(os, "fsync", fail)
                place(self, data, target, step)

        def fail(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(Checkpoints, "_place", refuse)

    return arrange


def test_a_full_disk_costs_a_warning_and_no_step(tmp_path, whole, full):
    full(LAST)
    with pytest.warns(TrainingWarning, match=r"last.ckpt cannot be written \(No space left on device; 0.0 MB needed"):
        assert same(train(tmp_path), whole)
    assert list((tmp_path / "line").glob(".unveil-*")) == []


def test_a_full_disk_at_the_end_is_an_error_and_the_same_call_ends_it(tmp_path, whole, full, monkeypatch):
    with monkeypatch.context():
        full(FINAL)
        with pytest.raises(CheckpointError, match=r"final.ckpt cannot be written .*goes on from last.ckpt"):
            train(tmp_path)
        folder = tmp_path / "line"
        assert check(folder / LAST) == STEPS
        assert not (folder / FINAL).exists()
    monkeypatch.undo()
    assert same(train(tmp_path), whole)


def test_the_former_checkpoint_makes_room_for_the_next(tmp_path, monkeypatch):
    folder = killed(tmp_path)
    sync, calls = os.fsync, []

    def once(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    checkpoint = torch.load(folder / LAST, weights_only=True)
    monkeypatch.setattr(os, "fsync", once)
    Checkpoints(folder).save_checkpoint({**checkpoint, "global_step": 5}, folder / LAST)
    assert (check(folder / LAST), check(folder / FORMER)) == (5, 4)


def test_workers_are_no_plain_forks(tmp_path):
    """See below for what would happen; starting one takes seconds."""
    stage = Stage(iterations=STEPS, batch=4, patch=1, learning_rate=0.1)
    data = _Data(Numbers(), stage, start=0, workers=1)
    data.trainer = SimpleNamespace(global_rank=0, world_size=1)  # pyright: ignore[reportAttributeAccessIssue]
    context = data.train_dataloader().multiprocessing_context
    assert context is not None
    assert context.get_start_method() in ("forkserver", "spawn")
    data = _Data(Numbers(), stage, start=0, workers=None)
    assert data.workers == (4 if torch.cuda.is_available() else 0)


class Pictures(Numbers):
    """Reads a picture for each batch, as training does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, step: int, part: int) -> Any:
        read(self.path)
        return super().__call__(step, part)


@pytest.mark.exhaustive
def test_workers_read_pictures_after_the_process_itself_has_read_some(tmp_path, whole):
    """A fork of a process with libvips' threads would hang for ever."""
    path = tmp_path / "a.png"
    write(Picture(np.zeros((8, 8, 3), np.uint8)), path)
    read(path)
    stage = Stage(iterations=STEPS, batch=4, patch=1, learning_rate=0.1)
    fit(Line(), stage, Pictures(path), tmp_path / "line", precision="32-true", machine=Machine(workers=1))
    assert same(torch.load(tmp_path / "line" / FINAL, weights_only=True)["state_dict"], whole)


def test_a_checkpoint_that_reads_back_differently_does_not_replace_the_one_before(tmp_path, monkeypatch):
    folder = killed(tmp_path)
    checkpoint = torch.load(folder / LAST, weights_only=True)
    before = (folder / LAST).read_bytes()
    write_bytes = checkpoints._write

    def flawed(data: Any, path: Path) -> None:
        write_bytes(data, path)
        damage(path)

    monkeypatch.setattr(checkpoints, "_write", flawed)
    with pytest.warns(TrainingWarning, match="reads differently"):
        Checkpoints(folder).save_checkpoint({**checkpoint, "global_step": 5}, folder / LAST)
    assert (folder / LAST).read_bytes() == before
    assert check(folder / FORMER) == 2


def test_small_files_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    checkpoints.keep({"temperature": 0.5}, tmp_path / "deep" / "calibration.pt")
    assert torch.load(tmp_path / "deep" / "calibration.pt", weights_only=True) == {"temperature": 0.5}

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        checkpoints.place(b"{}", tmp_path / "recipe.json")
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
