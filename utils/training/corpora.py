"""What the language models read: rows of tokens, made once and kept in the cache."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from utils.data import mixture, othello, planted, reasoning, tokenizers, wikipedia
from utils.data.mixture.sources import SHARES
from utils.data.registry import cache_dir
from utils.training.recipes import Recipe

Corpus = list[tuple[float, Int[Tensor, "token"]]]  # share of the training sequences, and the tokens they are cut from

TOKENIZER_ARTICLES = 1500  # the merges of the Wikipedia tokenizer are learned from the first articles
TOKENIZER_CHARACTERS = 8_000_000  # those of the mixture from so much text, in the shares of the sources …
BASE64_LESS = 10  # … but for Base64, whose random letters deserve few tokens of their own

# Data whose every word is known, from token 1 on.
WORDS: dict[str, Sequence[str]] = {
    "othello": [othello.name(square) for square in othello.SQUARE_OF_TOKEN[1:]],
    "planted": planted.WORDS,
    "reasoning": reasoning.WORDS[1:],
}


def training_corpus(recipe: Recipe) -> Corpus:
    """Everything a recipe's sequences are cut from: a row of tokens for each source, every document after a BOS.

    Learns the tokenizer first if it does not exist. Takes a minute the first time and megabytes of downloads. Games of
    Othello, planted tasks and reasoning are cut from nothing: every batch is made anew.
    """
    if recipe.data in WORDS:
        if not (tokenizers.FOLDER / recipe.data / "tokenizer.json").exists():
            tokenizers.list_words(recipe.data, WORDS[recipe.data])
        return []
    shares = {"tokens": 1.0} if recipe.data == "wikipedia" else SHARES
    paths = {source: cache_dir() / f"{recipe.data}-{recipe.d_vocab}-{source}.npy" for source in shares}
    if not all(path.exists() for path in paths.values()):
        texts = {"tokens": wikipedia.training_articles()} if recipe.data == "wikipedia" else _mixture_texts()
        if not (tokenizers.FOLDER / recipe.data / "tokenizer.json").exists():
            tokenizers.train_tokenizer(recipe.data, _tokenizer_texts(recipe, texts), recipe.d_vocab)
        for source, path in paths.items():
            np.save(path, _tokenize(recipe.data, texts[source]))
    return [(shares[source], torch.from_numpy(np.load(path).astype(np.int32))) for source, path in paths.items()]


def _mixture_texts() -> dict[str, list[str]]:
    """Source -> the texts of its training documents, in random order."""
    texts = defaultdict(list)
    for document in mixture.documents():
        texts[document.source].append(document.text)
    for source, documents in texts.items():
        random.Random(source).shuffle(documents)
    return texts


def _tokenizer_texts(recipe: Recipe, texts: dict[str, list[str]]) -> list[str]:
    """The texts from which the tokenizer learns its merges."""
    if recipe.data == "wikipedia":
        return texts["tokens"][:TOKENIZER_ARTICLES]
    chosen: list[str] = []
    for source, share in SHARES.items():
        room = TOKENIZER_CHARACTERS * share / (BASE64_LESS if source == "base64" else 1)
        for text in texts[source]:
            if room <= 0:
                break
            chosen.append(text)
            room -= len(text)
    return chosen


def _tokenize(tokenizer_name: str, texts: Sequence[str]) -> np.ndarray:
    """Documents as one row of tokens, each after a beginning token."""
    tokenizer = tokenizers.load_tokenizer(tokenizer_name)
    rows = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return np.concatenate([np.array([tokenizer.bos_token_id, *row], dtype=np.uint16) for row in rows])
