"""The page of a model on the Hugging Face hub: README.md with metadata that the hub's search and tables read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from unveil.models.card import Card

HOME = "https://pypi.org/project/unveil"

# The hub knows licences by identifiers of its own; anything else is `other` with a name.
_LICENCES = {
    *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "mpl-2.0", "unlicense", "gpl-3.0", "lgpl-3.0", "agpl-3.0"),
    *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
}
_TAGS = {
    "noise": "denoising",
    "blur": "deblurring",
    "rain": "deraining",
    "haze": "dehazing",
    "dark": "low-light-enhancement",
    "jpeg": "jpeg-artifact-removal",
    "bits": "bit-depth-enhancement",
    "snow": "desnowing",
    "lowres": "super-resolution",
}


def metadata(card: Card) -> dict[str, Any]:
    """What stands between the lines of dashes of README.md, as the hub defines it."""
    licence = card.licence.lower()
    found: dict[str, Any] = {}
    if licence:
        found = {"license": licence} if licence in _LICENCES else {"license": "other", "license_name": card.licence}
    found |= {
        "library_name": "unveil",
        "pipeline_tag": "image-to-image",
        "tags": ["image-restoration", "unveil", *(_TAGS.get(name, name) for name in card.degradations)],
    }
    if results := [result for entry in card.metrics if (result := _result(entry))["metrics"]]:
        found["metrics"] = ["psnr", "ssim"]
        found["model-index"] = [{"name": card.name, "results": results}]
    return found


def write_page(card: Card, repository: str) -> str:
    """README.md of a model: metadata, what it undoes, how to run it, its figures, and what it was trained on.

    Nothing stands there that is not in the card.
    """
    head = "\n".join(_yaml(metadata(card)))
    return f"---\n{head}\n---\n\n{body(card, repository)}"


def body(card: Card, repository: str) -> str:
    """The page without its metadata, Markdown."""
    undoes = ", ".join(card.degradations.values()) or "what its network was trained for"
    diagnosis = "It tells by itself what is wrong with a picture." if card.estimator else "It does not diagnose."
    parts = [
        f"# {card.name}",
        card.summary,
        f"A model of [unveil]({HOME}), which restores photographs. Undoes: {undoes}. {diagnosis}",
        "## Use",
        "\n".join(
            (
                "```python",
                "import unveil  # pip install 'unveil[hub]'",
                "",
                f'restorer = unveil.load("hf:{repository}")',
                'unveil.write(restorer.restore("photo.jpg"), "photo.restored.jpg")',
                "```",
            )
        ),
        f"    unveil restore photo.jpg --model hf:{repository}",
        *_figures(card),
        *_diagnosis(card),
        "## What it is",
        "\n".join(_facts(card)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(card: Card) -> Iterable[str]:
    if not card.metrics:
        return ()
    protocols = {_cell(entry, "protocol") for entry in card.metrics}
    shared = f"{protocols.pop()}." if len(protocols) == 1 else ""
    rows = ["| set | degradation | input PSNR / SSIM | output PSNR / SSIM |", "|---|---|---|---|"]
    for entry in card.metrics:
        before = f"{_number(entry, 'input_psnr', 2)} / {_number(entry, 'input_ssim', 3)}"
        after = f"{_number(entry, 'psnr', 2)} / {_number(entry, 'ssim', 3)}"
        where = _cell(entry, "set") if shared else f"{_cell(entry, 'set')} ({_cell(entry, 'protocol')})"
        rows.append(f"| {where} | {_cell(entry, 'degradation')} | {before} | {after} |")
    return "## Figures", shared, "\n".join(rows)


def _diagnosis(card: Card) -> Iterable[str]:
    """How often the estimator was right on pictures held back from training, and what it took for what."""
    estimator = card.estimator
    if estimator is None or estimator.accuracy is None:
        return ()
    said = f"Of pictures held back from training, {estimator.accuracy:.1%} are called by their right name"
    said += f" (expected calibration error {estimator.ece:.3f})." if estimator.ece is not None else "."
    if not estimator.confusion:
        return "## Diagnosis", said
    rows = [f"| called | {' | '.join(estimator.classes)} |", "|---" * (len(estimator.classes) + 1) + "|"]
    for name, row in zip(estimator.classes, estimator.confusion, strict=True):
        rows.append(f"| {name} | {' | '.join(map(str, row))} |")
    return "## Diagnosis", said, "\n".join(rows)


def _facts(card: Card) -> Iterable[str]:
    yield f"- Network: `{card.network['name']}`; adapters: {', '.join(card.adapters) or 'none'}."
    yield f"- Sides are extended to multiples of {card.size_multiple}; any size of picture works."
    if card.ensemble > 1:
        yield f"- Every tile is restored in {card.ensemble} turned views, and their mean is taken (`--ensemble`)."
    yield f"- Licence: {card.licence or 'not stated'}."
    yield f"- Training data: {card.training_data or 'not stated'}."
    yield f"- Checksum of the base: `{card.base_checksum}`."
    if card.code_version:
        yield f"- Made with unveil {card.code_version}."


def _result(entry: Mapping[str, Any]) -> dict[str, Any]:
    name = str(entry.get("set", "unnamed"))
    kind = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unnamed"
    dataset = {"name": name, "type": kind, "config": str(entry.get("degradation", ""))}
    metrics = [
        {"type": key, "value": round(entry[key], 4)}
        for key in ("psnr", "ssim")
        if isinstance(entry.get(key), int | float)
    ]
    return {"task": {"type": "image-to-image"}, "dataset": dataset, "metrics": metrics}


def _cell(entry: Mapping[str, Any], key: str) -> str:
    return str(entry.get(key, "")).replace("|", "/").replace("\n", " ")


def _number(entry: Mapping[str, Any], key: str, digits: int) -> str:
    value = entry.get(key)
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "?"


def _yaml(values: Mapping[str, Any], indent: str = "") -> Iterable[str]:
    """Keys with lists and objects in block style; a text in JSON's quotes is YAML too, whatever it holds."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _yaml(value, indent + "  ")  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, list):
            yield f"{indent}{key}:"
            for item in value:  # pyright: ignore[reportUnknownVariableType]
                if isinstance(item, dict):
                    first, *rest = _yaml(item, indent + "  ")  # pyright: ignore[reportUnknownArgumentType]
                    yield f"{indent}- {first.lstrip()}"
                    yield from rest
                else:
                    yield f"{indent}- {json.dumps(item)}"  # pyright: ignore[reportUnknownArgumentType]
        else:
            yield f"{indent}{key}: {json.dumps(value)}"
