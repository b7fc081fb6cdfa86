"""Makes the pictures of this folder from photographs that come with scikit-image.

    python examples/make.py degrade     the degraded examples, always the same (needs the extras 'dev' and 'train')
    python examples/make.py compare     before-after.jpg: each example, left as it is and right restored

The photographs, their makers and their licences are listed in ATTRIBUTION.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy
from PIL import Image

HERE = Path(__file__).parent

# File to write, function of skimage.data, degradations with their severities, seed.
EXAMPLES = (
    ("noisy-cat.jpg", "chelsea", {"noise": 0.42}, 1),
    ("rainy-rocket.jpg", "rocket", {"rain": 0.45}, 7),
    ("dark-coffee.jpg", "coffee", {"dark": 0.62}, 3),
    ("noisy-jpeg-astronaut.jpg", "astronaut", {"noise": 0.2, "jpeg": 0.65}, 5),
)
QUALITY = 87
LINE = 3


def degrade() -> None:
    """Write every example: a photograph, our own generators, a fixed seed."""
    import torch
    from skimage import data

    from unveil.degradations.mixtures import compose

    for name, source, severities, seed in EXAMPLES:
        clean = getattr(data, source)()[..., :3].astype("float32") / 255
        image = torch.from_numpy(clean).permute(2, 0, 1).unsqueeze(0)
        generator = torch.Generator().manual_seed(seed)
        degraded = compose(image, list(severities), list(severities.values()), generator)
        pixels = (degraded[0].permute(1, 2, 0).numpy() * 255).round().astype("uint8")
        Image.fromarray(pixels).save(HERE / name, quality=QUALITY, subsampling=0)


def compare(height: int = 360) -> None:
    """Write before-after.jpg: the examples in rows of two, each with a white line between before and after."""
    import unveil

    restorer = unveil.load()
    halves: list[Image.Image] = []
    for name, *_ in EXAMPLES:
        before = numpy.asarray(Image.open(HERE / name).convert("RGB"))
        after = restorer.restore(before)
        middle = before.shape[1] // 2
        both = numpy.concatenate([before[:, :middle], after[:, middle:]], axis=1)
        both[:, middle - LINE // 2 : middle + LINE // 2 + 1] = 255
        picture = Image.fromarray(both)
        halves.append(
            picture.resize((round(picture.width * height / picture.height), height), Image.Resampling.LANCZOS)
        )
    rows = [halves[:2], halves[2:]]
    width = min(sum(picture.width for picture in row) for row in rows)
    sheet: list[Image.Image] = []
    for row in rows:
        joined = Image.new("RGB", (sum(picture.width for picture in row), height))
        left = 0
        for picture in row:
            joined.paste(picture, (left, 0))
            left += picture.width
        sheet.append(joined.resize((width, round(height * width / joined.width)), Image.Resampling.LANCZOS))
    result = Image.new("RGB", (width, sum(row.height for row in sheet)))
    top = 0
    for row in sheet:
        result.paste(row, (0, top))
        top += row.height
    result.save(HERE / "before-after.jpg", quality=QUALITY)


if __name__ == "__main__":
    actions = {"degrade": degrade, "compare": compare}
    if len(sys.argv) != 2 or sys.argv[1] not in actions:
        sys.exit(f"say what to make: {' or '.join(actions)}")
    actions[sys.argv[1]]()
