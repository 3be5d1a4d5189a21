"""The exercises of the book: what each is called, what it is worth, its hints and its check."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Check = Callable[[Callable[..., Any]], None]

SLUGS = (
    "residual_stream", "attention", "associative_memory", "induction_heads", "in_context_learning",
    "activation_patching", "grokking", "capability_growth", "superposition", "dictionary_learning",
    "feature_geometry", "othello", "chain_of_thought", "deception", "experts", "open_problems",
)  # fmt: skip

_NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Exercise:
    """One graded exercise.

    Attributes:
        id: `SLUG.name`, as written in `check("SLUG.name", function)`.
        title: what the exercise page calls it.
        points: what a right answer is worth.
        minutes: how long it takes a first-time reader.
        difficulty: 1, 2 or 3.
        hints: at least three, from a nudge to almost the answer.
        check: takes the student's callable and raises `WrongAnswer` with a sentence, or returns.
    """

    id: str
    title: str
    points: int
    minutes: int
    difficulty: int
    hints: tuple[str, ...]
    check: Check

    @property
    def slug(self) -> str:
        """The chapter the exercise belongs to."""
        return self.id.partition(".")[0]


class UnknownExercise(KeyError):
    """No exercise has this id; the message suggests close ones."""

    def __str__(self) -> str:
        return str(self.args[0])


_exercises: dict[str, Exercise] = {}
_imported: set[str] = set()


def exercise(
    id: str, *, title: str, points: int, minutes: int, difficulty: int, hints: list[str] | tuple[str, ...]
) -> Callable[[Check], Check]:
    """Register the decorated function as the check of exercise `id`; see `Exercise` for the arguments.

    Raises:
        ValueError: if a piece of the description is missing or the id is taken.
    """
    if not _NAME.fullmatch(id):
        raise ValueError(f"An exercise id looks like 'residual_stream.layer_norm', not {id!r}.")
    if not title.strip() or points < 1 or minutes < 1 or difficulty not in (1, 2, 3):
        raise ValueError(f"{id} needs a title, points and minutes of at least 1 and a difficulty of 1, 2 or 3.")
    if isinstance(hints, str) or len(hints) < 3 or not all(text.strip() for text in hints):
        raise ValueError(f"{id} needs at least three hints, from a nudge to almost the answer.")

    def register(check: Check) -> Check:
        known = _exercises.get(id)
        if known is not None and (known.check.__module__, known.check.__qualname__) != (
            check.__module__,
            check.__qualname__,
        ):
            raise ValueError(f"Two checks claim the exercise id {id!r}; rename one.")
        _exercises[id] = Exercise(id, title, points, minutes, difficulty, tuple(hints), check)
        return check

    return register


def _import_checks(slug: str | None) -> None:
    """Import `checks/SLUG*.py` (all of them without a slug), once."""
    from utils.grading import checks

    for module in pkgutil.iter_modules(checks.__path__):
        if module.name not in _imported and (slug is None or module.name.startswith(slug)):
            importlib.import_module(f"{checks.__name__}.{module.name}")
            _imported.add(module.name)


def all_exercises(slug: str | None = None) -> list[Exercise]:
    """The exercises of one chapter, or of all, in the order of the book and then of their checks."""
    _import_checks(slug)
    found = [item for item in _exercises.values() if slug is None or item.slug == slug]
    return sorted(found, key=lambda item: SLUGS.index(item.slug) if item.slug in SLUGS else len(SLUGS))


def find(id: str) -> Exercise:
    """The exercise called `id`.

    Raises:
        UnknownExercise: if there is none; the message is a sentence that suggests close ids.
    """
    if id not in _exercises:
        _import_checks(id.partition(".")[0] or None)
    if id in _exercises:
        return _exercises[id]
    _import_checks(None)
    close = difflib.get_close_matches(id, _exercises, n=3, cutoff=0.5)
    if not close:
        close = [other for other in _exercises if other.partition(".")[2] == id.rpartition(".")[2]][:3]
    advice = f" Did you mean {' or '.join(map(repr, close))}?" if close else " Ids look like 'SLUG.exercise'."
    raise UnknownExercise(f"There is no exercise {id!r}.{advice}")


def find_slug(slug: str) -> str:
    """The chapter name `slug`, checked.

    Raises:
        UnknownExercise: if no exercise belongs to such a chapter; the message suggests close names.
    """
    if all_exercises(slug):
        return slug
    known = sorted({item.slug for item in all_exercises()})
    close = difflib.get_close_matches(slug, known, n=2, cutoff=0.4) or known
    raise UnknownExercise(f"No chapter {slug!r} has exercises. Chapters that do: {', '.join(map(repr, close))}.")


@contextmanager
def temporary_registry() -> Iterator[None]:
    """An empty registry inside the `with` block, for tests; the book's own comes back afterwards."""
    saved, imported = dict(_exercises), set(_imported)
    from utils.grading import checks

    _exercises.clear()
    _imported.update(module.name for module in pkgutil.iter_modules(checks.__path__))
    try:
        yield
    finally:
        _exercises.clear()
        _exercises.update(saved)
        _imported.clear()
        _imported.update(imported)
