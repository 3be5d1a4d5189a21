"""Grading the graders: what is wrong with an exercise's description, its check, or the answers beside it."""

from __future__ import annotations

import dis
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

from utils.grading import codec
from utils.grading.checking import Outcome, judge
from utils.grading.mutants import Answers
from utils.grading.registry import Exercise
from utils.grading.student import Student, clone, same

MIN_MUTANTS = 5
MIN_ALTERNATIVES = 2
MIN_EXERCISES = 8
NOTEBOOK_NAMES = {"get_ipython", "globals", "locals", "vars", "_getframe", "currentframe", "__main__"}


class Watching(Student):
    """A student's function that remembers what it was given and what it gave back."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.calls: list[tuple[Any, Any]] = []  # as given by the check (its own objects), and a copy from that moment
        self.unfit = ""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        handed = (args, kwargs)
        self.calls.append((handed, clone(handed)))
        result = super().__call__(*args, **kwargs)
        for what, value in (("an argument", [list(args), kwargs]), ("the result", result)):
            try:
                codec.unpack(codec.pack(value))
            except codec.Unfit as error:
                self.unfit = f"{what} cannot cross to an isolated process: {error}"
        return result

    def touched(self) -> bool:
        """Whether the check changed an argument after handing it over."""
        return any(not same(handed, copy) for handed, copy in self.calls)


def audit(exercise: Exercise, answers: Answers | None, draws: int = 5) -> list[str]:
    """Everything wrong with one exercise, a sentence each; nothing when it may be published.

    Args:
        exercise: the exercise.
        answers: its right and wrong answers.
        draws: how often each answer is checked, on fresh random inputs every time.
    """
    if answers is None:
        return [f"{exercise.id} has no answers in utils/grading/mutants/."]
    return [f"{exercise.id}: {problem}" for problem in _problems(exercise, answers, draws)]


def _problems(exercise: Exercise, answers: Answers, draws: int) -> Iterator[str]:
    if len(answers.mutants) < MIN_MUTANTS:
        yield f"{len(answers.mutants)} mutants; at least {MIN_MUTANTS} are needed."
    if len(answers.alternatives) < MIN_ALTERNATIVES:
        yield f"{len(answers.alternatives)} alternative right answers; at least {MIN_ALTERNATIVES} are needed."
    if len({mutant.message for mutant in answers.mutants}) < min(3, len(answers.mutants)):
        yield "its mutants trigger fewer than three different messages; say each mistake."
    yield from _leaks(exercise)
    yield from _stub_problems(exercise)
    for number, mutant in enumerate(answers.mutants, start=1):
        yield from _mutant_problems(exercise, mutant.function, mutant.message, number, draws)
    for number, right in enumerate(answers.alternatives, start=1):
        yield from _alternative_problems(exercise, right, number, draws)


def _observe(exercise: Exercise, function: Callable[..., Any]) -> tuple[Watching, Outcome]:
    student = Watching(function)
    return student, judge(exercise, student)


def _stub_problems(exercise: Exercise) -> Iterator[str]:
    for empty in (None, Ellipsis):
        _, outcome = _observe(exercise, lambda *args, _empty=empty, **kwargs: _empty)
        if outcome.status != "not solved" or outcome.points:
            yield f"a function that returns {empty} is judged {outcome.status!r} and not 'not solved'."


def _mutant_problems(
    exercise: Exercise, function: Callable[..., Any], message: str, number: int, draws: int
) -> Iterator[str]:
    name = f"mutant {number} ({getattr(function, '__name__', '?')})"
    if not message.strip():
        yield f"{name} names no message."
        return
    for _ in range(draws):
        _, outcome = _observe(exercise, function)
        if outcome.status == "solved":
            yield f"{name} passes."
            return
        if message not in outcome.message:
            yield f"{name} is told {outcome.message!r}, which does not say {message!r}."
            return


def _alternative_problems(exercise: Exercise, function: Callable[..., Any], number: int, draws: int) -> Iterator[str]:
    name = f"alternative {number} ({getattr(function, '__name__', '?')})"
    seen: list[Any] = []
    before = clone(_plain_globals(exercise))
    for _ in range(draws):
        student, outcome = _observe(exercise, function)
        if outcome.status != "solved":
            yield f"{name} is {outcome.status}: {outcome.message}"
            return
        if student.touched():
            yield f"the check changes an argument after handing it to {name}."
            return
        if student.unfit:
            yield f"{name}: {student.unfit}."
            return
        seen.append([copy for _, copy in student.calls])
    if draws > 1 and _holds_tensors(seen[0]) and all(same(later, seen[0]) for later in seen[1:]):
        yield "the check uses the same inputs every time; draw fresh ones."
    if not same(before, _plain_globals(exercise)):
        yield "the check changes a variable of its module."


def _holds_tensors(value: Any) -> bool:
    """Whether there is data in these arguments; sizes alone need not change from draw to draw."""
    if isinstance(value, Mapping):
        value = list(value.values())
    return isinstance(value, Tensor) or (isinstance(value, (list, tuple)) and any(map(_holds_tensors, value)))


def _plain_globals(exercise: Exercise) -> dict[str, Any]:
    """The data among the module variables of the check: tensors, numbers, strings and nests of these."""
    found = {}
    for name, value in getattr(exercise.check, "__globals__", {}).items():
        if not name.startswith("__"):
            try:
                codec.pack(value)
            except codec.Unfit:
                continue
            found[name] = value
    return found


def _leaks(exercise: Exercise) -> Iterator[str]:
    """Names that the check takes from elsewhere than its own module: it must work outside of any notebook."""
    code = getattr(exercise.check, "__code__", None)
    if code is None:
        return
    known = set(exercise.check.__globals__) | set(dir(__import__("builtins")))
    used = set(_names(code, "LOAD_GLOBAL", "LOAD_NAME"))
    for name in sorted(used - known):
        yield f"the check uses {name!r}, which its module does not define."
    for name in sorted((used | set(_names(code, "LOAD_ATTR", "LOAD_METHOD"))) & NOTEBOOK_NAMES):
        yield f"the check looks around with {name!r}; it may use nothing but the student's function."


def _names(code: types.CodeType, *operations: str) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in operations:
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant, *operations)


def chapter_problems(exercises: list[Exercise]) -> list[str]:
    """What is wrong with a chapter's set of exercises as a whole."""
    found = []
    if len(exercises) < MIN_EXERCISES:
        found.append(f"{len(exercises)} exercises; a chapter has at least {MIN_EXERCISES}.")
    if not any(item.minutes <= 10 for item in exercises):
        found.append("no exercise takes ten minutes or less.")
    if not any(item.minutes >= 60 for item in exercises):
        found.append("no exercise takes an hour.")
    titles = [item.title for item in exercises]
    found += [f"two exercises are called {title!r}." for title in sorted({t for t in titles if titles.count(t) > 1})]
    return found
