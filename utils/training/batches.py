"""Training batches: windows of Wikipedia prose, in some of which passages come again."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from utils.data import tokenizers, wikipedia
from utils.data.registry import cache_dir
from utils.training.recipes import Recipe

TOKENIZER_ARTICLES = 1500  # the merges of the tokenizer are learned from the first articles
PASSAGES_PER_ROW = 3  # repeated in each row that has repeats
SHORTEST_REPEAT = 4  # tokens
LONGEST_REPEAT = 0.4  # of the context


def training_tokens(tokenizer_name: str, d_vocab: int) -> Int[Tensor, "token"]:
    """All training articles as one row of tokens, each article after a beginning token; kept in the cache.

    Learns the tokenizer first if it does not exist.
    """
    path = cache_dir() / f"{tokenizer_name}-{d_vocab}-tokens.npy"
    if not path.exists():
        articles = wikipedia.training_articles()
        if not (tokenizers.FOLDER / tokenizer_name / "tokenizer.json").exists():
            tokenizers.train_tokenizer(tokenizer_name, articles[:TOKENIZER_ARTICLES], d_vocab)
        tokenizer = tokenizers.load_tokenizer(tokenizer_name)
        rows = tokenizer(articles, add_special_tokens=False, verbose=False)["input_ids"]
        ids = np.concatenate([np.array([tokenizer.bos_token_id, *row], dtype=np.uint16) for row in rows])
        np.save(path, ids)
    return torch.from_numpy(np.load(path).astype(np.int32))


def training_batch(source: Int[Tensor, "token"], recipe: Recipe, step: int) -> Int[Tensor, "batch position"]:
    """The batch of one training step; the same step always gives the same batch, so a resumed run sees no other data.

    In a share of the rows, passages of random length and place are written again further on, over what stood there.
    Short passages are as likely as long ones (log-uniform lengths), so that matching a single token pays.
    """
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
    starts = torch.randint(0, len(source) - recipe.n_ctx, (recipe.batch,), generator=generator)
    tokens = source[starts[:, None] + torch.arange(recipe.n_ctx)].long()
    tokens[:, 0] = 0
    for row in torch.nonzero(torch.rand(recipe.batch, generator=generator) < recipe.repeat_share).flatten():
        for _ in range(PASSAGES_PER_ROW):
            _repeat_passage(tokens[row], recipe, generator)
    return tokens


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
