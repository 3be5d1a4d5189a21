"""Token sequences to run a model on: repeated random tokens, windows of held-out text, needles, shuffled controls."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from utils.data.wikipedia import held_out


def repeated_tokens(
    d_vocab: int, batch: int, period: int, copies: int = 2, bos: int = 0, seed: int = 0
) -> Int[Tensor, "batch position"]:
    """Random tokens that come again: the beginning token, then `copies` copies of the same `period` tokens.

    Nothing but the first copy predicts the second, so a model that does well there has learned to copy from context
    (Olsson et al. 2022, "repeated random sequences"). The result has `1 + period * copies` positions.

    Args:
        d_vocab: tokens are drawn uniformly from 0 to `d_vocab - 1`, the beginning token left out.
        bos: the token at position 0.

    Raises:
        ValueError: if `batch`, `period` or `copies` is not positive, or `d_vocab` leaves nothing to draw.
    """
    if min(batch, period, copies) < 1 or d_vocab < 2:
        raise ValueError("repeated_tokens needs batch, period and copies of at least 1 and d_vocab of at least 2.")
    once = _random_tokens(d_vocab, (batch, period), bos, torch.Generator().manual_seed(seed))
    return torch.cat([torch.full((batch, 1), bos), once.repeat(1, copies)], dim=1)


def needle_sequences(
    d_vocab: int, batch: int, length: int, depth: float, bos: int = 0, seed: int = 0
) -> tuple[Int[Tensor, "batch length"], Int[Tensor, "batch"]]:
    """Random tokens with a key and its value planted in them, and the key once more at the very end.

    A model that can look things up in its context predicts the value after the last token. No other token of the
    sequence equals the key.

    Args:
        depth: where the pair stands, as a fraction of the length: 0 right after the beginning token, 1 right before
            the final key.

    Returns:
        The sequences, and the id of the value that should come next.

    Raises:
        ValueError: if `depth` is not between 0 and 1, or `length` is below 5.
    """
    if not 0 <= depth <= 1 or length < 5:
        raise ValueError(f"needle_sequences needs a depth from 0 to 1 (got {depth}) and a length of 5 or more.")
    generator = torch.Generator().manual_seed(seed)
    tokens = _random_tokens(d_vocab - 1, (batch, length), bos, generator)
    key = _random_tokens(d_vocab - 1, (batch, 1), bos, generator)
    tokens = torch.where(tokens == key, d_vocab - 1, tokens)  # the key stands nowhere but where it is planted
    place = 1 + round(depth * (length - 4))
    tokens[:, 0] = bos
    tokens[:, place] = tokens[:, -1] = key[:, 0]
    return tokens, tokens[:, place + 1].clone()


def text_windows(
    tokenizer: PreTrainedTokenizerBase, batch: int, length: int, seed: int = 0
) -> Int[Tensor, "batch length"]:
    """Windows of held-out Wikipedia text, each beginning with the tokenizer's beginning token.

    Windows start at random places and may overlap.

    Raises:
        ValueError: if `length` exceeds the held-out text.
    """
    ids = torch.tensor(tokenizer("\n".join(held_out()), add_special_tokens=False, verbose=False)["input_ids"])
    if length > len(ids):
        raise ValueError(f"A window of {length} tokens does not fit into the {len(ids)} tokens of held-out text.")
    starts = torch.randint(0, len(ids) - length + 2, (batch,), generator=torch.Generator().manual_seed(seed))
    windows = ids[starts[:, None] + torch.arange(length - 1)]
    return torch.cat([torch.full((batch, 1), tokenizer.bos_token_id), windows], dim=1)


def shuffled(tokens: Int[Tensor, "batch position"], seed: int = 0) -> Int[Tensor, "batch position"]:
    """Each row's tokens in random order, the first (the beginning token) left in place.

    The control for whatever depends on word order: same tokens, no sentences.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(tokens[:, 1:].shape, generator=generator).argsort(dim=1)
    return torch.cat([tokens[:, :1], tokens[:, 1:].gather(1, order)], dim=1)


def _random_tokens(d_vocab: int, shape: tuple[int, int], bos: int, generator: torch.Generator) -> Tensor:
    """Uniform over the vocabulary without `bos`."""
    draw = torch.randint(0, d_vocab - 1, shape, generator=generator)
    return draw + (draw >= bos).long()
