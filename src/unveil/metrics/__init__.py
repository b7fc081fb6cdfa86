"""How close two pictures are: PSNR and SSIM, in the field's conventions by name (see `PROTOCOLS`). NumPy only."""

from unveil.metrics.fidelity import psnr, ssim
from unveil.metrics.protocols import PROTOCOLS, Protocol, Score, protocol

__all__ = ["PROTOCOLS", "Protocol", "Score", "protocol", "psnr", "ssim"]
