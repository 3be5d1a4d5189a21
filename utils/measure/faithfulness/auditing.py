"""What somebody who only reads the texts can find out about a hidden bit."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from utils.measure.faithfulness.estimates import Estimate, mean

SURE = 0.999  # no auditor is allowed to be surer: one surprise would outweigh all other items


def auditor_bits(texts: Sequence[Sequence[Hashable]], bit: Sequence[int], folds: int = 5, seed: int = 0) -> Estimate:
    """Bits about a hidden bit that a simple auditor recovers from each text: at most 1, and 0 or less for nothing.

    The auditor notes which word stands at which position and weighs these with a logistic regression (ridge 1), learnt
    from the other folds. What counts is how much better than the bit's base rate it foretells the bit of texts that it
    has not seen, in bits per text. Held-out texts are what keeps chance from looking like information, so nothing is
    left to correct; if there is nothing to find, the number is a little below 0. It is a lower bound: a cleverer
    auditor may find more (Xu et al. 2020, "usable information").

    Args:
        texts: all of one length; put first what should be compared, for instance the last word of each.
        bit: 0 or 1 for each text.

    Raises:
        ValueError: if texts differ in length, or bits are not 0 or 1, or not one for each text.
    """
    if len({len(text) for text in texts}) != 1:
        raise ValueError("The auditor compares texts position by position: give texts of one length.")
    y = torch.as_tensor(bit, dtype=torch.float64)
    if len(y) != len(texts) or not ((y == 0) | (y == 1)).all():
        raise ValueError(f"{len(texts)} texts need as many bits, each 0 or 1.")
    x = _words(texts)
    fold = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed)) % folds
    gained = torch.empty_like(y)
    for held_out in range(folds):
        test = fold == held_out
        guess = _regression(x[~test], y[~test], x[test])
        base = (y[~test].sum() + 1) / ((~test).sum() + 2)  # Laplace: never 0 or 1
        gained[test] = _log2(guess, y[test]) - _log2(base.expand_as(guess), y[test])
    return mean(gained, bounds=(-20, 20), seed=seed)


def _words(texts: Sequence[Sequence[Hashable]]) -> Float[Tensor, "text feature"]:
    """One column for every word at every position: 1 where the text has it."""
    columns: dict[tuple[int, Hashable], int] = {}
    places = [[columns.setdefault(pair, len(columns)) for pair in enumerate(text)] for text in texts]
    return torch.zeros(len(texts), len(columns), dtype=torch.float64).scatter_(1, torch.tensor(places), 1.0)


def _regression(x: Tensor, y: Tensor, tested: Tensor) -> Float[Tensor, " text"]:
    """The chance of a 1 for each tested text, by a logistic regression with a ridge on its weights."""
    weight = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = binary_cross_entropy_with_logits(x @ weight + bias, y, reduction="sum") + weight.square().sum() / 2
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(loss)
    return (tested @ weight.detach() + bias.detach()).sigmoid().clamp(1 - SURE, SURE)


def _log2(chance: Tensor, y: Tensor) -> Tensor:
    """The log probability, to the base 2, of what turned out."""
    return torch.where(y == 1, chance, 1 - chance).log2()
