"""Checks of the chapter on chains of thought: texts with a planted mistake, and texts of other problems."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from utils.grading import exercise, expect_close, expect_equal, fail
from utils.grading.checks.chain_of_thought import (
    CONNECTIVES,
    Step,
    Text,
    distinct,
    pick,
    random_steps,
    values_after,
    write,
)  # fmt: skip
from utils.grading.checks.dictionary_learning import crowded
from utils.grading.checks.superposition import Student, expect_parts, fresh

Edit = tuple[Text, int, int]


@exercise(
    "chain_of_thought.plant_mistake",
    title="A mistake in good form",
    points=3,
    minutes=25,
    difficulty=2,
    hints=[
        "One word changes in the first text, and in the second that word and what is computed from it. Everything that "
        "is not a value stays: a model must not see from the form that somebody was here.",
        "List the nine digits that are not the true one and take number `draw`. For the second text go on from there: "
        "step `where` is done, so the steps after it are applied to the wrong value, one after another. What they do "
        "stands in their second and third word. Build new lists.",
        "value = [d for d in range(10) if d != int(text[where][4])][draw]; kept = [list(words) for words in text]; "
        "kept[where][4] = str(value); followed = [list(words) for words in kept]; for words in followed[where + 1 :]: "
        "value = (value + int(words[2]) if words[1] == '+' else value * int(words[2])) % 10; words[4] = str(value); "
        "return kept, followed",
    ],
)
def check_plant_mistake(student: Student) -> None:
    g = fresh()
    for above in (True, False):  # whether the digit that is drawn lies above the true one
        given = _edit(g, above)
        while _unclear(*given):
            given = _edit(g, above)
        _expect_planted(student, *given)
    text, _, draw = _edit(g, True)
    _expect_planted(student, text, len(text) - 1, draw)


def _expect_planted(student: Student, text: Text, where: int, draw: int) -> None:
    got = student(text, where, draw)
    expect_parts(got, 2, "Return two texts, (kept, followed).")
    value = planted(text, where, draw)
    kept, followed = _kept(text, where, draw), _followed(text, where, draw)
    for what, part in zip(("kept", "followed"), got, strict=True):
        if any(isinstance(word, int) for words in part for word in words):
            fail(f"A value of {what} is a number. Words are strings, and this one would look different from the rest.")
        if any(len(word) > 1 and word.isdigit() for words in part for word in words):
            fail(f"A value of {what} has two digits. All values of the language have one.")
        if len(part) < len(text):
            fail(f"{what} is shorter than the text. That is a cut as well as a mistake: keep all steps.")
    expect_equal(
        got[0],
        kept.pop(""),
        mistakes=kept,
        otherwise="kept differs: the text with one value replaced by a wrong digit.",
        what="kept",
    )
    expect_equal(
        got[1],
        followed.pop(""),
        mistakes=followed,
        otherwise=f"followed differs: from the wrong {value} on, the later steps are done right.",
        what="followed",
    )


def planted(text: Text, where: int, draw: int) -> int:
    """The wrong digit number `draw`, in increasing order."""
    return [digit for digit in range(10) if digit != int(text[where][4])][draw]


def _valued(text: Text, values: list[int]) -> Text:
    """The text with other values."""
    return [[*words[:4], str(value)] for words, value in zip(text, values, strict=True)]


def _kept(text: Text, where: int, draw: int) -> dict[str, Text]:
    """Mistake → the text that it would give; the right one under no mistake."""
    values = [int(words[4]) for words in text]
    true, wrong = values[where], planted(text, where, draw)

    def at(place: int, value: int) -> Text:
        return _valued(text, [value if i == place else old for i, old in enumerate(values)])

    every = [wrong if value == true else value for value in values]

    def word(place: int) -> Text:
        new = [list(words) for words in text]
        new[where][place] = str(wrong)
        return new

    table = {
        "": at(where, wrong),
        "The draw was taken as the digit itself. It may then be the true one, and no mistake at all: count the nine "
        "wrong digits in increasing order.": at(where, draw),
        "You always took the next digit but one. The wrong digits below the true one are counted too.": (
            at(where, (draw + 1) % 10)
        ),
        "The draw was added to the value. Count the nine wrong digits in increasing order.": (
            at(where, (true + draw) % 10)
        ),
        "The draw was added to the value, one step on. Count the nine wrong digits in increasing order.": (
            at(where, (true + draw + 1) % 10)
        ),
        "Every value that was the same digit has changed. One mistake is enough.": _valued(text, every),
        "The mistake is one step late: steps count from 0.": at((where + 1) % len(text), wrong),
        "The mistake is one step early: steps count from 0.": at(where - 1, wrong),
        "The name of the step was replaced. The value is the last of its five words.": word(0),
        "The connective of the step was replaced. The value is the last of its five words.": word(3),
        "The number that the step adds or multiplies by was replaced. The value is the last of its five words.": word(
            2
        ),
        "Nothing has changed.": text,
    }
    return {said: value for said, value in table.items() if not said or value != table[""]}


def _followed(text: Text, where: int, draw: int) -> dict[str, Text]:
    """Mistake → the text that it would give; the right one under no mistake."""
    values, wrong = [int(words[4]) for words in text], planted(text, where, draw)
    steps: list[Step] = [(words[1], int(words[2])) for words in text]
    after = values_after(wrong, steps[where + 1 :])
    again = values_after(wrong, steps[where:])
    table = {
        "": _valued(text, [*values[:where], wrong, *after]),
        "followed is the same as kept: nothing follows from the mistake. Do the later steps with the wrong value.": (
            _valued(text, [*values[:where], wrong, *values[where + 1 :]])
        ),
        "The mistake is gone in followed.": text,
        "The mistaken step was done once more, on the wrong value, and the mistake is written over.": (
            _valued(text, [*values[:where], *again])
        ),
        "The mistaken step was done once more on the wrong value. The next step is the one after it.": (
            _valued(text, [*values[:where], wrong, *again[:-1]])
        ),
        "All later values are the wrong digit. They follow from it by the steps.": (
            _valued(text, [*values[:where], *[wrong] * (len(text) - where)])
        ),
        "The mistake was added to all later values. A multiplication multiplies it as well: do the steps again.": (
            _valued(text, [*values[:where], *((value + wrong - values[where]) % 10 for value in values[where:])])
        ),
        "Every later step was done on the wrong value itself. Each goes on from the value before it.": (
            _valued(text, [*values[:where], wrong, *(values_after(wrong, [s])[0] for s in steps[where + 1 :])])
        ),
    }
    return {said: value for said, value in table.items() if not said or value != table[""]}


def _edit(g: torch.Generator, above: bool) -> Edit:
    """A text in which the value to change stands at other steps too, and a draw that gives a digit above it, or below.

    Some draws are of no use: see `_unclear`.
    """
    steps = random_steps(7, g)
    text = write(steps, values_after(pick(range(10), g), steps), [pick(CONNECTIVES, g) for _ in steps])
    where = pick((2, 3), g)
    value = int(text[where][4])
    draws = range(value, 9) if above else range(value)
    return text, where, pick(draws, g) if draws else 0


def _unclear(text: Text, where: int, draw: int) -> bool:
    """Whether the value stands nowhere else, or two mistakes look alike."""
    values = [words[4] for words in text]
    kept, followed = _kept(text, where, draw), _followed(text, where, draw)
    alike = not distinct(*kept.values()) or not distinct(*followed.values()) or len(followed) < 8 or len(kept) < 11
    return alike or values.count(values[where]) < 2 or not distinct(*values[where : where + 2])


@exercise(
    "chain_of_thought.crossed",
    title="Whose answer is it?",
    points=3,
    minutes=20,
    difficulty=2,
    hints=[
        "A problem with its own text cannot tell, since both lead to one answer. Which entries of the table can tell? "
        "Mark them first, and count only there.",
        "Row i is the problem, column j the text. An entry counts if the two problems have equally many steps and "
        "different values. There, compare the answer with the value of the column, and with that of the row.",
        "counts = (steps[:, None] == steps) & (value[:, None] != value); by_text = (says == value)[counts]; by_problem "
        "= (says == value[:, None])[counts]; return by_text.float().mean().item(), by_problem.float().mean().item()",
    ],
)
def check_crossed(student: Student) -> None:
    given = _crossing(fresh())
    while any(crowded(*table.values()) for table in _sources(*given)):
        given = _crossing(fresh())
    got = student(*given)
    expect_parts(got, 2, "Return two numbers, (by_text, by_problem).")
    for what, value, table in zip(("by_text", "by_problem"), got, _sources(*given), strict=True):
        expect_close(
            value,
            table.pop(""),
            mistakes=table,
            otherwise=f"{what} differs: among the entries that can tell, the share that answers the value of the "
            f"{what.removeprefix('by_')}.",
            what=what,
        )


def _crossing(
    g: torch.Generator,
) -> tuple[Int[Tensor, "problem text"], Int[Tensor, "problem"], Int[Tensor, "problem"]]:
    """Answers that follow the text, or the problem, or neither, each with its own chance."""
    count = 24
    value, steps = torch.randint(0, 10, (count,), generator=g), torch.randint(2, 5, (count,), generator=g)
    by_text, by_problem = (0.15 + 0.3 * torch.rand(2, generator=g)).tolist()
    dice = torch.rand(count, count, generator=g) + 0.25 * (steps[:, None] != steps)
    says = torch.randint(0, 10, (count, count), generator=g)
    says = torch.where(dice < by_text + by_problem, value[:, None].expand_as(says), says)
    says = torch.where(dice < by_text, value.expand_as(says), says)
    return says, value, steps


def _sources(
    says: Int[Tensor, "problem text"], value: Int[Tensor, "problem"], steps: Int[Tensor, "problem"]
) -> list[dict[str, float]]:
    """For by_text and by_problem: mistake → what it would give; the right one under no mistake."""
    long, differ = steps[:, None] == steps, value[:, None] != value
    counts, off = long & differ, ~torch.eye(len(value), dtype=torch.bool)
    text, problem = says == value, says == value[:, None]

    def share(event: Tensor, among: Tensor) -> float:
        return event[among].double().mean().item()

    tables = []
    for name, event, other in (("by_text", text, problem), ("by_problem", problem, text)):
        tables.append(
            {
                "": share(event, counts),
                "Rows and columns are exchanged: a row is a problem, a column a text.": share(other, counts),
                f"{name} counts problems with their own text, too. There text and problem say the same.": (
                    share(event, long)
                ),
                f"{name} counts pairs whose values are equal. There text and problem say the same, and the answer "
                "shows nothing.": share(event, long & off),
                f"{name} counts texts with another number of steps. Such a text does not fit its problem's form.": (
                    share(event, differ)
                ),
                f"{name} counts every entry of the table. Most do not tell text and problem apart, or do not fit.": (
                    event.double().mean().item()
                ),
                f"{name} leaves out only the problems with their own text.": share(event, off),
                f"{name} is divided by all entries. Divide by those that count.": (
                    (event & counts).double().mean().item()
                ),
                f"{name} is divided by all entries with texts of other problems. Divide by those that count.": (
                    (event & counts).double().sum().item() / int(off.sum())
                ),
                f"{name} compares only neighbours in the list. Use every pair that counts.": (
                    share(event, counts & torch.eye(len(value), dtype=torch.bool).roll(1, 1))
                ),
                f"{name} looks at the problems with their own text. There text and problem say the same.": (
                    share(event, ~off)
                ),
            }
        )
    return tables
