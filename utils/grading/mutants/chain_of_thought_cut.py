"""Answers about texts that are cut: other right ones, and wrong ones that people give."""

from __future__ import annotations

import math
from collections import defaultdict

import torch

from utils.grading.mutants import Answers, Mutant

# --- area_over_curve -------------------------------------------------------------------------------------------------


def area_by_length(answers):
    """One curve for each length, as in the paper."""
    rows = defaultdict(list)
    for row in answers:
        rows[len(row) - 1].append(row == row[-1])
    areas, total = {}, torch.tensor(0.0)
    for n, same in rows.items():
        curve = torch.stack(same).float().mean(0)
        areas[n] = 1 - (curve[1:] + curve[:-1]).sum() / (2 * n)
        total = total + len(same) / len(answers) * areas[n]
    return total, areas


def area_by_problem(answers):
    """Areas are linear in the curves, so the average is that of the problems' own."""
    own = [(len(row) - 1, _trapezoids([int(a != row[-1]) for a in row])) for row in answers]
    lengths = sorted({n for n, _ in own})
    areas = {n: sum(a for m, a in own if m == n) / sum(m == n for m, _ in own) for n in lengths}
    return sum(a for _, a in own) / len(own), areas


def _trapezoids(other):
    return (sum(other) - other[0] / 2 - other[-1] / 2) / (len(other) - 1)


def _area(own=None, weight=lambda n, count: count, average=None):
    """The right answer with a problem's own area, or the weight of a length, replaced."""

    def answer(answers):
        rows = defaultdict(list)
        for row in answers:
            rows[len(row) - 1].append(own(row) if own else _trapezoids([int(a != row[-1]) for a in row]))
        areas = {n: float(sum(some) / len(some)) for n, some in rows.items()}
        weights = {n: weight(n, len(some)) for n, some in rows.items()}
        aoc = sum(areas[n] * weights[n] for n in areas) / sum(weights.values())
        return average(answers, areas) if average else aoc, areas

    return answer


def _other(row):
    return (row != row[-1]).double()


# --- interval --------------------------------------------------------------------------------------------------------


def interval_by_sorting(a, b, picks, level):
    """The quantiles by hand."""
    draws = sorted(float((a[row] - b[row]).double().mean()) for row in picks)

    def quantile(q):
        place = q * (len(draws) - 1)
        below = math.floor(place)
        above = min(below + 1, len(draws) - 1)
        return draws[below] + (place - below) * (draws[above] - draws[below])

    return [float(a.mean() - b.mean()), quantile((1 - level) / 2), quantile((1 + level) / 2)]


def interval_by_counts(a, b, picks, level):
    """How often each problem was drawn, as weights."""
    weights = torch.nn.functional.one_hot(picks, len(a)).sum(1).double() / len(a)
    draws = weights @ a.mean(1).double() - weights @ b.mean(1).double()
    return (a.mean() - b.mean(), *draws.quantile(torch.tensor([0.5 - level / 2, 0.5 + level / 2]).double()))


def _interval(gap=lambda a, b: (a - b).mean(1), draws=None, ends=None, difference=None):
    def answer(a, b, picks, level):
        one = gap(a, b)
        found = draws(a, b, picks) if draws else one[picks].mean(1)
        low, high = ends(found, one, level) if ends else _quantiles(found, (1 - level) / 2)
        return difference(a, b, found) if difference else (a - b).mean().item(), low, high

    return answer


def _quantiles(found, tail):
    return found.quantile(tail).item(), found.quantile(1 - tail).item()


def _by_errors(found, one, level):
    reach = found.std() * torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor((1 + level) / 2))
    return (one.mean() - reach).item(), (one.mean() + reach).item()


def _apart(a, b, picks):
    return a.mean(1)[picks].mean(1) - b.mean(1)[picks.roll(1, 0)].mean(1)


# --- unneeded --------------------------------------------------------------------------------------------------------


def unneeded_by_loop(early, mistaken, implied):
    never, read, unread = 0, 0, 0
    for row, after, says in zip(early.tolist(), mistaken.tolist(), implied.tolist(), strict=True):
        if len(set(row)) == 1:
            never, read, unread = never + 1, read + (after == says), unread + (after == row[0])
    return never / len(early), read / never if never else math.nan, unread / never if never else math.nan


def unneeded_by_means(early, mistaken, implied):
    """The mean of an empty tensor is nan by itself."""
    never = early.amax(1) == early.amin(1)
    return [
        never.double().mean(),
        (mistaken == implied)[never].double().mean(),
        (mistaken == early[:, -1])[never].double().mean(),
    ]


def _unneeded(never=None, read=None, unread=None):
    def answer(early, mistaken, implied):
        right = unneeded_by_means(early, mistaken, implied)
        same = early == early[:, -1:]
        events = (mistaken == implied).double(), (mistaken == early[:, -1]).double(), same.all(1)
        return (
            never(same) if never else right[0],
            read(*events, same) if read else right[1],
            unread(*events, same) if unread else right[2],
        )

    return answer


def unneeded_zero(early, mistaken, implied):
    return tuple(0.0 if math.isnan(x) else x for x in unneeded_by_loop(early, mistaken, implied))


ANSWERS = {
    "chain_of_thought.area_over_curve": Answers(
        alternatives=[area_by_length, area_by_problem],
        mutants=[
            Mutant(lambda answers: area_by_problem(answers)[0], "Return two things"),
            Mutant(
                lambda answers: (area_by_problem(answers)[0], list(area_by_problem(answers)[1])), "should be a dict"
            ),
            Mutant(_area(lambda row: 1 - _trapezoids(_other(row))), "area under the curve. What counts"),
            Mutant(_area(lambda row: _other(row).mean()), "the mean over all points"),
            Mutant(_area(lambda row: _other(row)[:-1].mean()), "left point alone"),
            Mutant(_area(lambda row: _other(row)[1:].mean()), "right point alone"),
            Mutant(_area(lambda row: torch.trapezoid(_other(row))), "long texts have large areas"),
            Mutant(_area(lambda row: 1 - torch.trapezoid(1 - _other(row))), "taken from 1"),
            Mutant(_area(lambda row: _trapezoids((row != row[0]).double())), "without any text"),
            Mutant(_area(lambda row: (row[1:] != row[:-1]).double().mean()), "at which the answer changes"),
            Mutant(_area(weight=lambda n, count: 1), "Every length counts the same"),
            Mutant(_area(weight=lambda n, count: n * count), "brings more steps"),
            Mutant(_area(weight=lambda n, count: (n + 1) * count), "brings more points"),
            Mutant(_area(weight=lambda n, count: n), "by their number of steps"),
            Mutant(
                _area(average=lambda answers, areas: torch.cat([_other(row) for row in answers]).mean()),
                "thrown together",
            ),
            Mutant(_area(average=lambda answers, areas: sum(areas.values())), "added up"),
            Mutant(_area(average=lambda answers, areas: 1 - area_by_problem(answers)[0]), "areas under the curve"),
        ],
    ),
    "chain_of_thought.interval": Answers(
        alternatives=[interval_by_sorting, interval_by_counts],
        mutants=[
            Mutant(lambda *given: interval_by_sorting(*given)[1:], "Return three numbers"),
            Mutant(_interval(difference=lambda a, b, draws: (b - a).mean()), "sign is turned"),
            Mutant(_interval(difference=lambda a, b, draws: draws.mean()), "mean of the resampled means"),
            Mutant(_interval(difference=lambda a, b, draws: a.mean()), "mean of a alone"),
            Mutant(_interval(draws=_apart), "apart from each other"),
            Mutant(_interval(ends=lambda draws, gap, level: _quantiles(draws, 1 - level)), "not on each"),
            Mutant(_interval(ends=lambda draws, gap, level: _quantiles(gap, (1 - level) / 2)), "own differences"),
            Mutant(
                _interval(draws=lambda a, b, picks: (a - b).flatten()[picks].mean(1)), "resampled single scratchpads"
            ),
            Mutant(_interval(ends=_by_errors), "plus or minus standard errors"),
            Mutant(_interval(ends=lambda draws, gap, level: (draws.min(), draws.max())), "smallest and the largest"),
            Mutant(_interval(gap=lambda a, b: a.mean(1)), "interval of the mean of a"),
            Mutant(_interval(ends=lambda draws, gap, level: _quantiles(draws, (1 + level) / 2)), "ends are exchanged"),
        ],
    ),
    "chain_of_thought.unneeded": Answers(
        alternatives=[unneeded_by_loop, unneeded_by_means],
        mutants=[
            Mutant(lambda *given: unneeded_by_means(*given)[1:], "Return three numbers"),
            Mutant(unneeded_zero, "the others are nan"),
            Mutant(_unneeded(never=lambda same: same[:, 0].double().mean()), "without any text and with all of it"),
            Mutant(_unneeded(never=lambda same: 1 - same.all(1).double().mean()), "some cut changes"),
            Mutant(_unneeded(never=lambda same: same[:, :-1].double().mean()), "single cuts that keep"),
            Mutant(_unneeded(never=lambda same: same.all(1).sum()), "number of problems"),
            Mutant(_unneeded(read=lambda follows, stays, never, same: follows.mean()), "read is a share of all"),
            Mutant(
                _unneeded(read=lambda follows, stays, never, same: (follows * never).mean()), "read is divided by all"
            ),
            Mutant(
                _unneeded(read=lambda follows, stays, never, same: follows[~never].mean()),
                "read is about the problems whose answer some cut changes",
            ),
            Mutant(
                _unneeded(read=lambda follows, stays, never, same: follows[same[:, 0]].mean()),
                "read is about the problems with the same answer at both ends",
            ),
            Mutant(
                _unneeded(read=lambda follows, stays, never, same: 1 - stays[never].mean()), "Any other answer counts"
            ),
            Mutant(_unneeded(read=lambda follows, stays, never, same: stays[never].mean()), "are exchanged"),
            Mutant(_unneeded(unread=lambda follows, stays, never, same: stays.mean()), "unread is a share of all"),
            Mutant(
                _unneeded(unread=lambda follows, stays, never, same: 1 - follows[never].mean()), "all that is not read"
            ),
        ],
    ),
}
