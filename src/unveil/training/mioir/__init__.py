"""MiOIR's training: recipes, the chain of curriculum and classifier, and the model file at its end."""

from unveil.training.mioir.chain import MioirChain
from unveil.training.mioir.recipe import MioirRecipe
from unveil.training.table import Method

METHOD = Method(recipe=MioirRecipe, chain=MioirChain)
