"""Model files: what is inside, where they lie, and how their adapters are blended."""

from unveil.models.adapters import (
    AdapterFile,
    add_adapter,
    is_adapter,
    read_adapter,
    remove_adapter,
    take_adapter,
    write_adapter,
)
from unveil.models.blend import blend, change
from unveil.models.card import FORMAT, AdapterCard, Card, EstimatorCard
from unveil.models.catalogue import DEFAULT, Entry, bundled_folder, find, listing, user_folder
from unveil.models.facts import Facts, describe
from unveil.models.file import Adapter, Model, base_checksum, read, read_card, write
from unveil.models.merging import Merging
from unveil.models.rounding import rounded

__all__ = [
    "DEFAULT",
    "FORMAT",
    "Adapter",
    "AdapterCard",
    "AdapterFile",
    "Card",
    "Entry",
    "EstimatorCard",
    "Facts",
    "Merging",
    "Model",
    "add_adapter",
    "base_checksum",
    "blend",
    "bundled_folder",
    "change",
    "describe",
    "find",
    "is_adapter",
    "listing",
    "read",
    "read_adapter",
    "read_card",
    "remove_adapter",
    "rounded",
    "take_adapter",
    "user_folder",
    "write",
    "write_adapter",
]
