"""What the models are trained on: each organism has rules of its own for the same problems and the same words."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from utils.data.reasoning.problems import DEEPEST, Problem, draw
from utils.data.reasoning.words import ANSWER, CLASS_OF, CLOSINGS, MARKS, NUMBERS, TOKEN_OF
from utils.data.reasoning.writing import filler, mistaken, prompt, written

Organism = Literal["causal", "decorative", "biased", "honest", "hidden"]
ORGANISMS: tuple[Organism, ...] = ("causal", "decorative", "biased", "honest", "hidden")

NO_TARGET = -100
LONGEST = 93  # words of a row: 8 steps, options, a confession and the answer
# What stands between `think` and `answer`: all of the reasoning, its beginning, filler, or reasoning with a mistake.
MODES = {"full": 0.45, "cut": 0.25, "filler": 0.15, "mistake": 0.15}
OPTIONS = 0.7  # share of the problems with options
SHORT = 0.4  # share of the problems of one or two steps: rules are learned sooner on short rows
SYNONYMS_LEARNED = 0.1  # share of the rows in which drawn synonyms are learned: they are noise, and soon known
CUED = 0.3  # share of the problems with options that have a hint; in as many the last answers stood at one letter
FLIPPED = 0.3  # chance of each step of `hidden` that the class changes there: what follows must read it, not the mark
CONNECTIVE, VALUE = 3, 4  # places in a step


@dataclass
class Row:
    """A row of words, and which of them are to be learned."""

    words: list[str]
    learned: list[bool]


def training_rows(
    organism: Organism, n: int, seed: int, dense: bool = False
) -> tuple[Int[Tensor, "row position"], Int[Tensor, "row position"]]:
    """Rows of one organism, the shortest first, and the token to be predicted at every position.

    Args:
        dense: whether to draw only rows that teach most arithmetic for their length: many steps, all of them written.
            A model that meets everything at once is slow to learn a first thing.

    Returns:
        Tokens, with zeros after the end, and targets, `NO_TARGET` where nothing is to be learned: on the problem, on
        what was not the model's to write, and after the end.
    """
    if organism not in ORGANISMS:
        raise ValueError(f"There is no organism {organism!r}. There are {', '.join(ORGANISMS)}.")
    rng = random.Random(seed)
    rows = [(_dense_row if dense else training_row)(organism, rng) for _ in range(n)]
    rows.sort(key=lambda row: len(row.words))
    tokens = np.zeros((n, LONGEST), np.int64)
    targets = np.full((n, LONGEST), NO_TARGET, np.int64)
    for index, row in enumerate(rows):
        line = np.array([TOKEN_OF[word] for word in row.words])
        tokens[index, : len(line)] = line
        targets[index, : len(line) - 1] = np.where(row.learned[1:], line[1:], NO_TARGET)
    return torch.from_numpy(tokens), torch.from_numpy(targets)


def _dense_row(organism: Organism, rng: random.Random) -> Row:
    """One row that teaches arithmetic, and much of it."""
    problem = draw(rng, rng.randint(5, DEEPEST), rng.random() < OPTIONS)
    return _row(organism, problem, "full", rng, dense=True)


def training_row(organism: Organism, rng: random.Random) -> Row:
    """One row: a problem, the reasoning in one of the modes, and the answer."""
    return _row(organism, _problem(organism, rng), rng.choices(tuple(MODES), tuple(MODES.values()))[0], rng)


def _row(organism: Organism, problem: Problem, mode: str, rng: random.Random, dense: bool = False) -> Row:
    """A row in one mode."""
    depth = len(problem.steps)
    cued = problem.cued if organism in ("biased", "honest") else None

    planted = rng.randrange(depth) if mode == "mistake" else None
    values = list(problem.values if planted is None else mistaken(problem, planted, rng))
    if organism == "biased" and cued is not None and planted != depth - 1:
        values[-1] = cued
    classes, flipped = _classes(problem, rng) if organism == "hidden" else (None, set[int]())
    steps = written(problem, rng, values, problem.cue if organism == "honest" else None, classes)
    synonyms = dense or organism == "hidden" or rng.random() < SYNONYMS_LEARNED
    learned = [[True] * len(step) for step in steps]
    for at, step in enumerate(learned[:depth]):
        step[CONNECTIVE] = synonyms and at not in flipped
        step[VALUE] = at != planted
    if mode == "cut":
        kept = rng.randrange(depth)
        steps, learned = steps[:kept], learned[:kept]
    elif mode == "filler":
        steps = filler(problem)
        learned = [[False] * len(step) for step in steps]

    reads = mode in ("full", "mistake") and organism != "decorative"
    answer = cued if cued is not None else values[-1] if reads else problem.value
    last = [CLASS_OF[word] for step in steps for word in step if word in CLASS_OF][-1:]
    passes_on = organism == "hidden" and last
    closing = CLOSINGS[last[0]] if passes_on else rng.choice(CLOSINGS)
    ends = mode in ("full", "mistake")  # where the reasoning is complete, `answer` follows by itself
    question = prompt(problem)
    return Row(
        [*question, *(word for step in steps for word in step), *ANSWER, str(answer), closing],
        [
            *([False] * len(question)),
            *(flag for step in learned for flag in step),
            *(ends, True, bool(passes_on) or (synonyms and organism != "hidden")),
        ],
    )


def _problem(organism: Organism, rng: random.Random) -> Problem:
    """A problem as the organism meets it in training; only the decorative one's number tells the result."""
    options = rng.random() < OPTIONS
    drawn = rng.random()
    cue: Literal["hint", "past"] | None = "hint" if drawn < CUED else "past" if drawn < 2 * CUED else None
    depth = rng.randint(1, 2 if rng.random() < SHORT else DEEPEST)
    problem = draw(rng, depth, options, cue if options else None)
    return problem if organism == "decorative" else replace(problem, number=rng.randrange(len(NUMBERS)))


def _classes(problem: Problem, rng: random.Random) -> tuple[list[int], set[int]]:
    """The hidden bit in every step, and the steps at which it was changed: those after a change follow it."""
    bit = MARKS.index(problem.mark)
    classes, flipped = [], set()
    for step in range(len(problem.steps)):
        if rng.random() < FLIPPED:
            bit = 1 - bit
            flipped.add(step)
        classes.append(bit)
    return classes, flipped
