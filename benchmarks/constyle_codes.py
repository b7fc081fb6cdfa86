"""What the codes of ConStyle's encoders say of damage: a linear probe, and a picture of the codes on a plane.

    python benchmarks/constyle_codes.py RUN... --pictures data/kodak24 [--count 24] [-o codes.png]

RUN is a run of the method constyle, one of its checkpoints, an encoder file or official weights; a study's folder may
be given as runs/studies/constyle/*/seed-*. Every clean picture is degraded once by each of the eight kinds of the small
analogue of Mix Degradations. The probe tells the kind from the 256 numbers of the mean (`pooled`) or from the 128 that
gate the bottleneck (`query`), never having seen the picture; guessing gives 0.125. `index` is the Calinski-Harabasz
index of the queries. With -o, the queries of the first run are drawn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from unveil import images
from unveil.datasets.patterns import SUFFIXES
from unveil.errors import RecipeError
from unveil.methods.constyle.damage import MIX, Mixture
from unveil.metrics.clusters import calinski_harabasz, plane
from unveil.metrics.probes import linear_probe
from unveil.reporting.scatter import scatter
from unveil.training.constyle.encoders import find_encoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    paths = sorted(path for path in given.pictures.rglob("*") if path.suffix.lower() in SUFFIXES)[: given.count]
    batches = [degraded(path, given.crop, given.seed + place) for place, path in enumerate(paths)]
    labels = [name for _ in batches for name in MIX]
    groups = [str(place) for place in range(len(batches)) for _ in MIX]
    print("| encoder | pooled | query | index |\n|---|---:|---:|---:|")
    for run in given.runs:
        try:
            encoder = find_encoder(run)
        except RecipeError:
            # An Original has none.
            continue
        pooled, queries = [], []
        with torch.inference_mode():
            for batch in batches:
                mean = encoder.pool(encoder.maps(batch)[-1])
                pooled.append(mean.numpy())
                queries.append(encoder.heads(mean)[1].numpy())
        code, query = np.concatenate(pooled), np.concatenate(queries)
        told = [linear_probe(features, labels, groups=groups) for features in (code, query)]
        print(f"| {run} | {told[0]:.3f} | {told[1]:.3f} | {calinski_harabasz(query, labels):.1f} |", flush=True)
        if given.output and run == given.runs[0]:
            places, shares = plane(query)
            axes = (f"axis 1: {shares[0]:.0%} of the variance", f"axis 2: {shares[1]:.0%} of the variance")
            scatter(places, labels, title=f"{run}: {len(labels)} pictures", axes=axes).save(given.output)


def degraded(path: Path, crop: int, seed: int) -> torch.Tensor:
    """The middle of a picture, once with every kind: `8 3 C C`."""
    pixels = images.read(path).srgb()
    top, left = ((side - crop) // 2 for side in pixels.shape[:2])
    middle = np.ascontiguousarray(pixels[top : top + crop, left : left + crop])
    clean = torch.from_numpy(middle).permute(2, 0, 1).float()[None] / 255
    mixture = Mixture(dict.fromkeys(MIX, 1.0))
    generator = torch.Generator().manual_seed(seed)
    return mixture.apply(clean.expand(len(MIX), -1, -1, -1).clone(), torch.arange(len(MIX)), generator)


if __name__ == "__main__":
    main()
