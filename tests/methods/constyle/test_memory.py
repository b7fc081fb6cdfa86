"""Momentum encoder, queue and losses of ConStyle: the authors' training step, and the formulas by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2] / "reference"))

from cases import Case  # noqa: E402

from unveil import networks  # noqa: E402
from unveil.methods.constyle.encoder import ConStyle, ConStyleV2, Encoder  # noqa: E402
from unveil.methods.constyle.losses import content_loss, contrast_loss, distillation_loss, style_loss  # noqa: E402
from unveil.methods.constyle.memory import Memory, Seen, look  # noqa: E402


def official(case: Case, encoder: Encoder, prefix: str) -> None:
    """Load what the case names `encoder_q` or `encoder_k`."""
    state = case.state()
    names = {name: f"{prefix}.{name}" for name in encoder.state_dict()}
    loaded = {ours: torch.from_numpy(state[theirs]) for ours, theirs in names.items() if theirs in state}
    missing = encoder.load_state_dict(loaded, strict=False).missing_keys
    assert all("num_batches" in name for name in missing)


@pytest.mark.parametrize("version", [1, 2])
def test_the_training_step_is_the_authors(version: int) -> None:
    case = Case.load(f"constyle-v{version}-training-step")
    encoder = ConStyle() if version == 1 else ConStyleV2()
    official(case, encoder, "encoder_q")
    memory = Memory(encoder, queue=64)
    official(case, memory.key_encoder, "encoder_k")
    memory.queue.copy_(torch.from_numpy(case.state()["queue"]))
    if isinstance(encoder, ConStyleV2):
        for module in (encoder, memory.key_encoder):
            module.classifier[2].p = 0.0
    encoder.train(), memory.train()

    seen = look(encoder, torch.from_numpy(case.inputs["degraded"]))
    memory.follow(encoder)
    found = memory.compare(seen, torch.from_numpy(case.inputs["clean"]))

    ours: dict[str, Any] = {
        "query0": seen.queries[0],
        "query1": seen.queries[1],
        "key1": found.key,
        "negative0": found.negatives[0],
        "negative1": found.negatives[1],
        "logits": found.logits,
        "queue_after": memory.queue,
        "predict_query": seen.classes,
        "predict_key": found.classes,
    }
    for name, expected in case.outputs.items():
        got = ours[name].detach().numpy()
        assert np.linalg.norm(got - expected) / np.linalg.norm(expected) < 1e-5, name
    assert int(memory.pointer) == 4
    assert not found.key.requires_grad
    assert not any(negative.requires_grad for negative in found.negatives)


def test_the_momentum_moves_parameters_and_leaves_statistics() -> None:
    torch.manual_seed(0)
    encoder = ConStyle()
    memory = Memory(encoder, queue=8, momentum=0.75)
    before = memory.key_encoder.mlp1[0].weight.clone()
    with torch.no_grad():
        encoder.mlp1[0].weight.add_(1)
        encoder.mlp1[1].running_mean.add_(1)
    memory.follow(encoder)
    torch.testing.assert_close(memory.key_encoder.mlp1[0].weight, before + 0.25)
    assert memory.key_encoder.mlp1[1].running_mean.eq(0).all()


def codes(seed: int, batch: int = 4) -> Tensor:
    return torch.randn(batch, 128, generator=torch.Generator().manual_seed(seed))


def test_the_queue_holds_the_last_degraded_codes_and_turns_round() -> None:
    torch.manual_seed(0)
    memory = Memory(ConStyle(), queue=12)
    start = memory.queue.clone()
    clean = torch.rand(4, 3, 16, 16)
    for step in range(4):
        found = memory.compare(Seen([codes(step), codes(step)], []), clean)
        if step == 3:
            # The oldest is the first batch again, and the one to go next the second.
            torch.testing.assert_close(found.negatives[1], codes(0))
            torch.testing.assert_close(found.negatives[0], codes(1))
        if step == 0:
            torch.testing.assert_close(found.logits[:, 1:] * 0.07, codes(0) @ start)
    torch.testing.assert_close(memory.queue, torch.cat([codes(3), codes(1), codes(2)]).T)
    assert int(memory.pointer) == 4


def test_without_a_queue_the_batch_is_its_own_negatives() -> None:
    torch.manual_seed(0)
    memory = Memory(ConStyle(), queue=0)
    found = memory.compare(Seen([codes(0), codes(0)], []), torch.rand(4, 3, 16, 16))
    assert found.logits.shape == (4, 4)
    assert found.negatives == []
    torch.testing.assert_close(found.logits[0, 1] * 0.07, codes(0)[0] @ codes(0)[1])


def test_normalised_codes_have_length_one_wherever_they_are_compared() -> None:
    torch.manual_seed(0)
    memory = Memory(ConStyle(), queue=12, normalised=True)
    torch.testing.assert_close(memory.queue.norm(dim=0), torch.ones(12))
    seen = Seen([codes(0), codes(1)], [])
    found = memory.compare(seen, torch.rand(4, 3, 16, 16))
    for each in (*found.queries, found.key, *found.negatives, memory.queue.T[:4]):
        torch.testing.assert_close(each.norm(dim=1), torch.ones(4))
    assert float(found.logits.detach().abs().max()) <= 1 / 0.07 + 1e-4
    # What the network hears stays as it was.
    torch.testing.assert_close(seen.queries[1], codes(1))


def test_the_losses_by_hand() -> None:
    query, key = codes(0).double(), codes(1).double()
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    first = -np.log(np.exp(2) / (np.exp(2) + 1 + np.exp(1)))
    assert float(contrast_loss(logits)) == pytest.approx((first + np.log(3)) / 2, abs=1e-6)
    assert float(content_loss(query, key)) == pytest.approx(float(((query - key) ** 2).sum()) / (4 * 128), abs=1e-6)
    total = 0.0
    for own, old in ((query, key), (key, codes(2).double())):
        between = torch.zeros(4, 4, dtype=torch.float64)
        for i in range(4):
            for j in range(4):
                between[i, j] = (own[i] @ own[j] - old[i] @ old[j]) / (4 * 128)
        total -= float((between**2).sum()) / 16
    assert float(style_loss([query, key], [key, codes(2).double()])) == pytest.approx(total, rel=1e-5)
    assert total < 0
    student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    p, q = np.exp([0, 2]) / np.exp([0, 2]).sum(), np.exp([1, 0]) / np.exp([1, 0]).sum()
    assert float(distillation_loss(student, teacher)) == pytest.approx(float((p * np.log(p / q)).sum()), abs=1e-6)


def test_style_pushes_away_and_reaches_the_queries_alone() -> None:
    query = codes(0).requires_grad_()
    old = codes(1)
    style_loss([query, query], [old, old]).backward()
    with torch.no_grad():
        moved = query - 1000 * query.grad
        assert style_loss([moved, moved], [old, old]) < style_loss([query, query], [old, old])


def test_an_encoder_of_v2_loads_into_a_guided_network_but_for_its_head() -> None:
    guided = networks.build("constyle-conv", dim=8)
    found = guided.encoder.load_state_dict(ConStyleV2(classes=3).state_dict(), strict=False)
    assert not found.missing_keys
    assert sorted(found.unexpected_keys) == [f"classifier.{n}.{kind}" for n in (0, 3) for kind in ("bias", "weight")]
