"""Recipes of ConStyle v1 and v2: an encoder trained alone, a U-Net trained alone, with it, or under it."""

from unveil.training.constyle.chain import ConStyleChain
from unveil.training.constyle.recipe import ConStyleRecipe
from unveil.training.table import Method

METHOD = Method(ConStyleRecipe, ConStyleChain)
"""What `unveil.training.table` asks for."""
