"""Measures what the figure on the landing page shows: `python book/landing_data.py`, after the weights have changed.

The trained two-layer model reads a list of unrelated words twice. For every set of removed heads (zero-ablation of
`hook_z`) the file holds the surprise at each word, and for every head where it looks.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

TARGET = Path(__file__).parent / "_static" / "landing-heads.json"
CANDIDATES = "great city people early number world long system years group under name first music house large play"
PERIOD = 12  # words in the list: what fits a phone
MOST_SETS = 1000  # sets of removed heads: all of them in a model of 8 heads, up to three at a time of 16
STEP = 0.06  # nats: one unit of a stored byte, so that 255 is 15.3 nats
SETS_AT_ONCE = 256  # sets of removed heads in one forward pass
LARGEST = 60_000  # bytes: the file travels inside the page


def main() -> None:
    """Writes `book/_static/landing-heads.json` for the shipped model `induction`."""
    from utils.models import load

    text = json.dumps(measure(load("induction")), separators=(",", ":")) + "\n"
    if len(text) > LARGEST:
        raise ValueError(f"{TARGET.name} would be {len(text)} bytes, more than {LARGEST}: lower MOST_SETS or PERIOD.")
    TARGET.write_text(text)
    print(f"{TARGET.name}: {len(text) / 1000:.0f} kB")


@torch.no_grad()
def measure(model: TransformerBridge) -> dict[str, object]:
    """Everything the figure draws, ready for JSON.

    `losses` holds one byte for each set of removed heads and each word after BOS, in steps of `step` nats; the sets
    come in the order of `removable_sets`. `patterns` holds one byte for each head, query and key no later than the
    query (BOS is position 0), in steps of 1/255. Both are base64.
    """
    words, tokens = repeated_words(model)
    total = model.cfg.n_layers * model.cfg.n_heads
    most_off = max(most for most in range(1, total + 1) if len(removable_sets(total, most)) <= MOST_SETS)
    sets = removable_sets(total, most_off)
    losses = losses_without(model, tokens, sets)
    pattern = attention_patterns(model, tokens)
    query, key = torch.tril_indices(tokens.shape[1], tokens.shape[1])
    return {
        "words": words,
        "layers": model.cfg.n_layers,
        "heads": model.cfg.n_heads,
        "most_off": most_off,
        "step": STEP,
        "losses": to_base64(losses / STEP),
        "patterns": to_base64(pattern[:, query, key] * 255),
    }


def repeated_words(model: TransformerBridge) -> tuple[list[str], Int[Tensor, "1 1+2*word"]]:
    """The word list, and BOS followed by the list twice.

    Raises:
        ValueError: if fewer than `PERIOD` of the candidates are single tokens of the model.
    """
    ids = {word: model.to_tokens(" " + word, prepend_bos=False)[0].tolist() for word in CANDIDATES.split()}
    words = [word for word, pieces in ids.items() if len(pieces) == 1][:PERIOD]
    if len(words) < PERIOD:
        raise ValueError(f"Only {len(words)} of the words in CANDIDATES are single tokens; add common words to it.")
    once = [ids[word][0] for word in words]
    return words, torch.tensor([[model.tokenizer.bos_token_id, *once, *once]])


def removable_sets(n_heads: int, most: int) -> list[tuple[int, ...]]:
    """All sets of up to `most` of the heads 0 … n_heads - 1 (layer by layer), smaller ones first, then in order."""
    return [chosen for size in range(most + 1) for chosen in combinations(range(n_heads), size)]


def losses_without(
    model: TransformerBridge, tokens: Int[Tensor, "1 position"], sets: list[tuple[int, ...]]
) -> Float[Tensor, "set position-1"]:
    """The loss in nats at every token after BOS, with each set of heads replaced by zeros."""
    layers, heads = model.cfg.n_layers, model.cfg.n_heads
    kept = torch.ones(len(sets), layers * heads)
    for row, removed in enumerate(sets):
        kept[row, list(removed)] = 0.0
    losses = []
    for chunk in rearrange(kept, "set (layer head) -> set layer 1 head 1", layer=layers).split(SETS_AT_ONCE):
        hooks: list[Any] = [(f"blocks.{layer}.attn.hook_z", multiply_by(chunk[:, layer])) for layer in range(layers)]
        logits = model.run_with_hooks(tokens.expand(len(chunk), -1), fwd_hooks=hooks)
        chances = logits[:, :-1].log_softmax(-1)
        losses.append(-chances.gather(-1, tokens[:, 1:, None].expand(len(chunk), -1, -1)).squeeze(-1))
    return torch.cat(losses)


def multiply_by(kept: Float[Tensor, "set 1 head 1"]) -> Callable[..., Tensor]:
    """A hook that multiplies the output of every head by 0 or 1."""

    def hook_function(z: Float[Tensor, "set position head d_head"], hook: object) -> Tensor:
        return z * kept

    return hook_function


def attention_patterns(
    model: TransformerBridge, tokens: Int[Tensor, "1 position"]
) -> Float[Tensor, "layer*head query key"]:
    """Where every head of the intact model looks, layer by layer."""
    _, cache = model.run_with_cache(tokens, names_filter=lambda name: name.endswith("hook_pattern"))
    return torch.cat([cache[f"blocks.{layer}.attn.hook_pattern"][0] for layer in range(model.cfg.n_layers)])


def to_base64(values: Float[Tensor, ...]) -> str:
    """The values rounded to one byte each, clipped to 0 … 255."""
    return base64.b64encode(values.round().clamp(0, 255).to(torch.uint8).numpy().tobytes()).decode()


if __name__ == "__main__":
    main()
