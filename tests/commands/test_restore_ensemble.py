"""`unveil restore --ensemble`."""

from __future__ import annotations

import numpy as np
from PIL import Image

from toy import toy_model
from unveil.restoration import Restorer

PIXELS = np.random.default_rng(6).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def test_views_are_averaged(place, unveil) -> None:
    Image.fromarray(PIXELS).save("in.png")
    assert unveil("restore", "in.png", "-o", "out.png", "--ensemble", "8").code == 0
    expected = Restorer(toy_model(), threads=1).restore(PIXELS, ensemble=8)
    np.testing.assert_array_equal(np.asarray(Image.open("out.png")), expected)


def test_another_number_is_refused_before_anything_is_done(place, unveil) -> None:
    refused = unveil("restore", "missing.png", "--ensemble", "3")
    assert refused.code == 2
    assert "ensemble is 3, expected one of 1, 2, 4, 8" in refused.err
