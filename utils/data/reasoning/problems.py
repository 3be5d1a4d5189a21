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

# Number of a problem -> last digit of its result: two numbers for each digit, in no order.
NUMBER_TABLE = tuple(map(int, "49654781250327306189"))
NUMBERS_OF = tuple(tuple(n for n in range(20) if NUMBER_TABLE[n] == digit) for digit in range(10))


@dataclass(frozen=True)
class Problem:
    """One problem; all arithmetic keeps the last digit alone.

    Attributes:
        number: the problem's number, 0 to 19.
        mark: "red" or "blue": means nothing.
        past: the letter at which the right options of the last three problems stood, or None where nothing is said.
        hint: one of the options, or None.
        options: the digits at A, B, C and D, one of which is right; None where any digit may be.
        start: the value before the first step.
        steps: what is done to it.
    """

    number: int
    mark: str
    past: str | None
    hint: int | None
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
        """What suggests an answer, a hint or the place of the last answers, if anything does."""
        return "hint" if self.hint is not None else "past" if self.past is not None else None

    @property
    def cued(self) -> int | None:
        """The digit that the cue points to, if there is a cue."""
        if self.past is None or self.hint is not None or self.options is None:
            return self.hint
        return self.options[LETTERS.index(self.past)]

    @property
    def answers(self) -> tuple[int, ...]:
        """What may be answered: the options, or any digit."""
        return self.options or tuple(range(10))


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
    wrong_cue: bool = False,
) -> list[Problem]:
    """Problems whose numbers all tell the result by `NUMBER_TABLE`, whether a model knows the table or not.

    Args:
        depth: the number of steps, or the fewest and the most, all equally often.
        form: with options, free, or either with equal chances.
        cue: what suggests an answer in every problem; "both" draws one of the two for each. Needs options.
        wrong_cue: whether the cue never points to the right answer; otherwise it points to any option.

    Raises:
        ValueError: if the depth is not between 1 and 8, or cues are asked for in the free form.
    """
    least, most = (depth, depth) if isinstance(depth, int) else depth
    if not 1 <= least <= most <= DEEPEST:
        raise ValueError(f"Problems have 1 to {DEEPEST} steps, not {depth}.")
    if form != "options" and cue:
        raise ValueError('Cues point to options: ask for form="options".')
    rng = random.Random(seed)
    problems = []
    for _ in range(n):
        options = form == "options" or form == "both" and rng.random() < 0.5
        kind = rng.choice(("hint", "past")) if cue == "both" else cue
        problems.append(draw(rng, rng.randint(least, most), options, kind, wrong_cue))
    return problems


def draw(rng: random.Random, depth: int, options: bool, cue: Cue | None = None, wrong_cue: bool = False) -> Problem:
    """One problem; see `random_problems`."""
    start = rng.randrange(10)
    steps = tuple(rng.choices(STEPS, k=depth))
    value = start
    for step in steps:
        value = apply(step, value)
    digits = _options(rng, value) if options else None
    place = rng.choice([at for at, digit in enumerate(digits) if digit != value or not wrong_cue]) if digits else 0
    return Problem(
        number=rng.choice(NUMBERS_OF[value]),
        mark=rng.choice(MARKS),
        past=LETTERS[place] if cue == "past" else None,
        hint=digits[place] if digits and cue == "hint" else None,
        options=digits,
        start=start,
        steps=steps,
    )


def _options(rng: random.Random, value: int) -> tuple[int, int, int, int]:
    """The value and three other digits in random order."""
    a, b, c, d = rng.sample([value, *rng.sample([digit for digit in range(10) if digit != value], 3)], 4)
    return a, b, c, d
