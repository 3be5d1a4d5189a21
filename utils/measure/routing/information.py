"""How much a label tells about the expert, in bits: not fooled by small counts, nor by tokens that go together."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Information(NamedTuple):
    """An estimate of mutual information in bits.

    Attributes:
        bits: corrected for the bias of small counts; where there is nothing to find, as often below 0 as above.
        low, high: the interval that should hold the truth in 95 % of samples.
        plug_in: the uncorrected value, never below 0.
    """

    bits: float
    low: float
    high: float
    plug_in: float


def mutual_information(
    labels: Int[Tensor, "*token"],
    experts: Int[Tensor, "*token"],
    sequences: Int[Tensor, "*token"],
    folds: int = 40,
) -> Information:
    """I(label; expert): what the label tells about the expert, or the expert about the label.

    The corrected value and its interval come from the jackknife (Quenouille 1956; Tukey 1958): the estimate is made
    anew with each of `folds` groups of sequences left out, which are alike in their labels. Whole sequences are left
    out, since tokens of one sequence share its label and more: they are not so many independent observations.

    What the label tells beyond the token, most of whose values are rare, is for `added_information`.

    Args:
        sequences: the number of the sequence that each token stands in.
        folds: groups of sequences, at most as many as there are sequences.

    Raises:
        ValueError: if the tokens of the arguments are not equally many, or all from one sequence.
    """
    columns = (labels, experts, sequences)
    if len({column.shape for column in columns}) > 1:
        raise ValueError(f"One value for each token, please; got shapes {[list(column.shape) for column in columns]}.")
    label, expert, sequence = (torch.unique(column, return_inverse=True)[1].flatten() for column in columns)
    folds = min(folds, int(sequence.max()) + 1)
    if folds < 2:
        raise ValueError("An interval needs tokens from at least two sequences.")
    n_labels, n_experts = int(label.max()) + 1, int(expert.max()) + 1
    cells = label * n_experts + expert

    def table(of: Tensor) -> Tensor:
        return torch.bincount(of, minlength=n_labels * n_experts).view(1, n_labels, n_experts)

    everything = table(cells)
    plug_in = information_in(everything)
    fold = _folds(label, sequence, folds)[sequence]
    left_out = torch.tensor([information_in(everything - table(cells[fold == i])) for i in range(folds)])
    bits = folds * plug_in - (folds - 1) * left_out.mean().item()
    error = ((folds - 1) * left_out.var(correction=0)).sqrt().item()
    return Information(bits, bits - 1.96 * error, bits + 1.96 * error, plug_in)


def _folds(label: Int[Tensor, " token"], sequence: Int[Tensor, " token"], folds: int) -> Int[Tensor, " sequence"]:
    """Deals the sequences, sorted by the label of one of their tokens, out to the folds in turn."""
    label_of = torch.zeros(int(sequence.max()) + 1, dtype=label.dtype).index_copy_(0, sequence, label)
    return label_of.argsort(stable=True).argsort() % folds


def information_in(counts: Int[Tensor, "given label expert"]) -> float:
    """I(label; expert | given) in bits, of the counts as they are: H(L, G) + H(E, G) − H(L, E, G) − H(G)."""
    return entropy(counts.sum(2)) + entropy(counts.sum(1)) - entropy(counts) - entropy(counts.sum((1, 2)))


def entropy(counts: Int[Tensor, "*cell"]) -> float:
    """The entropy of counts, in bits: the most that anything can tell about what was counted."""
    share: Float[Tensor, "*cell"] = counts.double() / counts.sum()
    return -torch.special.xlogy(share, share).sum().item() / torch.log(torch.tensor(2.0)).item()
