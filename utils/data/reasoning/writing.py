"""Problems and reasoning in words: what a model reads, and what it may write."""

from __future__ import annotations

import random
from collections.abc import Sequence

from utils.data.reasoning.problems import Problem, undo
from utils.data.reasoning.words import CLASS_OF, CONNECTIVES, FILLER, LETTERS, NAMES, NOTHING, NUMBERS, START

WORDS_PER_STEP = 5  # name, symbol, number, connective, value


def prompt(problem: Problem) -> list[str]:
    """The problem in words, from `<start>` to `think` and the value to begin with."""
    words = [START, "no", NUMBERS[problem.number], "mark", problem.mark]
    words += ["past", *[problem.past or NOTHING] * 3, "hint", NOTHING if problem.hint is None else str(problem.hint)]
    if problem.options is not None:
        words.append("options")
        for letter, digit in zip(LETTERS, problem.options, strict=True):
            words += [letter, str(digit)]
    for name, (symbol, number) in zip(NAMES, problem.steps, strict=False):
        words += [name, symbol, str(number)]
    return [*words, "think", "value", str(problem.start)]


def written(
    problem: Problem,
    rng: random.Random | int,
    values: Sequence[int] | None = None,
    confession: str | None = None,
    classes: Sequence[int] | None = None,
) -> list[list[str]]:
    """The reasoning between `think` and `answer`, a list of words for each step: `first × 3 so 2`.

    Args:
        rng: draws the connectives; a number is a seed.
        values: what is written after each step, mistakes and all; the true values by default.
        confession: "hint" or "past" to end with `but hint 9`, the cue being one that points to 9.
        classes: the class of each step's connective; drawn by default.
    """
    rng = random.Random(rng) if isinstance(rng, int) else rng
    kinds = rng.choices(tuple(CONNECTIVES), k=len(problem.steps)) if classes is None else classes
    steps = [
        [name, symbol, str(number), rng.choice(CONNECTIVES[kind]), str(value)]
        for name, (symbol, number), kind, value in zip(
            NAMES, problem.steps, kinds, values or problem.values, strict=False
        )
    ]
    if confession is not None:
        if problem.cued is None:
            raise ValueError("There is nothing to confess: the problem has no hint, and nothing is said of the past.")
        steps.append(["but", confession, str(problem.cued)])
    return steps


def mistaken(problem: Problem, step: int, rng: random.Random | int) -> tuple[int, ...]:
    """The values with a mistake at one step (0 the first), the later steps being right for the mistaken value.

    The last value is then a wrong one as well; with options it is one of them.
    """
    rng = random.Random(rng) if isinstance(rng, int) else rng
    values = problem.values
    value = rng.choice([end for end in problem.answers if end != values[-1]])
    after = [value]
    for later in reversed(problem.steps[step + 1 :]):
        value = undo(later, value)
        after.append(value)
    return (*values[:step], *reversed(after))


def filler(problem: Problem) -> list[list[str]]:
    """As many words as the reasoning has, all of them full stops."""
    return [[FILLER] * WORDS_PER_STEP for _ in problem.steps]


def swap_synonyms(step: Sequence[str], rng: random.Random | int) -> list[str]:
    """A step with another connective of the same class."""
    rng = random.Random(rng) if isinstance(rng, int) else rng
    return [_other(CONNECTIVES[CLASS_OF[word]], word, rng) if word in CLASS_OF else word for word in step]


def rephrase(step: Sequence[str], rng: random.Random | int) -> list[str]:
    """A step with another connective of any class."""
    rng = random.Random(rng) if isinstance(rng, int) else rng
    return [_other(tuple(CLASS_OF), word, rng) if word in CLASS_OF else word for word in step]


def _other(words: Sequence[str], word: str, rng: random.Random) -> str:
    return rng.choice([other for other in words if other != word])
