"""Whether a unit, or a feature, is active on tokens of one label only."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def purity(
    activations: Float[Tensor, "token unit"], labels: Int[Tensor, " token"], n_labels: int
) -> Float[Tensor, " unit"]:
    """Each unit's mean activation on the label it likes best, as a share of the sum of its means over labels.

    1 if a unit is active on one label only, 1 / n_labels if the label makes no difference, whatever the number of
    tokens a label has; not a number for a unit that is never active. A unit that is active on few tokens is pure by
    accident: compare with labels dealt out to other sequences.

    Args:
        activations: not negative: a dictionary's features, or the absolute value of hidden units. For an expert's
            units, of the tokens it was given.
        labels: domains, topics, or the expert the token went to.

    Raises:
        ValueError: if an activation is negative, or a label has no token.
    """
    if activations.min() < 0:
        raise ValueError("Purity divides up activation, which must not be negative: take the absolute value first.")
    tokens = torch.bincount(labels, minlength=n_labels)
    if (tokens == 0).any():
        raise ValueError(f"Label {int(tokens.argmin())} has no token: number the labels that occur from 0.")
    sums = torch.zeros(n_labels, activations.shape[1]).index_add_(0, labels, activations.float())
    means = sums / tokens[:, None]
    return means.max(0).values / means.sum(0)
