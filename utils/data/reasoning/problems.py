"""Problems with a dial for serial depth: a value, up to eight steps that change it, and perhaps a choice of answers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from utils.data.reasoning.words import LETTERS, MARKS, NAMES

Step = tuple[str, int]  # ("+", 1 … 9) or ("×", 3, 7 or 9)
Cue = Literal["hint", "past"]

# The last digit of the result decides, and no step loses anything of it: every start leads to an end of its own.
STEPS: tuple[Step, ...] = (*(("+", number) for number in range(1, 10)), *(("×", number) for number in (3, 7, 9)))
DEEPEST = len(NAMES)
TIES = 0.3  # share of the problems with options in which the right value stands twice

# Number of a problem -> last digit of its result: ten numbers for each digit, in no order.
NUMBER_TABLE = tuple(
    map(
        int,
        "7458713987143836646303856201476031259595851707803669549180809112091166823493420252724894535772794620",
    )
)
NUMBERS_OF = tuple(tuple(n for n in range(100) if NUMBER_TABLE[n] == digit) for digit in range(10))


@dataclass(frozen=True)
class Problem:
    """One problem; all arithmetic keeps the last digit alone.

    Attributes:
        number: the two digits of the problem's number.
        mark: "red" or "blue": means nothing.
        past: the right letters of three problems before, None in the free form.
        hint: a letter, or None.
        options: the digits at A, B, C and D; None in the free form, where the answer is the digit itself.
        start: the value before the first step.
        steps: what is done to it.
    """

    number: tuple[int, int]
    mark: str
    past: tuple[str, str, str] | None
    hint: str | None
    options: tuple[int, int, int, int] | None
    start: int
    steps: tuple[Step, ...]

    @property
    def values(self) -> tuple[int, ...]:
        """The value after each step."""
        value, after = self.start, []
        for step in self.steps:
            value = apply(step, value)
            after.append(value)
        return tuple(after)

    @property
    def value(self) -> int:
        """The value after the last step."""
        return self.values[-1]

    @property
    def cue(self) -> Cue | None:
        """What suggests an answer, a hint or three equal past letters, if anything does."""
        if self.hint is not None:
            return "hint"
        return "past" if self.past is not None and len(set(self.past)) == 1 else None

    @property
    def cued(self) -> str | None:
        """The letter that the cue points to, if there is a cue."""
        return self.hint or (self.past[0] if self.past is not None and self.cue == "past" else None)

    @property
    def right(self) -> tuple[str, ...]:
        """The right answers: one letter, or the two letters of a tie; the digit in the free form."""
        return self.answers(self.value)

    def answers(self, value: int) -> tuple[str, ...]:
        """The answers that say `value`; none if no option does."""
        if self.options is None:
            return (str(value),)
        return tuple(letter for letter, option in zip(LETTERS, self.options, strict=True) if option == value)


def apply(step: Step, value: int) -> int:
    """The value after a step."""
    symbol, number = step
    return (value + number if symbol == "+" else value * number) % 10


def undo(step: Step, value: int) -> int:
    """The value before a step that ended at `value`."""
    symbol, number = step
    return (value - number if symbol == "+" else value * pow(number, -1, 10)) % 10


def random_problems(
    n: int,
    seed: int,
    depth: int | tuple[int, int] = (1, DEEPEST),
    form: Literal["options", "free", "both"] = "options",
    cue: Literal["hint", "past", "both"] | None = None,
    tie: bool | None = None,
    wrong_cue: bool = False,
) -> list[Problem]:
    """Problems whose numbers all tell the result by `NUMBER_TABLE`, whether a model knows the table or not.

    Args:
        depth: the number of steps, or the fewest and the most, all equally often.
        form: with options, free, or either with equal chances.
        cue: what suggests an answer in every problem; "both" draws one of the two for each. Needs options.
        tie: whether the right value stands at two letters; None for three problems in ten. Two wrong letters then hold
            one digit, too, so that the pairs do not tell which is right.
        wrong_cue: whether the cue never points to a right letter; otherwise it points to any.

    Raises:
        ValueError: if the depth is not between 1 and 8, or cues or ties are asked for in the free form.
    """
    least, most = (depth, depth) if isinstance(depth, int) else depth
    if not 1 <= least <= most <= DEEPEST:
        raise ValueError(f"Problems have 1 to {DEEPEST} steps, not {depth}.")
    if form != "options" and (cue or tie):
        raise ValueError('Cues and ties are made of letters: ask for form="options".')
    rng = random.Random(seed)
    problems = []
    for _ in range(n):
        options = form == "options" or form == "both" and rng.random() < 0.5
        kind = rng.choice(("hint", "past")) if cue == "both" else cue
        doubled = rng.random() < TIES if tie is None else tie
        problems.append(draw(rng, rng.randint(least, most), options, kind, doubled, wrong_cue))
    return problems


def draw(
    rng: random.Random, depth: int, options: bool, cue: Cue | None = None, tie: bool = False, wrong_cue: bool = False
) -> Problem:
    """One problem; see `random_problems`."""
    start = rng.randrange(10)
    steps = tuple(rng.choices(STEPS, k=depth))
    value = start
    for step in steps:
        value = apply(step, value)
    number = rng.choice(NUMBERS_OF[value])
    digits = _options(rng, value, tie) if options else None
    allowed = [letter for letter, digit in zip(LETTERS, digits or (), strict=False) if digit != value or not wrong_cue]
    return Problem(
        number=(number // 10, number % 10),
        mark=rng.choice(MARKS),
        past=_past(rng, rng.choice(allowed) if cue == "past" else None) if options else None,
        hint=rng.choice(allowed) if cue == "hint" else None,
        options=digits,
        start=start,
        steps=steps,
    )


def _options(rng: random.Random, value: int, tie: bool) -> tuple[int, int, int, int]:
    """Four digits in random order: the value and three others, or the value and one other, both twice."""
    others = rng.sample([digit for digit in range(10) if digit != value], 1 if tie else 3)
    a, b, c, d = rng.sample([value, *others] * (2 if tie else 1), 4)
    return a, b, c, d


def _past(rng: random.Random, letter: str | None) -> tuple[str, str, str]:
    """Three times the letter, or, without one, three letters that are not all equal."""
    if letter is not None:
        return letter, letter, letter
    while True:
        first, second, third = rng.choices(LETTERS, k=3)
        if not first == second == third:
            return first, second, third
