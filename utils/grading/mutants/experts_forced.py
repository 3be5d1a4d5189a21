"""Answers about a forced route: other right ones, and wrong ones that people give."""

from __future__ import annotations

import torch

from utils.grading.mutants import Answers, Mutant

NOTEBOOK_EXPERT = 3  # a variable of the notebook
NOTEBOOK_WHERE = torch.tensor([True, False] * 6)


def force_by_loop(weights, expert, where):
    new, changed = weights.clone(), torch.zeros_like(where)
    for i, row in enumerate(weights.tolist()):
        if not where[i] or row[expert] > 0:
            continue
        last = min((w, e) for e, w in enumerate(row) if w > 0)[1]
        new[i, expert], new[i, last], changed[i] = row[last], 0.0, True
    return new, changed


def force_by_matrix(weights, expert, where):
    lowest = weights.masked_fill(weights == 0, torch.inf).amin(-1, keepdim=True)
    changed = where & (weights[:, expert] == 0)
    without = torch.where(weights == lowest, 0.0, weights)
    seat = torch.nn.functional.one_hot(torch.tensor(expert), weights.shape[1])
    return torch.where(changed[:, None], without + lowest * seat, weights), changed


def _force(
    out=lambda weights: weights.masked_fill(weights == 0, torch.inf).argmin(-1),
    rows=lambda weights, expert, where: where & (weights[:, expert] == 0),
    give=None, leave=True, take=True, after=None, says=None,
):  # fmt: skip
    """The right answer with one of its pieces replaced."""

    def answer(weights, expert, where):
        changed, last = rows(weights, expert, where), out(weights)
        new = weights.clone()
        for i in changed.nonzero()[:, 0].tolist():
            if leave:
                new[i, last[i]] = 0.0
            if take:
                new[i, expert] = give(weights[i]) if give else weights[i, last[i]]
        new = after(new, changed) if after else new
        return new, says(weights, expert, where) if says else where & (weights[:, expert] == 0)

    return answer


def force_in_place(weights, expert, where):
    new, changed = force_by_loop(weights, expert, where)
    weights[:] = new
    return weights, changed


def force_only(weights, expert, where):
    new = weights.clone()
    new[where] = 0
    new[where, expert] = 1
    return new, where & (weights[:, expert] == 0)


def force_drops_last(weights, expert, where):
    new, changed = force_by_loop(weights, expert, where)
    for i in (where & ~changed).nonzero()[:, 0].tolist():
        new[i, weights[i].masked_fill(weights[i] == 0, torch.inf).argmin()] = 0
    return new, changed


def _unit(new, changed):
    return new / new.sum(-1, keepdim=True)


ANSWERS = {
    "experts.force_route": Answers(
        alternatives=[force_by_loop, force_by_matrix],
        mutants=[
            Mutant(_force(after=_unit), "The weights were renormalised afterwards"),
            Mutant(
                _force(after=lambda new, changed: torch.where(changed[:, None], _unit(new, changed), new)),
                "The weights of the changed tokens were renormalised",
            ),
            Mutant(_force(leave=False), "nobody left"),
            Mutant(_force(take=False), "nobody took it"),
            Mutant(_force(give=lambda row: 1.0), "got the weight 1"),
            Mutant(_force(give=lambda row: row.max()), "the first choice's weight"),
            Mutant(_force(out=lambda weights: weights.argmax(-1)), "place of the first choice"),
            Mutant(_force(rows=lambda w, expert, where: w[:, expert] == 0), "Every token was forced"),
            Mutant(
                lambda weights, expert, where: force_by_loop(weights, expert, where | True),
                "stays the same when where is another one",
            ),
            Mutant(_force(rows=lambda w, expert, where: ~where & (w[:, expert] == 0)), "where was turned round"),
            Mutant(_force(rows=lambda weights, expert, where: where), "had the expert already were changed"),
            Mutant(force_drops_last, "the last choice lost its seat. They stay"),
            Mutant(force_only, "the token's only choice"),
            Mutant(_force(out=lambda weights: weights.argmin(-1)), "Nothing has changed"),
            Mutant(_force(says=lambda weights, expert, where: where), "where a change was asked for"),
            Mutant(_force(says=lambda w, expert, where: ~(where & (w[:, expert] == 0))), "changed is turned round"),
            Mutant(_force(says=lambda w, expert, where: w[:, expert] == 0), "at which nothing was asked for"),
            Mutant(
                lambda weights, expert, where: (lambda new: (new, new[:, expert] > 0))(
                    force_by_loop(weights, expert, where)[0]
                ),
                "where the expert has a weight now",
            ),
            Mutant(
                lambda weights, expert, where: force_by_loop(weights, expert, NOTEBOOK_WHERE),
                "stays the same when where is another one",
            ),
            Mutant(
                lambda weights, expert, where: force_by_loop(weights, NOTEBOOK_EXPERT, where),
                "stays the same when expert is another one",
            ),
            Mutant(force_in_place, "changed its argument weights in place"),
            Mutant(lambda *given: force_by_loop(*given)[0], "Return two tensors"),
        ],
    ),
}
