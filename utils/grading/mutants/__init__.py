"""The answers that grade the graders: for every exercise, wrong ones that people give and different right ones.

A chapter's module defines `ANSWERS = {"SLUG.exercise": Answers(alternatives=[...], mutants=[...])}`. The tests
require at least five mutants, each rejected with its own sentence, and two alternatives, each accepted.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """A wrong answer and a piece of the sentence that the check must say about it."""

    function: Callable[..., Any]
    message: str


@dataclass(frozen=True)
class Answers:
    """The right and wrong answers of one exercise."""

    alternatives: Sequence[Callable[..., Any]]
    mutants: Sequence[Mutant]


def all_answers() -> dict[str, Answers]:
    """Exercise id → its answers, gathered from every module of this package."""
    found: dict[str, Answers] = {}
    for module in pkgutil.iter_modules(__path__):
        found.update(importlib.import_module(f"{__name__}.{module.name}").ANSWERS)
    return found
