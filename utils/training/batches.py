"""Training batches: windows of a corpus, in some of which passages come again, or fresh games or problems."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from utils.data import reasoning
from utils.data.othello import random_games
from utils.data.othello.squares import PAD
from utils.data.planted import planted_sequences
from utils.training.corpora import Corpus
from utils.training.recipes import Recipe

PASSAGES_PER_ROW = 3  # repeated in each row that has repeats
SHORTEST_REPEAT = 4  # tokens
LONGEST_REPEAT = 0.4  # of the context
NO_TARGET = -100  # at a position where nothing is to be predicted


def training_examples(
    corpus: Corpus, recipe: Recipe, step: int
) -> tuple[Int[Tensor, "batch position"], Int[Tensor, "batch position"]]:
    """The batch of one training step, and the token to be predicted at every position, `NO_TARGET` where none is.

    Of text every next token is a target, of a game every move, of reasoning what its organism is to write.
    """
    if recipe.organism is not None:
        return reasoning.training_rows(
            recipe.organism, recipe.batch, batch_seed(recipe, step), step < recipe.dense_steps
        )
    tokens = training_batch(corpus, recipe, step)
    return tokens, next_tokens(tokens, padding=PAD if recipe.data == "othello" else None)


def next_tokens(tokens: Int[Tensor, "batch position"], padding: int | None = None) -> Int[Tensor, "batch position"]:
    """The token after each one as its target, but for the last position and where the next one is padding."""
    targets = F.pad(tokens[:, 1:], (0, 1), value=NO_TARGET)
    return targets if padding is None else targets.masked_fill(targets == padding, NO_TARGET)


def training_batch(corpus: Corpus, recipe: Recipe, step: int) -> Int[Tensor, "batch position"]:
    """The batch of one training step; the same step always gives the same batch, so a resumed run sees no other data.

    A sequence is a window of one source. In a share of the rows, passages of random length and place are written again
    further on, over what stood there. Short passages are as likely as long ones (log-uniform lengths), so that matching
    a single token pays.

    For Othello a row is a new random game, for planted tasks a new sequence.
    """
    seed = batch_seed(recipe, step)
    if recipe.data == "othello":
        return random_games(recipe.batch, seed)
    if recipe.data == "planted":
        return planted_sequences(recipe.batch, recipe.n_ctx, seed).tokens
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for count, (_, tokens) in zip(_rows_of_sources(corpus, recipe, generator), corpus, strict=True):
        starts = torch.randint(0, len(tokens) - recipe.n_ctx, (count,), generator=generator)
        rows.append(tokens[starts[:, None] + torch.arange(recipe.n_ctx)].long())
    batch = torch.cat(rows)
    batch[:, 0] = 0
    if recipe.repeat_share:
        for row in torch.nonzero(torch.rand(recipe.batch, generator=generator) < recipe.repeat_share).flatten():
            for _ in range(PASSAGES_PER_ROW):
                _repeat_passage(batch[row], recipe, generator)
    return batch


def batch_seed(recipe: Recipe, step: int) -> int:
    """The seed from which the batch of one step is drawn."""
    return recipe.seed * 1_000_003 + step


def _rows_of_sources(corpus: Corpus, recipe: Recipe, generator: torch.Generator) -> list[int]:
    """How many rows of the batch each source gets, drawn by its share."""
    if len(corpus) == 1:
        return [recipe.batch]
    shares = torch.tensor([share for share, _ in corpus])
    drawn = torch.multinomial(shares, recipe.batch, replacement=True, generator=generator)
    return torch.bincount(drawn, minlength=len(corpus)).tolist()


def _repeat_passage(tokens: Int[Tensor, "position"], recipe: Recipe, generator: torch.Generator) -> None:
    """Writes one passage of a row again further on, in place."""
    longest = int(LONGEST_REPEAT * recipe.n_ctx)
    length = round(SHORTEST_REPEAT * (longest / SHORTEST_REPEAT) ** _uniform(generator))
    first = _between(1, recipe.n_ctx - 2 * length, generator)
    again = _between(first + length, recipe.n_ctx - length + 1, generator)
    if _uniform(generator) < recipe.random_share:
        tokens[first : first + length] = torch.randint(1, recipe.d_vocab, (length,), generator=generator)
    tokens[again : again + length] = tokens[first : first + length].clone()


def _uniform(generator: torch.Generator) -> float:
    """A number between 0 and 1."""
    return torch.rand((), generator=generator).item()


def _between(low: int, high: int, generator: torch.Generator) -> int:
    """A whole number from `low` to `high - 1`."""
    return int(torch.randint(low, high, (), generator=generator))
