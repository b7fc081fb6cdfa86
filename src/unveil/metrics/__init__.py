"""How close two pictures are: PSNR and SSIM, in the convention of the PromptIR family (see each function)."""

from unveil.metrics.fidelity import psnr, ssim

__all__ = ["psnr", "ssim"]
