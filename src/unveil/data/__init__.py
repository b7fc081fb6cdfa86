"""Photographs, and pairs of them, to batches of crops."""

from unveil.data.crops import CropBatches, middle
from unveil.data.pairs import PairBatches, Pairs
from unveil.data.photographs import Photographs

__all__ = ["CropBatches", "PairBatches", "Pairs", "Photographs", "middle"]
