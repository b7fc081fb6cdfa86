"""ABAIR's training: recipes, the chain of its three phases, and the model file at its end."""

from unveil.training.abair.chain import AbairChain
from unveil.training.abair.recipe import AbairRecipe
from unveil.training.table import Method

METHOD = Method(recipe=AbairRecipe, chain=AbairChain)
