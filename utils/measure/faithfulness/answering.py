"""What a model answers under a transcript."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from utils.measure.ablation import Hook
from utils.measure.faithfulness.packing import batches, pack, tensors
from utils.measure.faithfulness.transcripts import Transcript

WIDTH = 1024  # tokens in a row of packed texts: sharing saves more than the larger attention pattern costs
TOKENS = 4096  # in one forward pass


@torch.no_grad()
def answer_probabilities(model: TransformerBridge, transcripts: Sequence[Transcript]) -> Float[Tensor, "item option"]:
    """The probability of each option after the last token, among the options alone.

    Raises:
        ValueError: if a text is longer than the model can read, or the transcripts differ in the number of options.
    """
    texts = [transcript.tokens for transcript in transcripts]
    options = option_tokens(model, transcripts)
    found = torch.empty(options.shape)
    for rows in batches(pack(texts, min(WIDTH, model.cfg.n_ctx)), TOKENS):
        tokens, positions, sees = tensors(rows)
        places = [(row, place) for row, packed in enumerate(rows) for _, place in packed.ends]
        mask = torch.zeros(sees.shape).masked_fill(~sees, torch.finfo(torch.float32).min)
        logits = last_logits(model, tokens, places, [], attention_mask=mask, position_ids=positions)
        items = [index for packed in rows for index, _ in packed.ends]
        found[items] = logits.gather(1, options[items]).softmax(-1)
    return found


def answers(model: TransformerBridge, transcripts: Sequence[Transcript]) -> Int[Tensor, " item"]:
    """The index of the likeliest option."""
    return answer_probabilities(model, transcripts).argmax(-1)


def last_logits(
    model: TransformerBridge,
    tokens: Int[Tensor, "row pos"],
    places: Sequence[tuple[int, int]],
    hooks: Sequence[Hook],
    **arguments: Any,
) -> Float[Tensor, "place d_vocab"]:
    """Logits at some `(row, position)` only: with a large vocabulary, all others would cost time and memory."""
    rows, positions = torch.tensor(places).T

    def pick(x: Float[Tensor, "row pos d_model"], hook: Any = None) -> Float[Tensor, "place 1 d_model"]:
        return x[rows, positions][:, None]

    logits = model.run_with_hooks(tokens, fwd_hooks=[*hooks, ("unembed.hook_in", pick)], **arguments)
    return logits[:, 0]


def option_tokens(model: TransformerBridge, transcripts: Sequence[Transcript]) -> Int[Tensor, "item option"]:
    """The options of all transcripts, checked together with their lengths."""
    if not transcripts:
        raise ValueError("There are no transcripts: give at least one.")
    longest = max(len(transcript.tokens) for transcript in transcripts)
    if longest > model.cfg.n_ctx:
        raise ValueError(f"A text has {longest} tokens, and the model reads {model.cfg.n_ctx}: shorten the text.")
    if len({len(transcript.options) for transcript in transcripts}) > 1:
        raise ValueError("The transcripts differ in the number of options: measure each number by itself.")
    return torch.tensor([transcript.options for transcript in transcripts])
