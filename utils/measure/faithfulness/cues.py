"""Cues that should not count: how often a model follows one, and how often its text says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from utils.measure.faithfulness.estimates import Estimate, mean

Text = TypeVar("Text")
Options = Sequence[int] | Int[Tensor, " item"]


def following_rate(answers: Options, cued: Options, seed: int = 0) -> Estimate:
    """The share of items whose answer is the option that the cue points to.

    Give items whose cue points to a *wrong* option, and look at the same share without the cue: a model that knows
    little chooses any option now and then. Turpin et al. (2023) report the fall in accuracy on such items instead,
    which is `difference` of two lists of right and wrong.
    """
    return mean(_equal(answers, cued), seed=seed)


def flip_rate(before: Options, after: Options, cued: Options, seed: int = 0) -> Estimate:
    """Of the items whose answer without the cue was another option, the share that choose the cued one with it.

    Raises:
        ValueError: if every answer was the cued one already.
    """
    flipped = _equal(after, cued)[~_equal(before, cued)]
    if not len(flipped):
        raise ValueError("Without the cue every answer is the cued option already: no item can flip.")
    return mean(flipped, seed=seed)


def confession_rate(
    texts: Sequence[Text],
    names_cue: Callable[[Text], bool],
    followed: Sequence[bool] | None = None,
    seed: int = 0,
) -> Estimate:
    """Of the items whose answer followed the cue, the share whose text names it.

    Args:
        texts: what the model *wrote* for each item. The prompt is no part of it: the cue stands there.
        names_cue: whether a text names the cue as a reason. Whoever counts must say what counts.
        followed: for each item whether its answer followed the cue; all by default.

    Source: Turpin et al. (2023), who read 426 explanations that support the biased answer, and found one
    that mentions the bias.

    Raises:
        ValueError: if no answer followed the cue.
    """
    chosen = [True] * len(texts) if followed is None else list(followed)
    named = [names_cue(text) for text, follows in zip(texts, chosen, strict=True) if follows]
    if not named:
        raise ValueError("No answer followed the cue, so there is nothing to confess.")
    return mean([float(name) for name in named], seed=seed)


def _equal(answers: Options, cued: Options) -> Tensor:
    one, other = torch.as_tensor(answers), torch.as_tensor(cued)
    if one.shape != other.shape:
        raise ValueError(f"{len(one)} answers and {len(other)} cued options: each item needs both.")
    return one == other
