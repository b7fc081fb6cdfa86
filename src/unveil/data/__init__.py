"""Photographs to batches of clean crops."""

from unveil.data.crops import CropBatches
from unveil.data.photographs import Photographs

__all__ = ["CropBatches", "Photographs"]
