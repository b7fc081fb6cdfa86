"""Recipes, the chains of phases that run them, and the wiring of Lightning."""

from unveil.training.fitting import Machine
from unveil.training.recipe import Recipe
from unveil.training.run import opened, run

__all__ = ["Machine", "Recipe", "opened", "run"]
