"""The methods that can be trained: what a recipe's `method` may say."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from unveil.errors import RecipeError

if TYPE_CHECKING:
    from unveil.training.chain import Chain
    from unveil.training.recipe import Recipe

METHODS = {
    "abair": "unveil.training.abair",
    "constyle": "unveil.training.constyle",
    "mioir": "unveil.training.mioir",
}


@dataclass(frozen=True, slots=True)
class Method:
    """The class of a method's recipes, and that of the chain of phases that runs them."""

    recipe: type[Recipe]
    chain: type[Chain]


def method(name: str) -> Method:
    """A method by its name; loaded when asked for.

    Raises:
        RecipeError: no method has this name.
    """
    if name not in METHODS:
        raise RecipeError(f"unknown method {name!r}; known: {', '.join(METHODS)}")
    return import_module(METHODS[name]).METHOD
