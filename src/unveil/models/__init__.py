"""Model files: what is inside, where they lie, and how their adapters are blended."""

from unveil.models.blend import blend, change
from unveil.models.card import FORMAT, AdapterCard, Card, EstimatorCard
from unveil.models.catalogue import DEFAULT, Entry, bundled_folder, find, listing, user_folder
from unveil.models.facts import Facts, describe
from unveil.models.file import Adapter, Model, base_checksum, read, read_card, write

__all__ = [
    "DEFAULT",
    "FORMAT",
    "Adapter",
    "AdapterCard",
    "Card",
    "Entry",
    "EstimatorCard",
    "Facts",
    "Model",
    "base_checksum",
    "blend",
    "bundled_folder",
    "change",
    "describe",
    "find",
    "listing",
    "read",
    "read_card",
    "user_folder",
    "write",
]
