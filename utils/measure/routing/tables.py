"""Counting: which labels' tokens go to which experts, and which experts work together."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def routing_table(
    labels: Int[Tensor, "*token"], experts: Int[Tensor, "*token"], n_labels: int, n_experts: int
) -> Int[Tensor, "label expert"]:
    """How many tokens of each label went to each expert.

    Args:
        labels: of any kind: a token's domain, its topic, the token itself, its place in the context.
        experts: one expert for each token: `chosen[..., 0]` counts first choices. To count all choices, give
            `chosen` and `labels[..., None].expand_as(chosen)`.

    Raises:
        ValueError: if labels and experts are not equally many.
    """
    if labels.shape != experts.shape:
        raise ValueError(f"{list(labels.shape)} labels for {list(experts.shape)} experts: give one label to each.")
    cells = labels.flatten() * n_experts + experts.flatten()
    return torch.bincount(cells, minlength=n_labels * n_experts).view(n_labels, n_experts)


def coactivation(chosen: Int[Tensor, "*token choice"], n_experts: int) -> Float[Tensor, "expert other"]:
    """Of the tokens that chose one expert, the share that chose another as well; 0 on the diagonal.

    With two choices a token, rows add up to 1. Rows of experts that nobody chose are not a number.

    Source: Muennighoff et al. (2024), "expert co-activation".
    """
    used = torch.zeros(chosen.shape[:-1].numel(), n_experts).scatter_(1, chosen.flatten(0, -2), 1.0)
    together = used.T @ used
    tokens = together.diagonal().clone()
    return together.fill_diagonal_(0) / tokens[:, None]
