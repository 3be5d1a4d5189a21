"""Checks of the chapter on experts: tokens counted by expert, and what can be learned from counts."""

from __future__ import annotations

from math import comb, log

import torch
from jaxtyping import Int
from torch import Tensor

from utils.grading import exercise, expect_close
from utils.grading.checks.dictionary_learning import crowded
from utils.grading.checks.superposition import Student, expect_parts, fresh

LN2 = log(2)


@exercise(
    "experts.repetition",
    title="The same expert again",
    points=2,
    minutes=20,
    difficulty=1,
    hints=[
        "Pairs of neighbours: chosen[:, :-1] beside chosen[:, 1:]. A sequence has one pair fewer than tokens, and the "
        "last token of one sequence is no neighbour of the next one's first.",
        "Compare every choice of a token with every choice of its neighbour: give one an axis at the end and the other "
        "an axis before it. For the chance, count: how many sets of choices avoid the given ones altogether?",
        "here, after = chosen[:, :-1], chosen[:, 1:]; first = (here[..., 0] == after[..., 0]).float().mean(); either = "
        "(here[..., :, None] == after[..., None, :]).any(-1).any(-1).float().mean(); the chances are 1 / n and 1 - "
        "comb(n - k, k) / comb(n, k)",
    ],
)
def check_repetition(student: Student) -> None:
    g = fresh()
    for n_experts, choices in ((7, 2), (9, 3)):
        chosen = _sticky(g, n_experts, choices)
        while any(crowded(*table.values()) for table in _repetitions(chosen, n_experts).values()):
            chosen = _sticky(g, n_experts, choices)
        got = student(chosen, n_experts)
        expect_parts(got, 4, "Return four numbers, (first, either, chance_first, chance_either).")
        for value, (what, table) in zip(got, _repetitions(chosen, n_experts).items(), strict=True):
            expect_close(value, table.pop(""), mistakes=table, otherwise=f"{what} differs.", what=what)


def _sticky(g: torch.Generator, n_experts: int, choices: int) -> Int[Tensor, "batch pos choice"]:
    """Choices of which some are those of the token before, in another order."""
    batch, pos = 5, 8
    drawn = torch.rand(batch, pos, n_experts, generator=g)
    for i in range(1, pos):
        again = torch.rand(batch, 1, generator=g) < 0.4
        near = drawn[:, i - 1] + 0.4 * torch.rand(batch, n_experts, generator=g)
        drawn[:, i] = torch.where(again, near, drawn[:, i])
    return drawn.topk(choices, dim=-1).indices


def _repetitions(chosen: Int[Tensor, "batch pos choice"], n: int) -> dict[str, dict[str, float]]:
    """For each of the four numbers: mistake → what it would give."""
    k = chosen.shape[-1]

    def pairs(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return (a[..., 0] == b[..., 0]).float(), (a[..., :, None] == b[..., None, :]).float()

    first, grid = pairs(chosen[:, :-1], chosen[:, 1:])
    flat = chosen.flatten(0, 1)
    joined_first, joined = pairs(flat[:-1], flat[1:])
    across_first, across = pairs(chosen[:-1], chosen[1:])
    some = grid.flatten(-2).amax(-1)
    tokens = chosen.shape[0] * chosen.shape[1]
    return {
        "first": {
            "": float(first.mean()),
            "Pairs went across the end of a sequence. Its last token has no neighbour in the next sequence.": float(
                joined_first.mean()
            ),
            "You compared the same place in two sequences. Neighbours are one position apart in the same sequence.": (
                float(across_first.mean())
            ),
            "You divided by the number of tokens. There is one pair fewer in every sequence.": float(
                first.sum() / tokens
            ),
            "That is the share of pairs whose first choices differ.": float(1 - first.mean()),
            "That is a number of pairs; the share is asked for.": float(first.sum()),
        },
        "either": {
            "": float(some.mean()),
            "You compared first choices with first choices and second with second. An expert in common counts wherever "
            "it stands.": float((chosen[:, :-1] == chosen[:, 1:]).any(-1).float().mean()),
            "That is the share of pairs that have all choices in common. One is enough.": float(
                (grid.sum((-1, -2)) == k).float().mean()
            ),
            "That is the mean number of experts in common. Ask whether there is one.": float(grid.sum((-1, -2)).mean()),
            "That is the mean share of choices in common. Ask whether there is one.": float(
                grid.sum((-1, -2)).mean() / k
            ),
            "You asked whether the first choice comes again. Any choice may.": float(grid[..., 0, :].amax(-1).mean()),
            "You asked whether the next token's first choice was among those before. Any choice may come again.": (
                float(grid[..., :, 0].amax(-1).mean())
            ),
            "Pairs went across the end of a sequence, for either. Its last token has no neighbour in the next one.": (
                float(joined.flatten(-2).amax(-1).mean())
            ),
            "You divided the pairs with an expert in common by the number of tokens. There is one pair fewer in every "
            "sequence.": float(some.sum() / tokens),
        },
        "chance_first": {
            "": 1 / n,
            "One of the experts is the first choice, so the chance that it comes again is not that of being among "
            "the choices.": k / n,
            "That is the chance that a given expert is first twice. Any expert may be.": 1 / n**2,
        },
        "chance_either": {
            "": 1 - comb(n - k, k) / comb(n, k),
            "You let a token choose the same expert twice. Its choices are different experts: count the sets of "
            "choices that avoid the given ones.": 1 - ((n - k) / n) ** k,
            "That is the mean number of experts in common. The chance that there is at least one is smaller.": k**2 / n,
            "That is the chance that one given expert is chosen.": k / n,
            "That is the chance that all choices come again.": 1 / comb(n, k),
            "That is the chance that no expert comes again.": comb(n - k, k) / comb(n, k),
            "You treated pairs of choices as independent. A token's choices are different experts, so they are not.": (
                1 - (1 - 1 / n) ** (k * k)
            ),
        },
    }


@exercise(
    "experts.information",
    title="Bits that were not there",
    points=2,
    minutes=20,
    difficulty=2,
    hints=[
        "The plug-in value first: divide the table by its sum, and you have a joint distribution with two margins. "
        "Empty cells contribute nothing, and the logarithm of 0 must not be asked for.",
        "I = H(label) + H(expert) − H(label, expert), each entropy of the shares. Then count: cells that are not "
        "empty, rows that are not empty, columns that are not empty. In bits the correction has ln 2 in its "
        "denominator.",
        "h = lambda n: -torch.special.xlogy(n / n.sum(), n / n.sum()).sum() / log(2); plug_in = h(counts.sum(1)) + "
        "h(counts.sum(0)) - h(counts); excess = (counts > 0).sum() - (counts.sum(1) > 0).sum() - (counts.sum(0) > "
        "0).sum() + 1; corrected = plug_in - excess / (2 * counts.sum() * log(2))",
    ],
)
def check_information(student: Student) -> None:
    g = fresh()
    for dependent in (True, False):
        counts = _table(g, dependent)
        while _unclear(counts, dependent):
            counts = _table(g, dependent)
        got = student(counts)
        expect_parts(got, 2, "Return two numbers, (plug_in, corrected).")
        naive, corrected = _plug_ins(counts), _corrections(counts)
        expect_close(
            got[0],
            naive.pop(""),
            mistakes=naive,
            otherwise="plug_in differs: H(label) + H(expert) − H(label, expert) of the shares, in bits.",
            what="plug_in",
        )
        expect_close(
            got[1],
            corrected.pop(""),
            mistakes=corrected,
            otherwise="corrected differs: plug_in minus (cells − rows − columns + 1) / (2 n ln 2), where only those "
            "count that are not empty.",
            what="corrected",
        )


def _table(g: torch.Generator, dependent: bool) -> Int[Tensor, "label expert"]:
    """Counts of tokens, with one label that none has, one expert that none went to, and cells that stay empty."""
    labels, experts, tokens = 4, 6, 61
    label = torch.randint(0, labels - 1, (tokens,), generator=g)
    expert = torch.randint(0, experts - 1, (tokens,), generator=g)
    if dependent:
        expert = torch.where(torch.rand(tokens, generator=g) < 0.5, label, expert)
    counts = torch.zeros(labels, experts, dtype=torch.long)
    counts.index_put_((label, expert), torch.ones_like(label), accumulate=True)
    return counts[torch.randperm(labels, generator=g)][:, torch.randperm(experts, generator=g)]


def _unclear(counts: Int[Tensor, "label expert"], dependent: bool) -> bool:
    right = _corrections(counts)[""]
    sign = right > 0.05 if dependent else right < -0.005
    used = (counts.sum(1) > 0).sum() * (counts.sum(0) > 0).sum()
    if not sign or (counts > 0).sum() == used:
        return True
    return crowded(*_plug_ins(counts).values()) or crowded(*_corrections(counts).values())


def bits(counts: Tensor) -> float:
    """The entropy of counts."""
    share = counts.double() / counts.sum()
    return -float(torch.special.xlogy(share, share).sum()) / LN2


def informed(table: Tensor) -> Tensor:
    """I(topic; expert | token) of counts [*any token topic expert], in bits."""

    def h(counts: Tensor) -> Tensor:
        share = counts.double() / counts.sum(-1, keepdim=True)
        return -torch.special.xlogy(share, share).sum(-1) / LN2

    flat = table.flatten(-3)
    return h(table.sum(-1).flatten(-2)) + h(table.sum(-2).flatten(-2)) - h(flat) - h(table.sum((-1, -2)))


def _plug_ins(counts: Int[Tensor, "label expert"]) -> dict[str, float]:
    """Mistake → the plug-in value that it would give; the right one under no mistake."""
    by_label, by_expert, joint = bits(counts.sum(1)), bits(counts.sum(0)), bits(counts)
    right = by_label + by_expert - joint
    return {
        "": right,
        "Those are nats, from the natural logarithm. Bits have base 2.": right * LN2,
        "The sign is turned round.": -right,
        "That is the joint entropy.": joint,
        "That is what remains unknown about the expert when the label is known. The information is what does not "
        "remain.": joint - by_label,
        "That is what remains unknown about the label when the expert is known.": joint - by_expert,
        "You divided by the entropy of the experts. The value itself is asked for.": right / by_expert,
        "You divided by the entropy of the labels. The value itself is asked for.": right / by_label,
    }


def _corrections(counts: Int[Tensor, "label expert"]) -> dict[str, float]:
    """Mistake → the corrected value that it would give; the right one under no mistake."""
    plug_in, n = _plug_ins(counts)[""], float(counts.sum())
    cells, rows, columns = (int((of > 0).sum()) for of in (counts, counts.sum(1), counts.sum(0)))
    bias = (cells - rows - columns + 1) / (2 * n * LN2)
    found = {
        "": plug_in - bias,
        "Nothing was corrected.": plug_in,
        "The bias was added. Counts make the plug-in value too large: subtract.": plug_in + bias,
        "The correction is in nats. Divide it by ln 2 as well.": plug_in - bias * LN2,
        "The 2 in the denominator is missing.": plug_in - 2 * bias,
        "Every cell of the table was counted, the empty ones too.": plug_in
        - (counts.numel() - counts.shape[0] - counts.shape[1] + 1) / (2 * n * LN2),
        "You counted rows times columns as cells. Only cells that are not empty count.": plug_in
        - (rows - 1) * (columns - 1) / (2 * n * LN2),
        "You corrected the joint entropy and left those of labels and experts as they were.": plug_in
        - (cells - 1) / (2 * n * LN2),
        "You divided by the number of cells. What makes the bias small is the number of tokens.": plug_in
        - (cells - rows - columns + 1) / (2 * counts.numel() * LN2),
    }
    if found[""] < 0:
        found["Negative values were set to 0. Then nothing is estimated as more than nothing, on average: let it be "
              "negative."] = 0.0  # fmt: skip
    return found
