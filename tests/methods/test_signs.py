"""Signs of damage that have formulas."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from unveil.degradations import Bits, Blur, Noise, quantise  # noqa: E402
from unveil.methods.abair import signs  # noqa: E402
from unveil.methods.abair.estimator import Estimator  # noqa: E402

FREQUENCIES = signs.SIDE**2 - 1


def texture(seed: int = 0) -> torch.Tensor:
    """Two pictures 3 x 64 x 80 of smooth patches and edges."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 3, 8, 10, generator=generator)
    return torch.nn.functional.interpolate(coarse, scale_factor=8, mode="nearest")


def energies(views: torch.Tensor) -> torch.Tensor:
    """log10 of the mean energy of each frequency but the mean: 2 x 255."""
    return (signs.measure(views)[:, FREQUENCIES : 2 * FREQUENCIES] - 1.5) * 2


def shares(views: torch.Tensor) -> torch.Tensor:
    """Shares of horizontal neighbours, by how much they differ: 2 x BINS."""
    return signs.measure(views)[:, 2 * FREQUENCIES : 2 * FREQUENCIES + signs.BINS].square()


def test_as_many_numbers_as_said_whatever_the_size() -> None:
    for size in ((16, 16), (40, 100)):
        assert signs.measure(torch.rand(3, 3, *size)).shape == (3, signs.COUNT)


def test_energies_are_those_of_the_cosine_transform() -> None:
    """White noise of deviation s in every colour has the energy s^2 / 3 in every frequency of their mean."""
    views = 0.5 + 0.1 * torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(energies(views).mean(1), torch.full((2,), 0.01 / 3).log10(), atol=0.03, rtol=0)
    wave = torch.cos((2 * torch.arange(64.0) + 1) * 5 * torch.pi / 32).expand(1, 3, 64, 64)
    strongest = energies(0.5 + 0.25 * wave)[0]
    assert strongest.argmax() == 5 - 1
    assert strongest.max() - strongest.median() > 3


def test_blur_takes_the_high_frequencies_away() -> None:
    sharp = torch.rand(2, 3, 64, 80, generator=torch.Generator().manual_seed(4))
    blurred = Blur(motion=0.0, gaussian=1.0, disc=0.0)(sharp, 0.4, torch.Generator().manual_seed(0))
    lost = (energies(sharp) - energies(blurred)).view(2, -1)
    assert lost[:, -40:].min() > 1
    assert lost[:, -40:].mean() > lost[:, :3].mean() + 1


def test_few_levels_leave_gaps_between_steps_that_noise_fills() -> None:
    ramp = torch.linspace(0, 1, 256).expand(2, 3, 64, 256)
    noisy = quantise(Noise(0.0)(ramp, Noise.severity_of(3.0), torch.Generator().manual_seed(0)))
    few = Bits(cut=0.0)(noisy, Bits.severity_of(4), torch.Generator().manual_seed(0))
    # 4 bits are steps of 17: neighbours differ by nothing or by log2(18) on the scale of 8 octaves.
    place = torch.tensor(18.0).log2() * (signs.BINS - 1) / 8
    near = [0, int(place), int(place) + 1]
    assert shares(few)[:, near].sum(1).min() > 0.99
    assert shares(noisy)[:, near].sum(1).max() < 0.5


def test_mixed_precision_does_not_round_what_is_faint() -> None:
    views = texture() * 0.02 + 0.49
    plain = signs.measure(views)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = signs.measure(views)
        assert mixed.dtype == torch.float32
    assert torch.equal(mixed, plain)


def test_an_estimator_with_signs_runs_in_onnx_as_in_pytorch() -> None:
    pytest.importorskip("onnx")
    import onnxruntime

    from unveil import graphs

    estimator = Estimator(classes=3, widths=(8, 8, 16), hidden=16, tones=4, signs=8).eval()
    graph = graphs.estimating(estimator, 48)
    options = onnxruntime.SessionOptions()
    state = estimator.state_dict()
    assert {"signs.weight", "signs.bias"} <= set(graph.weights)
    options.add_external_initializers(
        list(graph.weights),
        [onnxruntime.OrtValue.ortvalue_from_numpy(state[name].numpy()) for name in graph.weights],
    )
    session = onnxruntime.InferenceSession(graph.data, options, providers=["CPUExecutionProvider"])
    views = torch.rand(3, 3, 48, 48, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected = estimator(views)
    found = session.run(None, {"views": views.numpy()})[0]
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-4, rtol=1e-4)
