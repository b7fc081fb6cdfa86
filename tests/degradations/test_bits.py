import pytest
import torch

from unveil.degradations import Bits
from unveil.errors import InvalidRequest

RAMP = (torch.arange(256.0) / 255).view(1, 1, 1, 256)


@pytest.mark.parametrize("cut", [0.0, 1.0], ids=["rounded", "cut"])
@pytest.mark.parametrize("bits", [3, 4, 5, 6, 7])
def test_number_of_levels(bits, cut):
    coarse = Bits(cut=cut)(RAMP, Bits.severity_of(bits), torch.Generator())
    assert len(coarse.unique()) == 2**bits


def test_cutting_floors_to_the_step():
    coarse = Bits(cut=1)(RAMP, Bits.severity_of(4), torch.Generator())
    assert torch.equal((coarse * 255).round(), 16 * (torch.arange(256.0) / 16).floor().view_as(RAMP))


def test_rounding_keeps_black_and_white_and_is_nearest():
    coarse = Bits(cut=0)(RAMP, Bits.severity_of(3), torch.Generator())
    assert coarse.flatten()[0] == 0
    assert coarse.flatten()[-1] == 1
    assert (coarse - RAMP).abs().max() <= 0.5 / 7 + 1e-6


@pytest.mark.parametrize(("severity", "bits"), [(0.05, 7), (0.2, 7), (0.4, 6), (0.6, 5), (0.8, 4), (0.81, 3), (1.0, 3)])
def test_severity_says_how_many_bits(severity, bits):
    assert len(Bits(cut=1)(RAMP, severity, torch.Generator()).unique()) == 2**bits


def test_eight_bits_are_the_identity():
    assert torch.equal(Bits()(RAMP, Bits.severity_of(8), torch.Generator()), RAMP)


def test_impossible_number_of_bits_is_refused():
    with pytest.raises(InvalidRequest, match="expected 3 to 8"):
        Bits.severity_of(1)
