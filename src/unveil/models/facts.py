"""What another program needs to know of a model to use it, in one place and without opening its arrays."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from unveil.models.card import CLEAN
from unveil.models.file import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A model described for other programs.

    Guaranteed of every model: three channels in and out (RGB, float 0 to 1, sRGB), output of the size of the input
    (`scale` 1), any size of picture through `Restorer`, which extends sides to `size_multiple`, cuts into tiles, and
    takes grey, alpha, 8 and 16 bit. Not guaranteed: that a network called by hand takes other sizes than multiples of
    `size_multiple`, or gives values within 0 to 1.

    Attributes:
        architecture: name of the base network, with `configuration` what `unveil.networks.build` takes.
        undoes: identifier of a degradation -> the name to print; the keys that `weights` and `only` take.
        steered_by: `adapters` (weights blend them), `prompts` (weights mix them) or `nothing` (it runs on everything).
        diagnoses: whether it tells by itself what is wrong; `leaves_clean_alone` whether a clean picture is told too.
        sees_whole_picture: whether codes are computed once on the whole picture and given to every tile.
        halo: pixels that a tile needs around its core; `stride`: tile origins are multiples of it.
        parameters: numbers in the base network; `adapter_parameters`: per adapter.
        stored_as: dtypes of the base's arrays in the file.
    """

    name: str
    summary: str
    architecture: str
    configuration: dict[str, Any]
    undoes: dict[str, str]
    steered_by: str
    diagnoses: bool
    leaves_clean_alone: bool
    sees_whole_picture: bool
    blend: str
    input_channels: int
    output_channels: int
    scale: int
    size_multiple: int
    stride: int
    halo: int
    parameters: int
    adapter_parameters: dict[str, int]
    stored_as: tuple[str, ...]
    licence: str
    training_data: str
    checksum: str
    file: str | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def describe(model: Model) -> Facts:
    """The facts of a model, counted from its arrays and read from its card."""
    card = model.card
    base = model.weights["restore"].values()
    counts = {name: adapter.parameters for name, adapter in model.adapters.items()}
    return Facts(
        name=card.name,
        summary=card.summary,
        architecture=str(card.network["name"]),
        configuration=dict(card.network["config"]),
        undoes=dict(card.degradations),
        steered_by="adapters" if card.adapters else "prompts" if card.prompts else "nothing",
        diagnoses=card.estimator is not None,
        leaves_clean_alone=card.estimator is not None and CLEAN in card.estimator.classes,
        sees_whole_picture=bool(card.codes) and not card.prompts,
        blend=card.blend,
        input_channels=3,
        output_channels=3,
        scale=1,
        size_multiple=card.size_multiple,
        stride=card.stride,
        halo=card.halo,
        parameters=sum(array.size for array in base),
        adapter_parameters=counts,
        stored_as=tuple(sorted({array.dtype.name for array in base})),
        licence=card.licence,
        training_data=card.training_data,
        checksum=card.base_checksum,
        file=None if model.path is None else str(model.path),
    )
