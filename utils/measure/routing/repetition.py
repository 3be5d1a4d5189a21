"""Whether consecutive tokens go to the same experts."""

from __future__ import annotations

from math import comb
from typing import NamedTuple

from jaxtyping import Int
from torch import Tensor


class Repetition(NamedTuple):
    """Shares of the pairs of consecutive tokens (Jiang et al. 2024, Table 5).

    Attributes:
        first: with the same first choice.
        either: with an expert in common among their choices.
    """

    first: float
    either: float


def repetition(chosen: Int[Tensor, "batch pos choice"]) -> Repetition:
    """How often the next token goes to the same expert, over all pairs of neighbours."""
    here, following = chosen[:, :-1], chosen[:, 1:]
    common = (here[..., :, None] == following[..., None, :]).any(-1).any(-1)
    return Repetition((here[..., 0] == following[..., 0]).float().mean().item(), common.float().mean().item())


def chance_repetition(n_experts: int, choices: int) -> Repetition:
    """What even and independent choices would give: 1/8 and 1 − C(6, 2) / C(8, 2) = 46 % for two of eight.

    Uneven loads repeat more often by chance; `repetition` of routes that were dealt out to other tokens says how often.
    """
    return Repetition(1 / n_experts, 1 - comb(n_experts - choices, choices) / comb(n_experts, choices))
