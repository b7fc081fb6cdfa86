"""Attention inside shifted windows, against its definition written out pixel by pixel."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from unveil.networks.windows import (  # noqa: E402
    DropPath,
    WindowAttention,
    WindowBlock,
    drop_rates,
    merge,
    partition,
    shift_mask,
    window_side,
)

WINDOW, HEADS, CHANNELS = 4, 2, 6


def attention(*, shifted: bool, separate: bool = False) -> WindowAttention:
    torch.manual_seed(0)
    layer = WindowAttention(CHANNELS, HEADS, window=WINDOW, shifted=shifted, separate=separate)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return layer


def projected(layer: WindowAttention, x: Tensor) -> Tensor:
    """Queries, keys and values of every pixel: `H W C` -> `3 H W C`."""
    if layer.separate:
        q, kv = layer.qkv.to_q(x), layer.qkv.to_kv(x)
        return torch.stack((q, *kv.chunk(2, -1)))
    return torch.stack(layer.qkv(x).chunk(3, -1))


def region(place: int, shift: int) -> int:
    """The window that a row or column belongs to; windows lie `shift` further on and are cut off at both ends."""
    return (place - shift) // WINDOW


def written_out(layer: WindowAttention, x: Tensor, modulator: Tensor | None = None) -> Tensor:
    """Every pixel attends to the pixels of its own region: a window, or what the picture's edge has left of it."""
    height, width, channels = x.shape
    places = [(row, column) for row in range(height) for column in range(width)]
    if modulator is not None:
        x = x + torch.stack(
            [modulator[(r - layer.shift) % WINDOW * WINDOW + (c - layer.shift) % WINDOW] for r, c in places]
        ).reshape(x.shape)
    q, k, v = projected(layer, x)
    each = channels // HEADS
    seen = torch.zeros_like(x)
    for row, column in places:
        mine = region(row, layer.shift), region(column, layer.shift)
        near = [(r, c) for r, c in places if (region(r, layer.shift), region(c, layer.shift)) == mine]
        for head in range(HEADS):
            part = slice(head * each, (head + 1) * each)
            scores = torch.stack(
                [
                    q[row, column, part] @ k[r, c, part] * each**-0.5
                    + layer.relative_position_bias_table[
                        (row - r + WINDOW - 1) * (2 * WINDOW - 1) + column - c + WINDOW - 1, head
                    ]
                    for r, c in near
                ]
            )
            values = torch.stack([v[r, c, part] for r, c in near])
            seen[row, column, part] = scores.softmax(0) @ values
    return layer.proj(seen)


@pytest.mark.parametrize("in_training", [False, True])
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("size", [(8, 12), (4, 8), (4, 4)])
def test_attention_stays_in_its_window_and_region(
    size: tuple[int, int], shifted: bool, separate: bool, in_training: bool
) -> None:
    layer = attention(shifted=shifted, separate=separate)
    x = torch.randn(2, *size, CHANNELS)
    with torch.set_grad_enabled(in_training):
        found = layer(x, shift_mask(x, WINDOW))
    with torch.no_grad():
        wanted = torch.stack([written_out(layer, picture) for picture in x])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shifted", [False, True])
def test_a_modulator_is_added_by_the_place_in_the_window(shifted: bool) -> None:
    layer = attention(shifted=shifted)
    x, modulator = torch.randn(1, 8, 8, CHANNELS), torch.randn(WINDOW**2, CHANNELS)
    with torch.no_grad():
        found = layer(x, shift_mask(x, WINDOW), modulator)
        torch.testing.assert_close(found[0], written_out(layer, x[0], modulator), rtol=1e-4, atol=1e-5)


def test_a_shifted_layer_lets_windows_see_each_other() -> None:
    plain, shifted = attention(shifted=False), attention(shifted=True)
    x = torch.randn(1, 8, 8, CHANNELS)
    mask = shift_mask(x, WINDOW)
    changed = x.clone()
    changed[0, 3, 3] += 1
    with torch.no_grad():
        moved = {
            layer.shift: torch.nonzero((layer(changed, mask) - layer(x, mask)).abs().amax(-1)[0] > 1e-6).tolist()
            for layer in (plain, shifted)
        }
    assert moved[0] == [[row, column] for row in range(4) for column in range(4)]
    assert moved[2] == [[row, column] for row in range(2, 6) for column in range(2, 6)]


def test_windows_put_together_are_the_map() -> None:
    x = torch.randn(2, 8, 12, 3)
    windows = partition(x, WINDOW)
    assert windows.shape == (2, 6, 16, 3)
    assert torch.equal(windows[1, 4], x[1, 4:8, 4:8].reshape(16, 3))
    assert torch.equal(merge(windows, WINDOW, 8, 12), x)


def test_the_side_of_windows_is_read_from_the_table() -> None:
    assert [window_side(((2 * side - 1) ** 2, 6)) for side in (4, 7, 8, 16)] == [4, 7, 8, 16]


def test_branches_are_left_out_in_training_alone_and_the_mean_is_kept() -> None:
    torch.manual_seed(0)
    layer = DropPath(0.25)
    x = torch.ones(4000, 2, 2, 1)
    dropped = layer(x)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(dropped.amin((1, 2, 3)), dropped.amax((1, 2, 3)))
    assert dropped.mean().item() == pytest.approx(1, abs=0.03)
    assert layer.eval()(x) is x


def test_a_block_whose_branches_are_left_out_changes_nothing() -> None:
    torch.manual_seed(0)
    block = WindowBlock(CHANNELS, attention(shifted=False), torch.nn.Linear(CHANNELS, CHANNELS), drop=0.999999)
    x = torch.randn(1, 4, 4, CHANNELS)
    assert torch.equal(block(x), x)
    assert not torch.equal(block.eval()(x), x)


def test_drop_rates_grow_evenly() -> None:
    assert drop_rates(5, 0.1) == pytest.approx([0, 0.025, 0.05, 0.075, 0.1])
    assert drop_rates(1, 0.1) == [0]
    assert drop_rates(0, 0.1) == []
