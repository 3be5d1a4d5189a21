"""What the answer reads, found by changing the inside of a model and not one word of what it reads.

These functions tell a text that is used from one that is not, where tests on words cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import one_hot
from transformer_lens.model_bridge import TransformerBridge

from utils.measure.ablation import Hook
from utils.measure.collect import collect
from utils.measure.faithfulness.answering import last_logits, option_tokens
from utils.measure.faithfulness.estimates import Estimate, mean
from utils.measure.faithfulness.transcripts import Transcript
from utils.measure.faithfulness.writing import padded
from utils.measure.probes import train_probe

Places = Callable[[Transcript], Iterable[int]]  # positions in a transcript, such as Transcript.steps_at
BATCH = 64


def knock_out(
    model: TransformerBridge,
    transcripts: Sequence[Transcript],
    queries: Places,
    keys: Places,
    layers: Iterable[int] | None = None,
) -> Float[Tensor, "item option"]:
    """The options' probabilities when some positions may not look at others.

    The pattern's entries from `queries` to `keys` are set to 0 and what is left of the row is scaled to sum to 1, in
    all heads. That is what scores of minus infinity before the softmax would give.

    Args:
        queries: who may not look, such as `Transcript.ask_at`.
        keys: at what, such as `Transcript.steps_at` or `lambda t: t.step_at(2)`.
        layers: all by default.

    Raises:
        ValueError: if a query would have nothing left to look at.
    """
    chosen = list(range(model.cfg.n_layers) if layers is None else layers)

    def hooks(items: Sequence[int], width: int) -> list[Hook]:
        cut = torch.zeros(len(items), 1, width, width, dtype=torch.bool)
        for row, item in enumerate(items):
            for query in queries(transcripts[item]):
                cut[row, 0, query, list(keys(transcripts[item]))] = True
        if (cut | ~torch.ones(width, width).tril().bool()).all(-1).any():
            raise ValueError("A query is to look at nothing at all: leave it at least one key, such as itself.")
        return [(f"blocks.{layer}.attn.hook_pattern", _without(cut)) for layer in chosen]

    # A sharp head leaves so little beside the cut keys that single precision has no number for it.
    dtype = next(model.parameters()).dtype
    torch.nn.Module.to(model, torch.float64)  # not the bridge's own, which prints
    try:
        return _probabilities(model, transcripts, hooks)
    finally:
        torch.nn.Module.to(model, dtype)


def swap_keys_values(
    model: TransformerBridge,
    transcripts: Sequence[Transcript],
    donors: Sequence[Transcript],
    positions: Places,
    layers: Iterable[int] | None = None,
) -> Float[Tensor, "item option"]:
    """The options' probabilities when the keys and values at some positions come from another run.

    The words stay: the model reads its own tokens, but who looks back at those positions finds what was stored there in
    a run on the donor. Keys are swapped before they are rotated for their position, in as many heads as the model has
    of them (SmolLM2: 3 for its 9 query heads).

    Args:
        donors: one for each transcript, what the other run reads.
        positions: where, such as `Transcript.steps_at`; must be the same places in the donor.
        layers: all by default.

    Raises:
        ValueError: if a transcript and its donor differ in number or in the positions.
    """
    if len(transcripts) != len(donors):
        raise ValueError(f"{len(transcripts)} transcripts and {len(donors)} donors: each transcript needs one donor.")
    for transcript, donor in zip(transcripts, donors, strict=True):
        if list(positions(transcript)) != list(positions(donor)):
            raise ValueError(
                "A donor's text does not stand at the same positions as the transcript's: choose a donor whose prompt "
                "and steps have the same lengths."
            )
    chosen = list(range(model.cfg.n_layers) if layers is None else layers)
    names = [f"blocks.{layer}.attn.hook_{kind}" for layer in chosen for kind in "kv"]

    def hooks(items: Sequence[int], width: int) -> list[Hook]:
        tokens = padded([donors[item].tokens for item in items])
        stored = collect(model, tokens, names, batch=len(tokens))
        at = [(row, place) for row, item in enumerate(items) for place in positions(transcripts[item])]
        rows, places = torch.tensor(at, dtype=torch.long).reshape(-1, 2).T
        return [(name, _from(stored[name], rows, places)) for name in names]

    return _probabilities(model, transcripts, hooks)


def answer_probe(
    model: TransformerBridge,
    transcripts: Sequence[Transcript],
    answers: Sequence[int],
    hook: str,
    epochs: int = 30,
    seed: int = 0,
) -> Estimate:
    """How often a linear probe reads the answer at the last position of the prompt, before a word is written.

    A linear probe asks of every option whether it is the answer; the surest yes counts. It learns from the first half
    of the items and is tested on the second. A right reading shows that the answer can be had there, not that it is
    used. Controls: `answers` in another order; a model with random weights.

    Args:
        answers: for each item the index of an option, for instance what the model answers in the end.
        hook: such as `blocks.3.hook_resid_post`.
    """
    count = len(transcripts[0].options)
    x = []
    for start in range(0, len(transcripts), BATCH):
        prompts = [transcript.prompt for transcript in transcripts[start : start + BATCH]]
        stream = collect(model, padded(prompts), [hook], batch=BATCH)[hook]
        x.append(stream[torch.arange(len(prompts)), torch.tensor([len(prompt) - 1 for prompt in prompts])])
    rows, labels = torch.cat(x), torch.as_tensor(answers)
    half = len(rows) // 2
    probe = train_probe(rows[:half], one_hot(labels[:half], count), epochs=epochs, seed=seed, batch=64)
    with torch.no_grad():
        logits = probe(rows[half:])  # [item option label], label 1 for yes, 0 for no
    return mean((logits[..., 1] - logits[..., 0]).argmax(-1) == labels[half:], seed=seed)


@torch.no_grad()
def _probabilities(
    model: TransformerBridge,
    transcripts: Sequence[Transcript],
    hooks: Callable[[Sequence[int], int], list[Hook]],
) -> Float[Tensor, "item option"]:
    """Batches of texts of about the same length, padded on the right, under hooks made for the items of each batch."""
    options = option_tokens(model, transcripts)
    found = torch.empty(options.shape)
    order = sorted(range(len(transcripts)), key=lambda item: len(transcripts[item].tokens))
    for start in range(0, len(order), BATCH):
        items = order[start : start + BATCH]
        texts = [transcripts[item].tokens for item in items]
        tokens = padded(texts)
        places = [(row, len(text) - 1) for row, text in enumerate(texts)]
        logits = last_logits(model, tokens, places, hooks(items, tokens.shape[1]))
        found[items] = logits.gather(1, options[items]).softmax(-1).to(found)
    return found


def _without(cut: Bool[Tensor, "batch 1 query key"]) -> Callable[..., Tensor]:
    def write(
        pattern: Float[Tensor, "batch head query key"], hook: Any = None
    ) -> Float[Tensor, "batch head query key"]:
        left = pattern.masked_fill(cut, 0)
        kept = left.sum(-1, keepdim=True)
        if not (kept > 0).all():
            raise ValueError("A head looks at nothing but the cut keys, to the last digit: its row cannot be scaled.")
        return left / kept

    return write


def _from(stored: Tensor, rows: Tensor, places: Tensor) -> Callable[..., Tensor]:
    def write(x: Float[Tensor, "batch pos head d_head"], hook: Any = None) -> Float[Tensor, "batch pos head d_head"]:
        x = x.clone()
        x[rows, places] = stored[rows, places]
        return x

    return write
