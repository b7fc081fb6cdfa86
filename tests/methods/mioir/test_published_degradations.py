"""The seven degradations against the facts of the authors' scripts."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from unveil.degradations.jpeg import CHROMA, LUMA  # noqa: E402
from unveil.methods.mioir.degradations import TESTS, TRAINING, Span, degrade  # noqa: E402
from unveil.methods.mioir.degradations.blur import WINDOWS, Blur  # noqa: E402
from unveil.methods.mioir.degradations.dark import Dark  # noqa: E402
from unveil.methods.mioir.degradations.haze import Haze  # noqa: E402
from unveil.methods.mioir.degradations.jpeg import Jpeg  # noqa: E402
from unveil.methods.mioir.degradations.lowres import LowResolution, reduced  # noqa: E402
from unveil.methods.mioir.degradations.noise import Noise  # noqa: E402
from unveil.methods.mioir.degradations.rain import Rain, points, streak  # noqa: E402
from unveil.methods.mioir.tasks import TASKS  # noqa: E402

SPANS: tuple[Span, ...] = ("in", "out")


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photograph(batch: int = 2, height: int = 48, width: int = 64) -> torch.Tensor:
    """Smooth and on the grid of 8 bits, as photographs are."""
    coarse = torch.rand(batch, 3, 6, 8, generator=seeded(7))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (smooth * 255).round() / 255


@pytest.mark.parametrize(
    ("name", "key", "decimals", "ranges"),
    [
        ("blur", "sigma", 2, ((1, 3), (3, 5))),
        ("noise", "sigma", 0, ((15, 50), (50, 70))),
        ("jpeg", "quality", 0, ((30, 70), (10, 30))),
        ("rain", "value", 0, ((50, 99), (100, 149))),
        ("haze", "beta", 2, ((0.5, 2.5), (2.5, 3.0))),
        ("haze", "airlight", 2, ((0.8, 1.0), (0.8, 1.0))),
        ("dark", "gamma", 2, ((1, 3), (3, 4))),
    ],
)
def test_strengths_fill_their_published_range(
    name: str, key: str, decimals: int, ranges: tuple[tuple[float, float], ...]
) -> None:
    for span, (low, high) in zip(SPANS, ranges, strict=True):
        degradation = Rain() if name == "rain" else TRAINING[name]
        drawn = degradation.draw((500, 3, 4, 4), seeded(), span)[key].double()
        assert (drawn.min(), drawn.max()) == pytest.approx((low, high), abs=0.03 * (high - low))
        assert low - 1e-6 <= drawn.min()
        assert drawn.max() <= high + 1e-6
        assert drawn.mean().item() == pytest.approx((low + high) / 2, abs=0.06 * (high - low))
        scaled = drawn * 10**decimals
        torch.testing.assert_close(scaled, scaled.round(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("span", SPANS)
def test_rain_keeps_the_published_share_of_points(span: Span) -> None:
    drawn = Rain().draw((40, 3, 128, 128), seeded(), span)
    kept = (points(drawn) > 0).double().mean((1, 2, 3))
    expected = drawn["value"] / 25600
    deviation = (expected * (1 - expected) / 128**2).sqrt()
    assert ((kept - expected).abs() < 5 * deviation).all()
    assert kept.mean().item() == pytest.approx(expected.mean().item(), rel=0.05)


def test_streaks_are_what_opencv_draws() -> None:
    # Sums of cv2.GaussianBlur(cv2.warpAffine(...)) of OpenCV 4.8 and 5.0 for (width, length, angle).
    facts = {
        (3, 20, -45): 13.25,
        (5, 31, 10): 14.3182373046875,
        (9, 40, 44): 14.6904296875,
        (11, 33, 0): 8.19972151227023,
        (7, 25, -17): 16.5872802734375,
    }
    for drawn, total in facts.items():
        # Widened points weigh 8.4 times as much.
        assert streak(*drawn).sum().item() == pytest.approx(8.4 * total, rel=1e-12)


def test_streaks_fall_as_their_angle_says() -> None:
    place = torch.arange(43.0) - 21
    for angle in (-40, -20, 0, 20, 40):
        kernel = streak(5, 30, angle)
        rows, columns = kernel.sum(1), kernel.sum(0)
        centre_down, centre_right = (rows @ place.double()) / rows.sum(), (columns @ place.double()) / columns.sum()
        down, right = place.double() - centre_down, place.double() - centre_right
        spread = torch.stack((rows @ down**2, columns @ right**2)) / rows.sum()
        mixed = (kernel * down[:, None] * right).sum() / rows.sum()
        found = 0.5 * math.degrees(math.atan2(2 * mixed, spread[1] - spread[0]))
        # The diagonal lies at 45 degrees downwards; OpenCV turns it back by angle - 45.
        assert (found - (90 - angle) + 90) % 180 - 90 == pytest.approx(0, abs=2)


def test_rain_adds_one_layer_that_spans_all_levels() -> None:
    clean, rain = photograph() * 0.5, Rain()
    drawn = rain.draw((2, 3, 48, 64), seeded())
    layer = rain.layer(drawn)
    assert layer.shape == (2, 1, 48, 64)
    assert torch.equal(layer, layer.round())
    assert layer.amin() == 0
    assert torch.equal(layer.amax((1, 2, 3)), torch.full((2,), 255.0))
    clean = (clean * 255).round() / 255
    expected = ((clean * 255).round() + layer).clamp(0, 255) / 255
    torch.testing.assert_close(rain.apply(clean, drawn), expected, atol=1e-6, rtol=0)


def test_crops_get_the_rain_of_whole_pictures() -> None:
    rain = Rain(frame=96)
    drawn = rain.draw((1, 3, 32, 40), seeded())
    whole = rain.apply(torch.zeros(1, 3, 96, 96), drawn)
    assert torch.equal(rain.apply(torch.zeros(1, 3, 32, 40), drawn), whole[..., :32, :40])


def _independent_jpeg(picture: np.ndarray, quality: int, luma: np.ndarray) -> np.ndarray:
    """The published round trip in float64, block by block; `picture` is H W 3, 0..255, sides multiples of 16."""
    factor = (5000 / quality if quality < 50 else 200 - 2 * quality) / 100
    red, green, blue = picture.transpose(2, 0, 1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    cb = -0.168736 * red - 0.331264 * green + 0.5 * blue + 128
    cr = 0.5 * red - 0.418688 * green - 0.081312 * blue + 128
    cosine = np.array(
        [
            [math.cos((2 * x + 1) * u * math.pi / 16) * (math.sqrt(1 / 8) if u == 0 else 0.5) for x in range(8)]
            for u in range(8)
        ]
    )

    def coded(plane: np.ndarray, table: np.ndarray) -> np.ndarray:
        result = np.empty_like(plane)
        for top in range(0, plane.shape[0], 8):
            for left in range(0, plane.shape[1], 8):
                block = cosine @ (plane[top : top + 8, left : left + 8] - 128) @ cosine.T
                block = np.round(block / (table * factor)) * (table * factor)
                result[top : top + 8, left : left + 8] = cosine.T @ block @ cosine + 128
        return result

    halved = [plane.reshape(plane.shape[0] // 2, 2, -1, 2).mean((1, 3)) for plane in (cb, cr)]
    y = coded(y, luma)
    cb, cr = (coded(plane, np.array(CHROMA)).repeat(2, 0).repeat(2, 1) - 128 for plane in halved)
    rgb = np.stack((y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb), -1)
    return rgb.clip(0, 255)


@pytest.mark.parametrize("quality", [10, 30, 49, 50, 63, 70])
def test_jpeg_agrees_with_an_independent_computation(quality: int) -> None:
    clean = photograph(1)
    pixels = clean[0].permute(1, 2, 0).double().numpy() * 255
    made = Jpeg().degrade(clean, {"quality": torch.tensor([float(quality)])})[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(made - _independent_jpeg(pixels, quality, np.array(LUMA).T)).max() < 0.01
    assert np.abs(made - _independent_jpeg(pixels, quality, np.array(LUMA))).max() > 1


def test_jpeg_fills_up_with_black_and_cuts_off() -> None:
    clean = photograph(1)
    drawn = {"quality": torch.tensor([20.0])}
    cut = Jpeg().degrade(clean[..., :37, :50], drawn)
    padded = torch.zeros_like(clean)
    padded[..., :37, :50] = clean[..., :37, :50]
    torch.testing.assert_close(cut, Jpeg().degrade(padded, drawn)[..., :37, :50], atol=1e-5, rtol=0)


def test_haze_ends_in_its_light_and_begins_with_the_picture() -> None:
    clean, haze = photograph(), Haze()
    drawn = haze.draw((2, 3, 48, 64), seeded()) | {"depth": torch.rand(2, 1, 48, 64) * 7}
    assert torch.equal(haze.apply(clean, drawn | {"beta": torch.zeros(2)}), clean)
    # Depth is divided by its largest value, so that there the haze is as dense as beta says.
    thin = haze.degrade(clean, drawn | {"beta": torch.ones(2)})
    for index in range(2):
        far = int(drawn["depth"][index].argmax())
        there, before = (values[index].flatten(1)[:, far] for values in (thin, clean))
        airlight = drawn["airlight"][index]
        torch.testing.assert_close(there, before * math.exp(-1) + airlight * (1 - math.exp(-1)))
    dense = haze.apply(clean, drawn | {"beta": torch.full((2,), 500.0), "depth": torch.ones(2, 1, 48, 64)})
    expected = ((drawn["airlight"] * 255).round() / 255)[:, None, None, None].expand_as(dense)
    torch.testing.assert_close(dense, expected)


def test_made_up_depth_of_whole_pictures_is_farthest_somewhere() -> None:
    haze = Haze(whole=True)
    drawn = haze.draw((3, 3, 40, 60), seeded())
    light = haze.degrade(torch.zeros(3, 3, 40, 60), drawn)
    expected = drawn["airlight"] * (1 - torch.exp(-drawn["beta"]))
    torch.testing.assert_close(light.amax((1, 2, 3)), expected)


def test_darkness_is_a_power() -> None:
    clean = photograph()
    assert torch.equal(Dark().apply(clean, {"gamma": torch.ones(2)}), clean)
    darker = Dark().apply(clean, {"gamma": torch.tensor([2.0, 3.0])})
    torch.testing.assert_close(darker[1], (clean[1] ** 3 * 255).round() / 255)


def test_blur_has_the_published_kernel() -> None:
    impulse = torch.zeros(1, 3, 41, 41)
    impulse[..., 20, 20] = 1
    for sigma, window in ((1.0, 21), (3.0, 7), (2.37, 15)):
        found = Blur().degrade(impulse, {"sigma": torch.tensor([sigma]), "window": torch.tensor([window])})[0, 0]
        place = np.arange(window) - window // 2
        kernel = np.exp(-(place[:, None] ** 2 + place**2) / (2 * sigma**2))
        margin = 20 - window // 2
        inner = found[margin : margin + window, margin : margin + window].numpy()
        np.testing.assert_allclose(inner, kernel / kernel.sum(), atol=1e-6)
        assert found.sum().item() == pytest.approx(1, abs=1e-5)
        assert found.count_nonzero() <= window * window
    drawn = Blur().draw((400, 3, 1, 1), seeded())["window"]
    assert set(drawn.tolist()) == set(WINDOWS) == set(range(7, 22, 2))


def test_noise_is_white_and_of_its_sigma() -> None:
    clean = torch.full((1, 3, 128, 128), 0.5)
    drawn = Noise().draw((1, 3, 128, 128), seeded())
    error = (Noise().degrade(clean, drawn) - clean) * 255
    assert error.std().item() == pytest.approx(drawn["sigma"].item(), rel=0.02)
    together = torch.corrcoef(error[0].flatten(1))
    assert (together - torch.eye(3)).abs().max() < 0.03


def test_low_resolution_keeps_size_and_loses_detail() -> None:
    clean = photograph(1, 50, 66)
    degraded = LowResolution().apply(clean, {"factor": torch.tensor([4.0])})
    assert degraded.shape == clean.shape
    flat = torch.full((1, 3, 20, 20), 100 / 255)
    for filtered in (False, True):
        assert torch.allclose(LowResolution(filtered=filtered)(flat, seeded()), flat)
    # Without a filter before it, the finest stripes are sampled, not averaged.
    stripes = (torch.arange(64) % 2).float().expand(1, 3, 64, 64)
    plain, filtered = (LowResolution(filtered=each)(stripes, seeded()) for each in (False, True))
    assert (filtered - 0.5).abs().mean() < 0.02
    assert plain.std() < 0.01


def test_the_filtered_reduction_is_the_common_one() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (64, 80, 3), np.uint8)
    small = reduced(torch.from_numpy(pixels).permute(2, 0, 1)[None].float(), 4)[0].permute(1, 2, 0)
    theirs = np.asarray(Image.fromarray(pixels).resize((20, 16), Image.Resampling.BICUBIC), np.float32)
    # At the border Pillow cuts its filter off, where this one reflects the picture.
    assert np.abs(small.numpy().clip(0, 255) - theirs)[2:-2, 2:-2].max() <= 1.01


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("table", [TRAINING, TESTS], ids=["training", "tests"])
def test_a_seed_gives_the_same_and_results_have_8_bits(task: str, table: dict) -> None:
    clean = photograph()
    first, again, other = (table[task](clean, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert task == "lowres" or not torch.equal(first, other)
    torch.testing.assert_close(first * 255, (first * 255).round(), atol=1e-4, rtol=0)
    assert first.amin() >= 0
    assert first.amax() <= 1
    assert not torch.equal(first, clean)


def test_every_picture_of_a_batch_gets_what_its_label_says() -> None:
    clean = photograph(14)
    labels = torch.arange(14) % 7
    degraded = degrade(clean, labels, seeded())
    generator = seeded()
    for index, task in enumerate(TASKS):
        mine = labels == index
        assert torch.equal(degraded[mine], TRAINING[task](clean[mine], generator))
    assert tuple(TRAINING) == tuple(TESTS) == TASKS


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("task", TASKS)
def test_a_gpu_gives_the_same_distribution(task: str) -> None:
    clean = photograph(16, 96, 96)
    here = TRAINING[task](clean, seeded())
    there = cast("torch.Tensor", TRAINING[task](clean.cuda(), seeded())).cpu()
    # Draws are the same; a level apart where rounding falls the other way.
    assert ((here - there).abs() > 1.5 / 255).float().mean() < 1e-3
    assert abs(here.mean() - there.mean()) < 1e-4
