"""Whether two routers, at two checkpoints or from two seeds, divide the same tokens in the same way."""

from __future__ import annotations

from typing import NamedTuple

import networkx
import torch
from jaxtyping import Int
from torch import Tensor

from utils.measure.routing.tables import routing_table


class Alignment(NamedTuple):
    """How far two routers agree once their experts are named alike.

    Attributes:
        order: for each expert of the first router, the expert of the second that does its work.
        agreement: the share of choices in common, on sequences that the naming has not seen.
        chance: the same for the second router's routes dealt out to other tokens.
    """

    order: Int[Tensor, " expert"]
    agreement: float
    chance: float


def agreement(first: Int[Tensor, "*token choice"], second: Int[Tensor, "*token choice"]) -> float:
    """The share of choices in common, for routers of one run, whose experts keep their numbers.

    Source: Muennighoff et al. (2024), "router saturation".
    """
    return (first[..., :, None] == second[..., None, :]).any(-1).float().mean().item()


def align(
    first: Int[Tensor, "batch pos choice"], second: Int[Tensor, "batch pos choice"], n_experts: int, seed: int = 0
) -> Alignment:
    """Names the second router's experts after the first's, on every other sequence, and compares on the rest.

    The naming pairs all experts so that as many choices as possible are in common.

    Raises:
        ValueError: if there are fewer than two sequences.
    """
    if len(first) < 2:
        raise ValueError("Aligning needs at least two sequences: one half names the experts, the other compares.")
    order = _best_pairs(_common(first[::2], second[::2], n_experts))
    number = order.argsort()  # of the second router's experts, in the first's numbering
    here, there = first[1::2], number[second[1::2]]
    dealt = torch.randperm(there[..., 0].numel(), generator=torch.Generator().manual_seed(seed))
    shuffled = there.flatten(0, 1)[dealt].view_as(there)
    return Alignment(order, agreement(here, there), agreement(here, shuffled))


def _common(first: Tensor, second: Tensor, n_experts: int) -> Int[Tensor, "expert other"]:
    """How many tokens chose both an expert of the first router and one of the second."""
    one, other = torch.broadcast_tensors(first[..., :, None], second[..., None, :])
    return routing_table(one, other, n_experts, n_experts)


def _best_pairs(counts: Int[Tensor, "expert other"]) -> Int[Tensor, " expert"]:
    graph = networkx.Graph()
    for expert, row in enumerate(counts.tolist()):
        graph.add_weighted_edges_from((("first", expert), ("second", other), count) for other, count in enumerate(row))
    order = torch.zeros(len(counts), dtype=torch.long)
    for pair in networkx.max_weight_matching(graph, maxcardinality=True):
        by_side = dict(pair)
        order[by_side["first"]] = by_side["second"]
    return order
