"""Training batches: windows of Wikipedia prose, in some of which a passage comes again."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from utils.data import tokenizers, wikipedia
from utils.data.registry import cache_dir
from utils.training.recipes import Recipe

TOKENIZER_ARTICLES = 1500  # the merges of the tokenizer are learned from the first articles
SHORTEST_REPEAT = 16  # tokens


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

    In a share of the rows a passage of random length and place is written again further on, over what stood there.
    """
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
    starts = torch.randint(0, len(source) - recipe.n_ctx, (recipe.batch,), generator=generator)
    tokens = source[starts[:, None] + torch.arange(recipe.n_ctx)].long()
    tokens[:, 0] = 0
    for row in torch.nonzero(torch.rand(recipe.batch, generator=generator) < recipe.repeat_share).flatten():
        length = _between(SHORTEST_REPEAT, recipe.n_ctx // 2 - 8, generator)
        first = _between(1, recipe.n_ctx - 2 * length, generator)
        again = _between(first + length, recipe.n_ctx - length + 1, generator)
        tokens[row, again : again + length] = tokens[row, first : first + length].clone()
    return tokens


def _between(low: int, high: int, generator: torch.Generator) -> int:
    """A whole number from `low` to `high - 1`."""
    return int(torch.randint(low, high, (), generator=generator))
