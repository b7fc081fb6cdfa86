"""What the training pictures of an adapter look like."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from unveil.methods.abair.adaptation import COMPANIONS, Adaptation  # noqa: E402
from unveil.methods.abair.adapters import AdapterFactors  # noqa: E402
from unveil.networks.fastnaf import FastNAF  # noqa: E402

CLEAN = torch.full((60, 3, 48, 48), 0.5)


def degraded(degradation: str, **options: Any) -> torch.Tensor:
    network = FastNAF(width=8, encoder=(1,), middle=1, decoder=(1,))
    phase = Adaptation(
        network, degradation, AdapterFactors(network), iterations=1, learning_rate=1e-3, clean_share=0.0, **options
    )
    phase.draw = lambda: torch.Generator().manual_seed(1)  # type: ignore[method-assign]
    return phase._degraded(CLEAN)


def roughness(pictures: torch.Tensor) -> torch.Tensor:
    """Mean difference of neighbouring pixels, a sample."""
    return pictures.diff(dim=-1).abs().mean((1, 2, 3))


def test_company_brings_noise_or_blocks_to_its_share_of_samples() -> None:
    """A blurred or darkened flat picture stays flat; whatever is rough came along."""
    alone, third, all_of_them = (roughness(degraded("blur", company=share)) for share in (0.0, 1 / 3, 1.0))
    assert alone.max() < 1e-6
    # JPEG leaves a flat picture flat, so about half of the company shows.
    assert 0.3 < (all_of_them > 0.005).float().mean() < 0.7
    assert 0.05 < (third > 0.005).float().mean() < 0.3


def test_an_adapter_is_no_company_to_itself() -> None:
    """The noise adapter's company is JPEG alone, which on coarse noise takes away more than it adds."""
    assert set(COMPANIONS) == {"noise", "jpeg"}
    narrow = {"severities": (0.5, 0.5)}
    alone, company = (degraded("noise", company=share, **narrow) for share in (0.0, 1.0))
    assert (alone - 0.5).std() == pytest.approx(30 / 255, rel=0.25)
    assert (company - 0.5).std() < (alone - 0.5).std()


def test_varieties_reach_an_adapter() -> None:
    plain, various = (degraded("snow", various=various) for various in (False, True))
    # Soft flakes have gentler edges.
    assert roughness(various).mean() < 0.97 * roughness(plain).mean()


def test_dark_samples_are_exposed_before_the_network_sees_them() -> None:
    seen = []

    class Watched(FastNAF):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen.append(image)
            return super().forward(image)

    network = Watched(width=8, encoder=(1,), middle=1, decoder=(1,))
    phase = Adaptation(
        network, "dark", AdapterFactors(network), iterations=1, learning_rate=1e-3, exposing=True, clean_share=0.0
    )
    phase.draw = lambda: torch.Generator().manual_seed(1)  # type: ignore[method-assign]
    phase.log = lambda *_, **__: None  # type: ignore[method-assign]
    phase.training_step(torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8), 0)
    (images,) = seen
    assert images.amax(1).flatten(1).quantile(0.99, dim=1).min() > 0.7


@pytest.mark.parametrize(("taught", "expected"), [(1.0, 0.3), (0.25, 0.75 * 0.1 + 0.25 * 0.3)])
def test_a_teacher_pulls_for_its_share_of_the_loss(taught: float, expected: float) -> None:
    """What is restored is 0.1 from the clean pictures and 0.3 from the teacher's."""
    network = FastNAF(width=8, encoder=(1,), middle=1, decoder=(1,))
    asked = []

    def teacher(degradation: str, pictures: torch.Tensor) -> torch.Tensor:
        asked.append((degradation, pictures.amax()))
        return torch.full_like(pictures, 0.8)

    phase = Adaptation(
        network, "dark", AdapterFactors(network), teacher=teacher, taught=taught, exposing=True, clean_share=0.0,
        iterations=1, learning_rate=1e-3,
    )  # fmt: skip
    phase.draw = lambda: torch.Generator().manual_seed(1)  # type: ignore[method-assign]
    phase.log = lambda *_, **__: None  # type: ignore[method-assign]
    phase.restore = lambda image: torch.full_like(image, 0.5)  # type: ignore[method-assign]
    loss = phase.training_step(torch.full((2, 3, 32, 32), 102, dtype=torch.uint8), 0)
    assert float(loss) == pytest.approx(expected, abs=1e-5)
    # The teacher exposes by itself.
    ((degradation, brightest),) = asked
    assert degradation == "dark"
    assert brightest < 0.5
