"""`check` and `hint`: what a reader calls under an exercise."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from utils.grading import points
from utils.grading.expect import WrongAnswer, kind
from utils.grading.registry import Exercise, UnknownExercise, find
from utils.grading.student import CouldNotRun, NotSolved, Student

Status = Literal["solved", "wrong", "not solved", "could not run"]

_session: dict[str, bool] = {}


@dataclass(frozen=True)
class Outcome:
    """The verdict on one answer: its status, the points earned and a sentence (empty when solved)."""

    status: Status
    points: int
    message: str = ""


@contextmanager
def fresh_randomness() -> Iterator[None]:
    """New random numbers inside the block; the notebook's own generators continue afterwards as if nothing ran."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed()
        np.random.seed()
        torch.default_generator.seed()  # not torch.seed(), which would reseed every accelerator as well
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def judge(exercise: Exercise, student: Callable[..., Any]) -> Outcome:
    """Run an exercise's check on a guarded callable (`Student` or its stand-in in bulk grading)."""
    try:
        with fresh_randomness():
            exercise.check(student)
    except NotSolved:
        return Outcome("not solved", 0, "The function still returns nothing.")
    except WrongAnswer as wrong:
        return Outcome("wrong", 0, str(wrong))
    except CouldNotRun as error:
        return Outcome("could not run", 0, str(error))
    except Exception as error:  # the check read the answer in a way that it does not allow
        return Outcome(
            "wrong",
            0,
            "The check could not read what your function returned: compare the kind of value and its shape with the "
            f"docstring ({type(error).__name__}).",
        )
    return Outcome("solved", exercise.points)


def check(id: Any = None, function: Any = None) -> None:
    """Check an exercise: run `function` on fresh random inputs and print the verdict with its points.

    Args:
        id: the exercise, such as "residual_stream.layer_norm".
        function: your function itself, without parentheses after its name.

    Nothing raises from here: whatever is passed, one sentence says what happened and what to do.
    """
    if callable(id) and isinstance(function, str):
        id, function = function, id
    problem = _misuse(id, function)
    if problem:
        print(problem)
        return
    try:
        exercise = find(id)
    except UnknownExercise as unknown:
        print(f"{unknown} Nothing was checked.")
        return
    outcome = judge(exercise, Student(function))
    _session[id] = outcome.status == "solved"
    if outcome.status == "solved":
        points.record(exercise.id, exercise.points)
    print(verdict(exercise, outcome))


def verdict(exercise: Exercise, outcome: Outcome) -> str:
    """The text that `check` prints."""
    earned = f"{outcome.points} of {exercise.points} point{'' if exercise.points == 1 else 's'}"
    if outcome.status == "solved":
        return f"✓ {exercise.title}: solved, {earned}."
    if outcome.status == "not solved":
        return (
            f"○ {exercise.title}: not solved yet, {earned}.\n"
            f'  Replace the ... in the function above; hint("{exercise.id}") gives a nudge.'
        )
    sign, words = ("✗", "not right yet") if outcome.status == "wrong" else ("!", "could not run")
    return f"{sign} {exercise.title}: {words}, {earned}.\n  {outcome.message}"


def _misuse(id: Any, function: Any) -> str:
    """A sentence on how `check` was called wrongly, or nothing."""
    form = 'check("SLUG.exercise", your_function)'
    if not isinstance(id, str):
        return f"check takes the exercise's id as a string first, as in {form}; it got {kind(id)}. Nothing was checked."
    if inspect.isclass(function):
        return f"check takes a function, and {function.__name__} is a class. Nothing was checked; call {form}."
    if callable(function):
        return ""
    if isinstance(function, str):
        return f"check takes the function itself, not its name in quotes: {form}. Nothing was checked."
    if function is None or function is Ellipsis:
        return f"check got no function. Call {form}, with no parentheses after the name. Nothing was checked."
    what = "a tensor, perhaps the result of calling your function" if isinstance(function, Tensor) else kind(function)
    return (
        f"check takes the function itself and got {what}. "
        f"Leave out the parentheses after its name: {form}. Nothing was checked."
    )


def solved(id: str) -> bool:
    """Whether the last `check` of this exercise in this session was passed (an unknown id: False)."""
    return _session.get(id, False)


def hint(id: Any = None, level: Any = 1) -> None:
    """Print the hint of an exercise at this level: 1 is a nudge, the last is almost the answer."""
    if not isinstance(id, str):
        print(f'hint takes the exercise\'s id as a string, as in hint("SLUG.exercise", 1); it got {kind(id)}.')
        return
    try:
        exercise = find(id)
    except UnknownExercise as unknown:
        print(unknown)
        return
    count = len(exercise.hints)
    if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= count:
        print(f"{exercise.title} has hints 1 to {count}; {level!r} is not one of them.")
        return
    print(f"Hint {level} of {count}, {exercise.title}: {exercise.hints[level - 1]}")
    if level < count:
        print(f'The next one: hint("{id}", {level + 1})')
