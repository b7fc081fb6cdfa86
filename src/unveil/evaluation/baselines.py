"""Classical restorers from scikit-image, as users without a network would run them, in the same tables.

Their one parameter comes from scikit-image's estimate of the noise in the picture at hand, so they are blind too; but
for Wiener, which is told the true blur. The factors are ours, chosen on photographs of no test set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version

import numpy as np

from unveil.evaluation.damage import Generated, Pixels
from unveil.evaluation.sets import EvaluationSet
from unveil.evaluation.subjects import Answer, Subject, Tick

# Times the estimated sigma: the best of those that benchmarks/classical_factors.py tries.
NLM_STRENGTH = 0.6
TV_WEIGHT = 0.8
# Pictures with less noise than this are left alone.
LEAST_NOISE = 1e-3


@dataclass(frozen=True, slots=True)
class Classical:
    """One classical restorer and the degradations it is for."""

    name: str
    checksum: str
    degradations: frozenset[str]
    function: Callable[[Pixels], Pixels]

    def applies(self, benchmark: EvaluationSet) -> bool:
        return benchmark.degradation in self.degradations

    def restore(self, degraded: Pixels, benchmark: EvaluationSet, tick: Tick) -> Answer:
        return Answer(np.clip(self.function(degraded), 0, 1))


@dataclass(frozen=True, slots=True)
class Wiener:
    """Wiener deconvolution with the true Gaussian kernel and a balance found from the data (Orieux et al. 2010)."""

    name: str = "Wiener (true kernel)"
    checksum: str = "unsupervised_wiener, true kernel, seed 0"

    def applies(self, benchmark: EvaluationSet) -> bool:
        return _sigma_of(benchmark) is not None

    def restore(self, degraded: Pixels, benchmark: EvaluationSet, tick: Tick) -> Answer:
        from skimage.restoration import unsupervised_wiener

        sigma = _sigma_of(benchmark)
        assert sigma is not None
        side = 2 * int(np.ceil(4 * sigma)) + 1
        place = np.arange(side) - side // 2
        bell = np.exp(-place * place / (2 * sigma * sigma))
        kernel = np.outer(bell, bell) / bell.sum() ** 2
        # The transform takes a picture for periodic; a reflected margin keeps the rings of its border outside.
        margin = 4 * side
        padded = np.pad(degraded, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
        channels = [np.asarray(unsupervised_wiener(padded[..., c], kernel, clip=False, rng=0)[0]) for c in range(3)]
        inside = np.stack(channels, -1)[margin:-margin, margin:-margin]
        return Answer(np.clip(inside, 0, 1).astype(np.float32))


def baselines() -> list[Subject]:
    """All classical restorers.

    Raises ModuleNotFoundError where scikit-image or PyWavelets is missing.
    """
    for package in ("skimage", "pywt"):
        import_module(package)
    versions = f"scikit-image {version('scikit-image')}, PyWavelets {version('PyWavelets')}"
    grain = frozenset({"noise", "jpeg", "bits"})
    return [
        Classical("non-local means", f"h {NLM_STRENGTH} sigma, 5 x 5, distance 6; {versions}", grain, _non_local_means),
        Classical("wavelet", f"BayesShrink, YCbCr; {versions}", grain, _wavelet),
        Classical("total variation", f"Chambolle, weight {TV_WEIGHT} sigma; {versions}", grain, _total_variation),
        Wiener(checksum=f"unsupervised, true kernel, seed 0; {versions}"),
    ]


def _noise(picture: Pixels) -> float:
    from skimage.restoration import estimate_sigma

    sigma = float(np.mean(estimate_sigma(picture, channel_axis=-1)))
    return sigma if np.isfinite(sigma) else 0.0


def _non_local_means(picture: Pixels) -> Pixels:
    from skimage.restoration import denoise_nl_means

    sigma = _noise(picture)
    if sigma < LEAST_NOISE:
        return picture
    return denoise_nl_means(
        picture,
        patch_size=5,
        patch_distance=6,
        h=NLM_STRENGTH * sigma,
        sigma=sigma,
        fast_mode=True,
        channel_axis=-1,
    )


def _wavelet(picture: Pixels) -> Pixels:
    from skimage.restoration import denoise_wavelet

    if _noise(picture) < LEAST_NOISE:
        return picture
    return denoise_wavelet(picture, convert2ycbcr=True, channel_axis=-1, method="BayesShrink", rescale_sigma=True)


def _total_variation(picture: Pixels) -> Pixels:
    from skimage.restoration import denoise_tv_chambolle

    sigma = _noise(picture)
    return picture if sigma < LEAST_NOISE else denoise_tv_chambolle(picture, weight=TV_WEIGHT * sigma, channel_axis=-1)


def _sigma_of(benchmark: EvaluationSet) -> float | None:
    """The sigma of a set's round Gaussian blur, if that is what is wrong with it."""
    damage = benchmark.damage
    if not isinstance(damage, Generated) or damage.degradation != "blur":
        return None
    from unveil.degradations.blur import LARGEST_SIGMA

    is_round = dict(damage.options) == ROUND
    return damage.severity * LARGEST_SIGMA if is_round else None


ROUND = {"motion": 0, "gaussian": 1, "disc": 0, "stretch": 1}
"""Options of the blur generator that leave nothing but round Gaussians."""
