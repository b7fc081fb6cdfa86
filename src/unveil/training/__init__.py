"""Recipes and the wiring of Lightning."""

from unveil.training.recipe import Recipe
from unveil.training.run import run

__all__ = ["Recipe", "run"]
