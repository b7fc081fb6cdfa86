"""What every line of the table of degradations must do."""

import pytest
import torch

from unveil.degradations import DEGRADATIONS, Degradation, base
from unveil.errors import InvalidRequest

TABLE = pytest.mark.parametrize("degradation", DEGRADATIONS.values(), ids=DEGRADATIONS.keys())


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def test_table_is_in_the_agreed_order():
    assert list(DEGRADATIONS) == ["noise", "blur", "rain", "haze", "dark", "jpeg", "bits", "snow", "lowres"]


@TABLE
def test_describes_itself(degradation):
    assert isinstance(degradation, Degradation)
    assert degradation.printed
    assert degradation.severity_note
    low, high = degradation.typical
    assert 0 < low < high <= 1


@TABLE
@pytest.mark.parametrize("severity", [0.01, 0.5, 1.0])
def test_stays_in_range(degradation, scene, severity):
    degraded = degradation(scene(), severity, seeded())
    assert degraded.dtype == torch.float32
    assert degraded.isfinite().all()
    assert degraded.min() >= 0
    assert degraded.max() <= 1


@TABLE
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_flat_black_and_white_stay_in_range(degradation, level):
    degraded = degradation(torch.full((2, 3, 24, 24), level), 0.7, seeded())
    assert degraded.isfinite().all()
    assert degraded.min() >= 0
    assert degraded.max() <= 1


@TABLE
def test_severity_zero_is_the_exact_identity(degradation, scene):
    images = scene() * 0.999
    assert torch.equal(degradation(images, 0.0, seeded()), images)


@TABLE
def test_severity_zero_spares_its_sample_only(degradation, scene):
    images = scene()
    degraded = degradation(images, torch.tensor([0.0, 0.9, 0.0, 0.9]), seeded())
    assert torch.equal(degraded[::2], images[::2])
    assert all(not torch.equal(after, before) for after, before in zip(degraded[1::2], images[1::2], strict=True))


@TABLE
def test_same_seed_same_result(degradation, scene):
    images, severity = scene(), torch.tensor([0.2, 0.5, 0.8, 1.0])
    assert torch.equal(degradation(images, severity, seeded(5)), degradation(images, severity, seeded(5)))


@pytest.mark.parametrize("name", [name for name in DEGRADATIONS if name not in ("bits",)])
def test_another_seed_another_result(name, scene):
    images = scene()
    assert not torch.equal(DEGRADATIONS[name](images, 0.8, seeded(5)), DEGRADATIONS[name](images, 0.8, seeded(6)))


@pytest.mark.parametrize("name", [name for name in DEGRADATIONS if name not in ("bits", "jpeg")])
def test_samples_of_a_batch_differ(name, scene):
    images = scene(1).expand(4, -1, -1, -1)
    degraded = DEGRADATIONS[name](images, 0.8, seeded())
    assert all(not torch.equal(degraded[0], other) for other in degraded[1:])


@TABLE
def test_damage_grows_with_severity(degradation, scene):
    images = scene(12, 72, 72)
    drawn = degradation.draw(tuple(images.shape), torch.ones(12), seeded())
    damage = torch.stack(
        [
            (degradation.apply(images, torch.full((12,), level), drawn) - images).abs().mean((1, 2, 3))
            for level in torch.linspace(0, 1, 9).tolist()
        ]
    )
    # A hundredth of a grey level is allowed for rounding to quality numbers and whole levels.
    # Fewer pixels by an even factor may lie better than by a slightly smaller odd one.
    dip = 0.05 * damage[-1] if degradation.name == "lowres" else 0.01 / 255
    assert (damage.diff(dim=0) >= -dip).all()
    assert (damage[-1] > 1.5 * damage[2]).all()


@TABLE
@pytest.mark.parametrize("shape", [(1, 3, 37, 53), (1, 3, 1, 1), (2, 3, 1, 9), (2, 3, 5, 2), (1, 3, 100, 17)])
def test_any_size(degradation, shape):
    images = torch.rand(shape, generator=seeded())
    degraded = degradation(images, 0.8, seeded())
    assert degraded.shape == shape
    assert degraded.isfinite().all()


@TABLE
def test_grey_pictures(degradation, scene):
    images = scene()[:, :1]
    degraded = degradation(images, 0.8, seeded())
    assert degraded.shape == images.shape
    assert not torch.equal(degraded, images)


@TABLE
def test_input_is_not_changed(degradation, scene):
    images = scene()
    kept = images.clone()
    degradation(images, 0.8, seeded())
    assert torch.equal(images, kept)


@TABLE
def test_memory_layout_does_not_matter(degradation, scene):
    images = scene()
    strided = images.to(memory_format=torch.channels_last)
    assert torch.allclose(degradation(strided, 0.8, seeded()), degradation(images, 0.8, seeded()), atol=1e-5)


@TABLE
def test_drawn_tensors_have_one_entry_a_sample(degradation):
    drawn = degradation.draw((5, 3, 20, 30), torch.ones(5), seeded())
    assert all(value.shape[0] == 5 for value in drawn.values())


@TABLE
def test_a_sample_can_be_taken_out_of_its_batch(degradation, scene):
    images, severity = scene(), torch.tensor([0.3, 0.5, 0.8, 1.0])
    drawn = degradation.draw(tuple(images.shape), severity, seeded())
    alone = degradation.apply(images[2:3], severity[2:3], {key: value[2:3] for key, value in drawn.items()})
    together = degradation.apply(images, severity, drawn)[2:3]
    assert (alone - together).abs().mean() < 1e-4


@TABLE
def test_pieces_of_a_batch_are_of_no_account(degradation, scene, monkeypatch):
    images, severity = scene(), torch.tensor([0.3, 0.0, 0.8, 1.0])
    drawn = degradation.draw(tuple(images.shape), severity, seeded())
    whole = degradation.apply(images, severity, drawn)
    monkeypatch.setattr(base, "PIECE", 2 * images[0].numel())
    assert torch.allclose(degradation.apply(images, severity, drawn), whole, atol=1e-5)


@TABLE
def test_autocast_does_not_coarsen(degradation, scene):
    images = scene()
    with torch.autocast("cpu", torch.bfloat16):
        inside = degradation(images, 0.8, seeded())
    assert torch.equal(inside, degradation(images, 0.8, seeded()))


@TABLE
def test_nothing_is_left_on_another_device(degradation):
    drawn = degradation.draw((2, 3, 20, 30), torch.ones(2), seeded())
    images, severity = torch.empty(2, 3, 20, 30, device="meta"), torch.empty(2, device="meta")
    # A formula that makes a tensor on the CPU by itself cannot combine it with these.
    there = {key: value.to("meta") for key, value in drawn.items()}
    assert degradation.degrade(images, severity, there).device.type == "meta"


@TABLE
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device to compare with the CPU")
def test_cuda_agrees_with_the_cpu(degradation, scene, monkeypatch):
    # JPEG makes files on the CPU alone; compared is what both can do (test_jpeg.py compares that with files).
    monkeypatch.setattr("unveil.degradations.jpeg.LARGEST_SIDE", 0)
    images, severity = scene(), torch.tensor([0.3, 0.5, 0.8, 1.0])
    drawn = degradation.draw(tuple(images.shape), severity, seeded())
    here = degradation.apply(images, severity, drawn)
    there = degradation.apply(images.cuda(), severity, drawn)
    assert there.is_cuda
    # Where a result is rounded, single values may fall on the other side.
    assert (there.cpu() - here).abs().mean() < (1e-3 if degradation.name == "jpeg" else 1e-5)


@TABLE
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device to draw on")
def test_draws_on_cuda(degradation, scene):
    images = scene().cuda()
    generators = [torch.Generator("cuda").manual_seed(3) for _ in range(2)]
    first, second = (degradation(images, 0.8, generator) for generator in generators)
    assert first.is_cuda
    assert (first - second).abs().mean() < 1e-5


@TABLE
def test_wrong_shapes_are_refused(degradation, scene):
    with pytest.raises(InvalidRequest, match="one severity an image"):
        degradation(scene(), torch.ones(3), seeded())
    with pytest.raises(InvalidRequest, match="B C H W"):
        degradation.apply(scene()[0], torch.ones(3), {})
    with pytest.raises(InvalidRequest, match="0 to 1"):
        degradation(scene(), 1.5, seeded())
