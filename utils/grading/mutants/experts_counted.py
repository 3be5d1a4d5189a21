"""Answers about counts: other right ones, and wrong ones that people give."""

from __future__ import annotations

from math import comb, log, log2

import torch

from utils.grading.mutants import Answers, Mutant
from utils.measure.routing import chance_repetition
from utils.measure.routing import repetition as library_repetition

# --- repetition ------------------------------------------------------------------------------------------------------


def repetition_by_sets(chosen, n_experts):
    rows, k = chosen.tolist(), chosen.shape[2]
    pairs = [(row[i], row[i + 1]) for row in rows for i in range(len(row) - 1)]
    first = sum(a[0] == b[0] for a, b in pairs) / len(pairs)
    either = sum(bool(set(a) & set(b)) for a, b in pairs) / len(pairs)
    avoid = 1.0
    for i in range(k):
        avoid *= (n_experts - k - i) / (n_experts - i)
    return first, either, 1 / n_experts, 1 - avoid


def repetition_by_library(chosen, n_experts):
    return [*library_repetition(chosen), *chance_repetition(n_experts, chosen.shape[2])]


def _repetition(**changes):
    """The right four numbers with one replaced by a function of choices and the number of experts."""
    places = ["first", "either", "chance_first", "chance_either"]

    def answer(chosen, n_experts):
        right = list(repetition_by_sets(chosen, n_experts))
        for name, change in changes.items():
            right[places.index(name)] = float(change(chosen, n_experts))
        return tuple(right)

    return answer


def _grid(chosen):
    return (chosen[:, :-1, :, None] == chosen[:, 1:, None, :]).float()


def _joined(chosen):
    return chosen.flatten(0, 1)[None]


def _same(chosen):
    return (chosen[:, :-1, 0] == chosen[:, 1:, 0]).float()


# --- information -----------------------------------------------------------------------------------------------------


def information_by_loop(counts):
    rows, n = counts.tolist(), float(counts.sum())
    by_label = [sum(row) for row in rows]
    by_expert = [sum(column) for column in zip(*rows, strict=True)]
    value, cells = 0.0, 0
    for i, row in enumerate(rows):
        for j, count in enumerate(row):
            if count:
                cells += 1
                value += count / n * log2(count * n / (by_label[i] * by_expert[j]))
    used = sum(map(bool, by_label)) + sum(map(bool, by_expert))
    return value, value - (cells - used + 1) / (2 * n * log(2))


def information_by_entropies(counts):
    """Miller's correction of each entropy."""

    def h(of):
        share = of[of > 0].double() / of.sum()
        return -(share * share.log2()).sum()

    def better(of):
        return h(of) + ((of > 0).sum() - 1) / (2 * of.sum() * log(2))

    parts = counts.sum(1), counts.sum(0), counts.flatten()
    return h(parts[0]) + h(parts[1]) - h(parts[2]), better(parts[0]) + better(parts[1]) - better(parts[2])


def _information(plug_in=None, corrected=None):
    """The right answer with one of its two numbers replaced; given the table, the value, and the bias."""

    def answer(counts):
        value, better = information_by_loop(counts)
        return (
            plug_in(counts, value) if plug_in else value,
            corrected(counts, value, value - better) if corrected else better,
        )

    return answer


def _entropy(counts):
    share = counts.flatten().double() / counts.sum()
    return float(torch.special.entr(share).sum() / log(2))


def _full(counts, value, bias, cells, rows, columns):
    return value - (cells - rows - columns + 1) / (2 * float(counts.sum()) * log(2))


def _used(counts):
    return int((counts > 0).sum()), int((counts.sum(1) > 0).sum()), int((counts.sum(0) > 0).sum())


def information_with_logs(counts):
    p = counts / counts.sum()
    value = (p * (p / (p.sum(0) * p.sum(1, keepdim=True))).log2()).sum()
    return value, value


ANSWERS = {
    "experts.repetition": Answers(
        alternatives=[repetition_by_sets, repetition_by_library],
        mutants=[
            Mutant(_repetition(first=lambda c, n: _same(_joined(c)).mean()), "across the end of a sequence"),
            Mutant(_repetition(first=lambda c, n: (c[:-1, :, 0] == c[1:, :, 0]).float().mean()), "in two sequences"),
            Mutant(
                _repetition(first=lambda c, n: _same(c).sum() / c[..., 0].numel()), "divided by the number of tokens"
            ),
            Mutant(_repetition(first=lambda c, n: 1 - _same(c).mean()), "first choices differ"),
            Mutant(_repetition(first=lambda c, n: _same(c).sum()), "number of pairs"),
            Mutant(
                _repetition(either=lambda c, n: (c[:, 1:] == c[:, :-1]).any(-1).float().mean()), "second with second"
            ),
            Mutant(
                _repetition(either=lambda c, n: (_grid(c).sum((2, 3)) == c.shape[2]).float().mean()),
                "all choices in common",
            ),
            Mutant(_repetition(either=lambda c, n: _grid(c).sum((2, 3)).mean()), "mean number of experts in common"),
            Mutant(_repetition(either=lambda c, n: _grid(c).sum(3).mean()), "mean share of choices"),
            Mutant(_repetition(either=lambda c, n: _grid(c)[:, :, 0].any(-1).float().mean()), "the first choice comes"),
            Mutant(_repetition(either=lambda c, n: _grid(c)[..., 0].any(-1).float().mean()), "next token's first"),
            Mutant(_repetition(either=lambda c, n: _grid(_joined(c)).flatten(2).any(-1).float().mean()), "for either"),
            Mutant(_repetition(chance_first=lambda c, n: c.shape[2] / n), "being among the choices"),
            Mutant(_repetition(chance_first=lambda c, n: 1 / n**2), "first twice"),
            Mutant(_repetition(chance_either=lambda c, n: 1 - (1 - c.shape[2] / n) ** c.shape[2]), "expert twice"),
            Mutant(_repetition(chance_either=lambda c, n: c.shape[2] ** 2 / n), "at least one is smaller"),
            Mutant(_repetition(chance_either=lambda c, n: 1 / comb(n, c.shape[2])), "all choices come again"),
            Mutant(
                _repetition(chance_either=lambda c, n: comb(n - c.shape[2], c.shape[2]) / comb(n, c.shape[2])),
                "no expert comes again",
            ),
            Mutant(lambda *given: repetition_by_sets(*given)[:2], "Return four numbers"),
        ],
    ),
    "experts.information": Answers(
        alternatives=[information_by_loop, information_by_entropies],
        mutants=[
            Mutant(_information(lambda counts, value: value * log(2)), "Those are nats"),
            Mutant(_information(lambda counts, value: -value), "The sign is turned round"),
            Mutant(_information(lambda counts, value: _entropy(counts)), "the joint entropy"),
            Mutant(_information(lambda counts, v: _entropy(counts.sum(0)) - v), "unknown about the expert"),
            Mutant(_information(lambda counts, v: _entropy(counts.sum(1)) - v), "unknown about the label"),
            Mutant(_information(lambda counts, v: v / _entropy(counts.sum(0))), "by the entropy of the experts"),
            Mutant(information_with_logs, "contains NaN"),
            Mutant(_information(corrected=lambda c, value, bias: value), "Nothing was corrected"),
            Mutant(_information(corrected=lambda c, value, bias: value + bias), "The bias was added"),
            Mutant(_information(corrected=lambda c, value, bias: value - bias * log(2)), "Divide it by ln 2"),
            Mutant(_information(corrected=lambda c, value, bias: value - 2 * bias), "The 2 in the denominator"),
            Mutant(_information(corrected=lambda c, v, b: _full(c, v, b, c.numel(), *c.shape)), "the empty ones too"),
            Mutant(
                _information(corrected=lambda c, v, b: _full(c, v, b, _used(c)[1] * _used(c)[2], *_used(c)[1:])),
                "rows times columns",
            ),
            Mutant(
                _information(corrected=lambda c, v, b: v - (_used(c)[0] - 1) / (2 * float(c.sum()) * log(2))),
                "corrected the joint entropy",
            ),
            Mutant(
                _information(corrected=lambda c, v, b: v - b * float(c.sum()) / c.numel()), "by the number of cells"
            ),
            Mutant(_information(corrected=lambda c, v, bias: max(v - bias, 0.0)), "Negative values were set to 0"),
            Mutant(lambda counts: information_by_loop(counts)[1], "Return two numbers"),
        ],
    ),
}
