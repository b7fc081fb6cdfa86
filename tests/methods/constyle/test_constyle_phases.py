"""What the phases of ConStyle do in a step: the average, the norms, the schedule, the losses that take part."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from torch import Tensor, nn  # noqa: E402

from unveil import networks  # noqa: E402
from unveil.errors import InvalidRequest, RecipeError  # noqa: E402
from unveil.methods.constyle.averaging import AveragedPhase, recalibrate  # noqa: E402
from unveil.methods.constyle.damage import KINDS, MIX, AddedNoise, Mixture  # noqa: E402
from unveil.methods.constyle.encoder import ConStyle, ConStyleV2  # noqa: E402
from unveil.methods.constyle.memory import look  # noqa: E402
from unveil.methods.constyle.pretraining import EncoderTraining  # noqa: E402
from unveil.methods.constyle.restoring import RestorationTraining  # noqa: E402

OPTIMISATION: dict[str, Any] = {"iterations": 10, "learning_rate": 1e-3}
MEMORY = {"queue": 8}


def at(phase: Any, step: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Make a phase believe that it is in a step; gives the dictionary that its logged values go to."""
    told: dict[str, Tensor] = {}
    monkeypatch.setattr(type(phase), "global_step", property(lambda self: step))
    monkeypatch.setattr(phase, "log", lambda name, value, **_: told.__setitem__(name, value))
    return told


def stepped(phase: AveragedPhase, loss: Tensor) -> None:
    optimiser = phase.configure_optimizers()["optimizer"]
    loss.backward()
    phase.on_before_optimizer_step(optimiser)
    optimiser.step()


def crops(count: int = 4, side: int = 32) -> Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def joint(**settings: Any) -> RestorationTraining:
    torch.manual_seed(0)
    network = networks.build("constyle-conv", dim=8)
    given = {"encoder_until": 5, "memory": MEMORY, **settings, **OPTIMISATION}
    return RestorationTraining(network, Mixture({"noise": 1}), **given)


def test_the_average_follows_the_weights_of_before_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    phase = joint(decay=0.75)
    with torch.no_grad():
        phase.network.output[0].weight.add_(1)
    before = phase.network.output[0].weight.clone()
    start = phase.average.output[0].weight.clone()
    at(phase, 0, monkeypatch)
    stepped(phase, phase.training_step(crops(), 0))
    assert not torch.equal(phase.network.output[0].weight, before)
    torch.testing.assert_close(phase.average.output[0].weight, start + 0.25 * (before - start))


@pytest.mark.parametrize("norms", ["averaged", "recalibrated", "published"])
def test_statistics_of_the_average_move_only_if_averaged(norms: str, monkeypatch: pytest.MonkeyPatch) -> None:
    phase = joint(norms=norms, decay=0.5)
    at(phase, 0, monkeypatch)
    stepped(phase, phase.training_step(crops(), 0))
    learnt, kept = (part.encoder.mlp1[1].running_mean for part in (phase.network, phase.average))
    assert learnt.any()
    torch.testing.assert_close(kept, 0.5 * learnt if norms == "averaged" else 0 * learnt)


def test_recalibrated_norms_have_the_statistics_of_all_pictures() -> None:
    torch.manual_seed(0)
    encoder = ConStyle().eval()
    batches = [torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16)]
    recalibrate(encoder, lambda image: look(encoder, image), batches)
    pooled = [encoder.mlp1[0](encoder.pool(encoder.maps(batch)[-1])) for batch in batches]
    wanted = torch.stack([values.mean(0) for values in pooled]).mean(0)
    torch.testing.assert_close(encoder.mlp1[1].running_mean, wanted, rtol=1e-4, atol=1e-5)
    assert encoder.mlp1[1].momentum == 0.1
    assert not encoder.mlp1[1].training


def test_a_frozen_encoder_says_what_it_says_in_use_but_as_published_by_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for norms, is_training in (("averaged", False), ("published", True)):
        phase = joint(encoder_until=0, norms=norms)
        told = at(phase, 0, monkeypatch)
        phase.train()
        before = phase.network.encoder.mlp1[1].running_mean.clone()
        stepped(phase, phase.training_step(crops(), 0))
        assert set(told) == {"l1"}
        assert phase.network.encoder.training is is_training
        assert torch.equal(before, phase.network.encoder.mlp1[1].running_mean) is not is_training
        assert all(parameter.grad is None for parameter in phase.network.encoder.parameters())
        assert phase.memory is None


def test_the_encoder_learns_from_its_losses_and_through_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    phase = joint()
    told = at(phase, 0, monkeypatch)
    loss = phase.training_step(crops(), 0)
    assert set(told) == {"l1", "contrast", "content", "style"}
    torch.testing.assert_close(loss, told["l1"] + told["contrast"] + told["content"] + told["style"])
    through = joint(weights={})
    told = at(through, 0, monkeypatch)
    through.training_step(crops(), 0).backward()
    assert set(told) == {"l1"}
    assert through.network.encoder.stage1[0][0].weight.grad.any()


def test_after_its_last_step_the_encoder_moves_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    phase = joint()
    told = at(phase, 5, monkeypatch)
    pointer = int(phase.memory.pointer)
    phase.training_step(crops(), 0).backward()
    assert set(told) == {"l1"}
    assert all(parameter.grad is None for parameter in phase.network.encoder.parameters())
    assert int(phase.memory.pointer) == pointer


def test_degraded_keys_are_another_pretext(monkeypatch: pytest.MonkeyPatch) -> None:
    values = []
    for key in ("clean", "degraded"):
        phase = joint(key=key)
        told = at(phase, 0, monkeypatch)
        phase.training_step(crops(), 0)
        values.append(float(told["content"].detach()))
    assert values[0] != values[1]


def test_the_original_has_no_encoder_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    phase = RestorationTraining(
        networks.build("conv", dim=8), Mixture({"haze": 1}), encoder_until=3, memory=MEMORY, **OPTIMISATION
    )
    told = at(phase, 0, monkeypatch)
    stepped(phase, phase.training_step(crops(), 0))
    assert set(told) == {"l1"}
    assert phase.memory is None


def test_pairs_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    phase = RestorationTraining(networks.build("conv", dim=8), None, **OPTIMISATION)
    at(phase, 0, monkeypatch)
    degraded, clean = crops(), crops().flip(0)
    found = phase.pictures((degraded, clean, torch.zeros(4)), torch.Generator())
    torch.testing.assert_close(found[0], degraded / 255)
    torch.testing.assert_close(found[1], clean / 255)


def test_the_learning_rate_is_held_and_then_falls_in_a_cosine() -> None:
    phase = AveragedPhase(nn.Linear(2, 2), decay=0.0, hold=40, iterations=100, learning_rate=1.0, warm_up=0, floor=0.1)
    assert phase.rate_factor(0) == phase.rate_factor(39) == phase.rate_factor(40) == 1.0
    assert phase.rate_factor(70) == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 0.5)))
    assert phase.rate_factor(100) == pytest.approx(0.1)
    assert phase.average is None
    assert phase.result is phase.network


def batch_of(classes: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return crops(), crops().flip(0), torch.arange(4) % classes, torch.tensor([True, False, False, True])


def test_class_pretext_and_distillation_end_where_they_are_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    phase = EncoderTraining(
        ConStyleV2(classes=3),
        lambda clean, spoilt, generator: clean,
        classification_until=2,
        distillation_until=4,
        memory=MEMORY,
        **OPTIMISATION,
    )
    always = {"contrast", "content", "style"}
    for step, wanted in ((1, {"classification", "distillation"}), (2, {"distillation"}), (4, set())):
        told = at(phase, step, monkeypatch)
        loss = phase.training_step(batch_of(3), 0)
        assert set(told) == always | wanted
        torch.testing.assert_close(loss, sum(told.values()))
    assert float(told["style"].detach()) < 0


def test_what_is_spoilt_already_is_left_to_the_damage_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    from unveil.training.constyle.chain import _spoilt

    clean, spoilt = crops().float() / 255, batch_of(2)[3]
    found = _spoilt(lambda images, generator: 1 - images, clean, spoilt, torch.Generator())
    torch.testing.assert_close(found[spoilt], clean[spoilt])
    torch.testing.assert_close(found[~spoilt], 1 - clean[~spoilt])


def test_unknown_norms_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="averaged, recalibrated, published"):
        AveragedPhase(nn.Linear(2, 2), norms="frozen", **OPTIMISATION)


def test_added_noise_is_not_clipped_and_keeps_to_its_range() -> None:
    clean = torch.zeros(64, 3, 32, 32)
    found = AddedNoise(0, 50)(clean, torch.Generator().manual_seed(0))
    assert float(found.min()) < -0.2
    deviation = found.std((1, 2, 3)) * 255
    assert float(deviation.max()) < 52
    assert float(deviation.min()) < 5
    fixed = AddedNoise(25, 25)(clean, torch.Generator().manual_seed(0)).std((1, 2, 3)) * 255
    torch.testing.assert_close(fixed, torch.full((64,), 25.0), rtol=0.06, atol=0)


def test_a_mixture_gives_every_kind_its_share_and_stays_on_the_grid() -> None:
    mixture = Mixture({"noise": 3, "haze": 1})
    degraded, labels = mixture.labelled(torch.full((200, 3, 8, 8), 0.5), torch.Generator().manual_seed(0))
    assert float((labels == 0).float().mean()) == pytest.approx(0.75, abs=0.1)
    assert torch.equal((degraded * 255).round() / 255, degraded)
    noise = KINDS["noise"]
    assert (noise.low * 60, noise.high * 60) == pytest.approx((10, 50))
    assert set(MIX) <= set(KINDS)
    with pytest.raises(RecipeError, match="no generator for fog"):
        Mixture({"fog": 1})
    with pytest.raises(RecipeError, match="at least one kind"):
        Mixture({"haze": 0})
