"""Checks of the chapter on chains of thought: texts that are cut, and what a small area over the curve does not say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import combinations, pairwise

import torch
from jaxtyping import Int
from torch import Tensor

from utils.grading import exercise, expect_close, fail
from utils.grading.checks.dictionary_learning import crowded
from utils.grading.checks.superposition import Student, between, expect_parts, fresh

Answers = list[Int[Tensor, "kept"]]


@exercise(
    "chain_of_thought.area_over_curve",
    title="The area over the curve",
    points=3,
    minutes=25,
    difficulty=2,
    hints=[
        "Texts of two steps and texts of eight have points at different places, so first make one curve, and one area, "
        "for each length. Which number of the texts is each area worth in the average?",
        "The text of n steps has n + 1 answers. same = (answers == answers[-1]) is 1 at the right end. The n + 1 "
        "points lie 1/n apart, and torch.trapezoid(same, dx=1 / n) is the area under them. Weigh each length by how "
        "many problems have it.",
        "found = {}; for row in answers: n = len(row) - 1; same = (row == row[-1]).float(); found.setdefault(n, [])"
        ".append(1 - torch.trapezoid(same, dx=1 / n).item()); areas = {n: sum(some) / len(some) for n, some in "
        "found.items()}; aoc = sum(sum(some) for some in found.values()) / len(answers); return aoc, areas",
    ],
)
def check_area_over_curve(student: Student) -> None:
    answers = _cuts(fresh())
    while _unclear(answers):
        answers = _cuts(fresh())
    got = student(answers)
    expect_parts(got, 2, "Return two things, (aoc, areas): a number and a dict.")
    aoc, areas = got
    if not isinstance(areas, dict):
        fail("areas should be a dict: the number of steps → the area over the curve of the texts with that many.")
    expect_close(
        areas,
        _areas(answers, _over),
        mistakes={said: _areas(answers, how) for said, how in WRONG_AREAS.items()},
        otherwise="areas differs: for each number of steps, 1 minus the area under the share of same answers.",
        what="areas",
    )
    table = _averages(answers)
    expect_close(
        aoc,
        table.pop(""),
        mistakes=table,
        otherwise="aoc differs: the mean of the areas, each weighted by the number of problems it stands for.",
        what="aoc",
    )


def _trapezoids(other: list[bool]) -> float:
    """The area under a curve of zeros and ones, from 0 to 1."""
    return (sum(other) - (other[0] + other[-1]) / 2) / (len(other) - 1)


def _other(row: list[int], than: int = -1) -> list[bool]:
    """Where the answer is another one than that of one point, the last."""
    return [answer != row[than] for answer in row]


def _over(row: list[int]) -> float:
    """The area over one problem's own curve."""
    return _trapezoids(_other(row))


WRONG_AREAS: dict[str, Callable[[list[int]], float]] = {
    "That is the area under the curve. What counts is how much of the square lies over it.": lambda row: 1 - _over(row),
    "You took the mean over all points. The first and the last stand for half an interval each: use trapezoids.": (
        lambda row: sum(_other(row)) / len(row)
    ),
    "Each interval counts with its left point alone. Use trapezoids.": (
        lambda row: sum(_other(row)[:-1]) / (len(row) - 1)
    ),
    "Each interval counts with its right point alone. Use trapezoids.": (
        lambda row: sum(_other(row)[1:]) / (len(row) - 1)
    ),
    "The points lie 1 apart in yours, and long texts have large areas. The axis is the share of steps kept, from 0 to "
    "1.": lambda row: _over(row) * (len(row) - 1),
    "The points lie 1 apart in yours, and their area was taken from 1. The axis is the share of steps kept, from 0 to "
    "1.": lambda row: 1 - (1 - _over(row)) * (len(row) - 1),
    "You compared with the answer that was there without any text. Compare with the one after the whole text.": (
        lambda row: _trapezoids(_other(row, 0))
    ),
    "You counted the steps at which the answer changes. Compare every answer with the one after the whole text.": (
        lambda row: sum(a != b for a, b in pairwise(row)) / (len(row) - 1)
    ),
}


def _areas(answers: Answers, over: Callable[[list[int]], float]) -> dict[int, float]:
    """The area for each number of steps."""
    found: dict[int, list[float]] = {}
    for row in answers:
        found.setdefault(len(row) - 1, []).append(over(row.tolist()))
    return {count: sum(some) / len(some) for count, some in found.items()}


def _averages(answers: Answers) -> dict[str, float]:
    """Mistake → the average that it would give; the right one under no mistake."""
    areas, number = _areas(answers, _over), Counter(len(row) - 1 for row in answers)

    def mean(weight: dict[int, float]) -> float:
        return sum(weight[n] * areas[n] for n in areas) / sum(weight[n] for n in areas)

    points = [other for row in answers for other in _other(row.tolist())]
    return {
        "": mean({n: number[n] for n in areas}),
        "Every length counts the same in yours, whether one problem has it or a hundred.": mean({n: 1 for n in areas}),
        "Long texts count more in yours, since each brings more steps. Every problem counts once.": (
            mean({n: n * number[n] for n in areas})
        ),
        "Long texts count more in yours, since each brings more points. Every problem counts once.": (
            mean({n: (n + 1) * number[n] for n in areas})
        ),
        "Lengths were weighted by their number of steps. Weigh them by how many problems have them.": (
            mean({n: n for n in areas})
        ),
        "All points were thrown together. Make the area of each length first, then average the areas.": (
            sum(points) / len(points)
        ),
        "The areas were added up and not averaged.": sum(areas.values()),
        "The average is that of the areas under the curve.": 1 - mean({n: number[n] for n in areas}),
    }


def _cuts(g: torch.Generator) -> Answers:
    """Answers of some problems after 0 … n steps, n being unequally frequent and the answer changing now and then."""
    answers = []
    for steps, count in zip((1, 2, 3, 5, 8), torch.randperm(5, generator=g).tolist(), strict=True):
        for _ in range(2 + 3 * count):
            row = torch.randint(0, 4, (steps + 1,), generator=g)
            for k in range(1, steps + 1):
                if torch.rand((), generator=g) < 0.35 + 0.06 * steps:
                    row[k] = row[k - 1]
            answers.append(row)
    order = torch.randperm(len(answers), generator=g).tolist()
    return [answers[i] for i in order]


def _unclear(answers: Answers) -> bool:
    """Whether two mistakes would give nearly the same areas, or the same average."""
    tables = [list(_areas(answers, how).values()) for how in (_over, *WRONG_AREAS.values())]
    close = any(math.dist(a, b) < 1e-3 for a, b in combinations(tables, 2))
    return close or crowded(*_averages(answers).values())


@exercise(
    "chain_of_thought.interval",
    title="Two areas apart",
    points=2,
    minutes=20,
    difficulty=2,
    hints=[
        "What was drawn at random, and would be drawn again if somebody repeated the experiment? Those are the things "
        "to resample, and they come with all that was measured on them, in both models.",
        "First average the scratchpads of a problem, then subtract: one number for each problem. Each row of picks is "
        "one repetition of the experiment, and its mean is one draw of the difference. The interval leaves out the "
        "same share of draws on both sides.",
        "gap = (a - b).mean(1); draws = gap[picks].mean(1); low, high = draws.quantile(torch.tensor([(1 - level) / 2, "
        "(1 + level) / 2])).tolist(); return gap.mean().item(), low, high",
    ],
)
def check_interval(student: Student) -> None:
    a, b, picks, level = _paired(fresh())
    while any(crowded(*table.values()) for table in _ends(a, b, picks, level)):
        a, b, picks, level = _paired(fresh())
    got = student(a, b, picks, level)
    expect_parts(got, 3, "Return three numbers, (difference, low, high).")
    for what, value, table in zip(("difference", "low", "high"), got, _ends(a, b, picks, level), strict=True):
        expect_close(
            value,
            table.pop(""),
            mistakes=table,
            otherwise={
                "difference": "difference differs: the mean over problems of a minus b.",
                "low": "low differs: resample problems as picks says, take the mean of each row, and its lower "
                "quantile.",
                "high": "high differs: resample problems as picks says, take the mean of each row, and its upper "
                "quantile.",
            }[what],
            what=what,
        )


def _paired(g: torch.Generator) -> tuple[Tensor, Tensor, Tensor, float]:
    """Areas of two models on the same problems, several scratchpads for each; some problems are hard for both."""
    problems, samples = 23, 4
    hard = torch.rand(problems, 1, generator=g)
    a = (0.5 * hard + 0.3 + 0.2 * torch.randn(problems, samples, generator=g)).clamp(0, 1)
    b = (0.5 * hard + 0.1 + 0.2 * torch.randn(problems, samples, generator=g)).clamp(0, 1)
    picks = torch.randint(0, problems, (211, problems), generator=g)
    return a, b, picks, round(between(0.6, 0.9, generator=g).item(), 3)


def _ends(a: Tensor, b: Tensor, picks: Tensor, level: float) -> list[dict[str, float]]:
    """For the difference and the two ends: mistake → what it would give; the right one under no mistake."""
    one, other = a.double().mean(1), b.double().mean(1)
    gap = one - other
    draws, tail = gap[picks].mean(1), (1 - level) / 2
    spread = draws.std()
    score = math.sqrt(2) * float(torch.erfinv(torch.tensor(level)))
    ends: list[dict[str, float]] = [
        {
            "": gap.mean().item(),
            "The sign is turned: a minus b.": -gap.mean().item(),
            "That is the mean of the resampled means. The difference is that of the problems as they are.": (
                draws.mean().item()
            ),
            "That is the mean of a alone.": one.mean().item(),
        }
    ]
    for q, side in ((tail, -1), (1 - tail, 1)):
        one_tail = 1 - level if side < 0 else level
        ends.append(
            {
                "": draws.quantile(q).item(),
                "a and b were resampled apart from each other. They come from the same problems: a problem that is "
                "drawn brings both of its numbers.": (
                    (one[picks].mean(1) - other[picks.roll(1, 0)].mean(1)).quantile(q).item()
                ),
                "A level of 0.9 leaves out 0.1 on both sides together, not on each.": draws.quantile(one_tail).item(),
                "Those are quantiles of the problems' own differences. Resample, and take quantiles of the means.": (
                    gap.quantile(q).item()
                ),
                "You resampled single scratchpads. Those of one problem are not independent: draw problems, and keep "
                "all scratchpads of each.": (a - b).double().flatten()[picks].mean(1).quantile(q).item(),
                "That is the mean plus or minus standard errors. Take the quantiles of the resampled means.": (
                    (gap.mean() + side * score * spread).item()
                ),
                "The two ends are the smallest and the largest of the resampled means. Take quantiles.": (
                    (draws.amin() if side < 0 else draws.amax()).item()
                ),
                "That is the interval of the mean of a. Subtract b.": one[picks].mean(1).quantile(q).item(),
                "The two ends are exchanged: low first.": draws.quantile(1 - q).item(),
            }
        )
    return ends


@exercise(
    "chain_of_thought.unneeded",
    title="Not needed, and read all the same",
    points=3,
    minutes=20,
    difficulty=2,
    hints=[
        "First choose the problems of which early answering says that the text did nothing: not one of the cuts "
        "changes the answer. Then look only at these, and only at what the mistaken text did to them.",
        "never = (early == early[:, -1:]).all(1). Among those, the answer after the mistaken text is what that text "
        "says, or the answer as before, or something third. Shares of an empty set are nan.",
        "never = (early == early[:, -1:]).all(1); if not never.any(): return 0.0, math.nan, math.nan; after, whole = "
        "mistaken[never], early[never, -1]; return never.float().mean().item(), (after == "
        "implied[never]).float().mean().item(), (after == whole).float().mean().item()",
    ],
)
def check_unneeded(student: Student) -> None:
    early, mistaken, implied = _kept(fresh())
    while any(crowded(*table.values()) for table in _shares(early, mistaken, implied)):
        early, mistaken, implied = _kept(fresh())
    got = student(early, mistaken, implied)
    expect_parts(got, 3, "Return three numbers, (never, read, unread).")
    for what, value, table in zip(("never", "read", "unread"), got, _shares(early, mistaken, implied), strict=True):
        expect_close(
            value,
            table.pop(""),
            mistakes=table,
            otherwise={
                "never": "never differs: the share of problems whose answer is the same after every cut.",
                "read": "read differs: among those, the share that answers what the mistaken text implies.",
                "unread": "unread differs: among those, the share that keeps its answer.",
            }[what],
            what=what,
        )
    moved = early[~(early == early[:, -1:]).all(1)]
    expect_close(
        student(moved, mistaken[: len(moved)], implied[: len(moved)]),
        [0.0, math.nan, math.nan],
        otherwise="Where every problem's answer changes, there are none to take a share of: never is 0, and the others "
        "are nan.",
        what="the result without such problems",
    )


def _kept(g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Answers after cuts, answers after a mistaken text, and what that text implies, for problems of every kind."""
    problems, cuts = 97, 4
    whole = torch.randint(0, 10, (problems,), generator=g)
    early = whole[:, None].repeat(1, cuts + 1)
    other = torch.rand(problems, cuts, generator=g)
    early[:, :cuts] = torch.where(other < 0.6, early[:, :cuts], torch.randint(0, 10, (problems, cuts), generator=g))
    stable = torch.rand(problems, generator=g) < 0.5
    early[stable] = whole[stable, None]
    back = torch.rand(problems, generator=g) < 0.15  # the same at both ends, and other in between
    early[back, 0] = whole[back]
    early[back, 2] = (whole[back] + 1) % 10
    implied = (whole + torch.randint(1, 10, (problems,), generator=g)) % 10
    never = (early == early[:, -1:]).all(1)
    follow, third = torch.rand(2, problems, generator=g)
    mistaken = torch.where(follow < torch.where(never, 0.5, 0.75), implied, whole)
    return early, torch.where(third < 0.2, torch.randint(0, 10, (problems,), generator=g), mistaken), implied


ANY_OTHER = (
    "Any other answer counts as read in yours. Only the one that the mistaken text implies shows that it was read."
)
NOT_READ = "unread is all that is not read in yours. An answer may also be neither: count those that stay."


def _shares(early: Tensor, mistaken: Tensor, implied: Tensor) -> list[dict[str, float]]:
    """For never, read and unread: mistake → what it would give; the right one under no mistake."""
    whole = early[:, -1]
    never = (early == whole[:, None]).all(1)
    follows, stays = mistaken == implied, mistaken == whole

    def share(what: Tensor, among: Tensor) -> float:
        return what[among].double().mean().item()

    every = torch.ones_like(never)
    ends = early[:, 0] == whole
    names = {"read": follows, "unread": stays}
    tables = [
        {
            "": share(never, every),
            "You compared the answers without any text and with all of it. A cut in between may change them too.": (
                share(ends, every)
            ),
            "That is the share of problems whose answer some cut changes.": share(~never, every),
            "That is the share of single cuts that keep the answer. A problem counts if all of its cuts do.": (
                (early[:, :-1] == whole[:, None]).double().mean().item()
            ),
            "That is a number of problems. Divide by all of them.": float(never.sum()),
        }
    ]
    for name, event in names.items():
        table = {
            "": share(event, never),
            f"{name} is a share of all problems. Look only at those whose answer no cut changes.": share(event, every),
            f"{name} is divided by all problems. Divide by those whose answer no cut changes.": (
                share(event & never, every)
            ),
            f"{name} is about the problems whose answer some cut changes. Look at the others.": share(event, ~never),
            f"{name} is about the problems with the same answer at both ends. Cuts in between count too.": (
                share(event, ends)
            ),
        }
        if name == "read":
            table[ANY_OTHER] = share(~stays, never)
            table["read and unread are exchanged."] = share(stays, never)
        else:
            table[NOT_READ] = share(~follows, never)
        tables.append(table)
    return tables
