"""What attention heads look at: one number per head, read off their attention patterns.

Every score expects a beginning-of-sequence token at position 0 and never counts attention to it: heads rest there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

Pattern = Float[Tensor, "batch head query key"]


def diagonal_score(pattern: Pattern, offset: int) -> Float[Tensor, "head"]:
    """How strongly each head looks `offset` positions back: mean attention from query `q` to key `q − offset`.

    The mean runs over the batch and over all queries for which that key is not position 0.
    1 is perfect; a head without preference has about 1/query.

    Raises:
        ValueError: if no query has such a key, or `pattern` has other axes.
    """
    return _diagonal_from(pattern, offset, first_query=offset + 1)


def current_token_score(pattern: Pattern) -> Float[Tensor, "head"]:
    """Mean attention of each head from a token to itself, position 0 left out."""
    return diagonal_score(pattern, 0)


def previous_token_score(pattern: Pattern) -> Float[Tensor, "head"]:
    """Mean attention of each head from a token to the one before it; queries 0 and 1 are left out.

    Source: Elhage et al. (2021), "previous token heads".
    """
    return diagonal_score(pattern, 1)


def induction_score(pattern: Pattern, period: int) -> Float[Tensor, "head"]:
    """How strongly each head looks at the token that followed the current token's previous copy.

    On a beginning token and copies of the same `period` tokens: mean attention from query `q` to `q − period + 1`,
    over all queries of the second and later copies. 1 is perfect, 1/query is uniform. A head that always looks
    `period − 1` back, whatever stands there, scores as high: measure with two periods to tell them apart.

    Source: Olsson et al. (2022), "prefix matching score".

    Raises:
        ValueError: if `period` is below 1 or the pattern ends before the second copy begins.
    """
    return _diagonal_from(pattern, _checked(pattern, period) - 1, first_query=period + 1)


def duplicate_token_score(pattern: Pattern, period: int) -> Float[Tensor, "head"]:
    """How strongly each head looks at the current token's previous copy, `period` back, over second and later copies.

    Source: Wang et al. (2023), "duplicate token heads".

    Raises:
        ValueError: if `period` is below 1 or the pattern ends before the second copy begins.
    """
    return _diagonal_from(pattern, _checked(pattern, period), first_query=period + 1)


@torch.no_grad()
def head_scores(
    model: TransformerBridge,
    tokens: Int[Tensor, "batch pos"],
    score: Callable[..., Float[Tensor, "head"]],
    **settings: Any,
) -> Float[Tensor, "layer head"]:
    """One of the scores above for every head of a model: runs it on `tokens` and applies `score` layer by layer.

    Args:
        score: such as `induction_score`; it gets a layer's pattern and `settings`, for instance `period=50`.
    """
    _, cache = model.run_with_cache(tokens, names_filter=lambda name: name.endswith("attn.hook_pattern"))
    patterns = (cache[f"blocks.{layer}.attn.hook_pattern"] for layer in range(model.cfg.n_layers))
    return torch.stack([score(pattern, **settings) for pattern in patterns])


def attention_rollout(patterns: Float[Tensor, "layer batch query key"]) -> Float[Tensor, "layer batch query key"]:
    """How much of each input position every layer's stream holds, if attention alone said so.

    `patterns` are attention patterns averaged over heads. Each layer passes on half its stream untouched and fills the
    other half by attention, so entry `[l, b, q, k]` is the share of input `k` in position `q` after layer `l`; rows
    sum to 1. It ignores what values and MLPs do, and how loud they are: an estimate of mixing, not a measurement.

    Source: Abnar and Zuidema (2020), section 3, "attention rollout".

    Raises:
        ValueError: if `patterns` has other axes, for instance heads.
    """
    if patterns.ndim != 4 or patterns.shape[-1] != patterns.shape[-2]:
        raise ValueError(
            f"attention_rollout needs patterns [layer batch query key], averaged over heads; "
            f"got {list(patterns.shape)}."
        )
    mixed = torch.eye(patterns.shape[-1], device=patterns.device).expand(patterns.shape[1:])
    layers = []
    for pattern in patterns:
        mixed = 0.5 * mixed + 0.5 * pattern @ mixed
        layers.append(mixed)
    return torch.stack(layers)


def effective_sources(shares: Float[Tensor, "*rest key"]) -> Float[Tensor, "*rest"]:
    """Over how many positions a distribution is spread: e to the power of its entropy. One source 1, n equal ones n."""
    return torch.special.entr(shares).sum(-1).exp()


def _checked(pattern: Pattern, period: int) -> int:
    """The period, if it can be one."""
    length = pattern.shape[-1]
    if not 1 <= period < length - 1:
        raise ValueError(
            f"A period of {period} does not fit a pattern over {length} positions: the second copy must begin inside "
            f"it, so choose a period from 1 to {length - 2}."
        )
    return period


def _diagonal_from(pattern: Pattern, offset: int, first_query: int) -> Float[Tensor, "head"]:
    if pattern.ndim != 4 or pattern.shape[-1] != pattern.shape[-2]:
        raise ValueError(f"A score needs a pattern [batch head query key]; got the shape {list(pattern.shape)}.")
    length = pattern.shape[-1]
    if not 0 <= offset or first_query >= length:
        raise ValueError(
            f"No query of a pattern over {length} positions looks {offset} back to anything but position 0: "
            f"choose an offset from 0 to {length - 2}."
        )
    diagonal = pattern.diagonal(offset=-offset, dim1=-2, dim2=-1)  # [batch head query], from query `offset` on
    return diagonal[..., first_query - offset :].mean(dim=(0, -1))
