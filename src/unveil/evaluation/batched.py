"""The metrics of `unveil.metrics` on batches of tensors, on any device; tested equal to them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from unveil.errors import InvalidRequest
from unveil.metrics import Protocol
from unveil.metrics.fidelity import C1, C2, SIDES, gaussian
from unveil.metrics.protocols import LUMA, LUMA_BLACK


def scores(pictures: Tensor, truths: Tensor, *, by: Protocol) -> tuple[Tensor, Tensor]:
    """PSNR in dB (infinite for equal pictures) and SSIM of every picture, as a protocol has it.

    Args:
        pictures, truths: B 3 H W, floating, 0..1 (clipped to it).

    Returns:
        Two tensors (B,), float64, on the device of `pictures` (float32 where that has no float64).

    Raises:
        InvalidRequest: differing or unfit shapes.
    """
    if pictures.shape != truths.shape or pictures.ndim != 4:
        raise InvalidRequest(
            f"cannot compare shape {tuple(pictures.shape)} with {tuple(truths.shape)}; expected twice B 3 H W"
        )
    first, second = (_prepared(values, by) for values in (pictures, truths.to(pictures.device)))
    error = (first - second).square().mean((1, 2, 3))
    return -10 * error.log10(), _ssim(first, second, by)


def _prepared(values: Tensor, by: Protocol) -> Tensor:
    # Apple's devices compute in float32 at most.
    values = values.to(torch.float32 if values.device.type == "mps" else torch.float64).clamp(0, 1)
    if by.border:
        values = values[..., by.border : -by.border, by.border : -by.border]
    if by.eight_bit:
        values = (values * 255).round() / 255
    if not by.luma:
        return values
    if values.shape[1] != 3:
        raise InvalidRequest(f"luma is taken of three channels; found {values.shape[1]}")
    weights = values.new_tensor(LUMA).view(1, 3, 1, 1)
    return ((values * weights).sum(1, keepdim=True) + LUMA_BLACK) / 255


def _ssim(a: Tensor, b: Tensor, by: Protocol) -> Tensor:
    side = SIDES[by.window]
    if min(a.shape[-2:]) < side:
        raise InvalidRequest(f"shape is {tuple(a.shape)}; the window of SSIM needs sides of at least {side}")
    line = (
        torch.full((side,), 1 / side, dtype=torch.float64) if by.window == "uniform" else torch.from_numpy(gaussian())
    )
    line = line.to(a)
    channels = a.shape[1]
    down, across = (line.view(1, 1, *shape).expand(channels, 1, -1, -1) for shape in ((side, 1), (1, side)))

    def mean(values: Tensor) -> Tensor:
        return functional.conv2d(functional.conv2d(values, down, groups=channels), across, groups=channels)

    correction = side * side / (side * side - 1) if by.window == "uniform" else 1.0
    mean_a, mean_b = mean(a), mean(b)
    product, squares = mean_a * mean_b, mean_a.square() + mean_b.square()
    covariance = correction * (mean(a * b) - product)
    variances = correction * (mean(a * a + b * b) - squares)
    similarity = (2 * product + C1) * (2 * covariance + C2) / ((squares + C1) * (variances + C2))
    return similarity.mean((1, 2, 3))
