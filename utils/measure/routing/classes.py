"""What kind of token a token is, by its letters alone: the nearest thing to a part of speech for pieces of words."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

CLASSES = ("word", "word part", "digits", "punctuation", "space", "other")


def token_classes(tokenizer: PreTrainedTokenizerBase) -> Int[Tensor, " d_vocab"]:
    """For every token of the vocabulary, the index of its class in `CLASSES`: `token_classes(tokenizer)[tokens]`.

    A word begins with a space, a part of one does not; "other" is what mixes letters with anything else, single bytes
    of longer characters, and special tokens.
    """
    special = set(tokenizer.all_special_ids)
    texts = ("" if token in special else str(tokenizer.decode([token])) for token in range(len(tokenizer)))
    return torch.tensor([CLASSES.index(_class_of(text)) for text in texts])


def _class_of(text: str) -> str:
    bare = text.strip()
    if not text or "\ufffd" in text:
        return "other"
    if not bare:
        return "space"
    if bare.isalpha():
        return "word" if text[0] == " " else "word part"
    if bare.isdigit():
        return "digits"
    return "other" if any(character.isalnum() for character in bare) else "punctuation"
