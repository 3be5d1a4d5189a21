"""A model goes on writing."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import commonprefix
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources.native import NativeModel


@torch.no_grad()
def write(
    model: TransformerBridge,
    prompts: Sequence[tuple[int, ...]],
    stop: int,
    limit: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[tuple[int, ...]]:
    """What the model writes after each prompt: up to the token `stop`, which is left out, and at most `limit` tokens.

    Args:
        temperature: 0 takes the likeliest token each time; above it tokens are drawn, with `seed`.

    Raises:
        ValueError: if prompt and text might not fit into what the model reads.
    """
    longest = max(map(len, prompts)) + limit
    if longest > model.cfg.n_ctx:
        raise ValueError(
            f"{longest} tokens of prompt and text do not fit into the {model.cfg.n_ctx} the model reads: "
            "lower limit, or shorten the prompts."
        )
    dice = torch.Generator().manual_seed(seed)
    reader = _reader(model, prompts)
    texts: list[list[int]] = [[] for _ in prompts]
    left = list(range(len(prompts)))
    for _ in range(limit):
        logits = reader.logits(left)
        if temperature:
            new = torch.multinomial((logits / temperature).softmax(-1), 1, generator=dice).flatten()
        else:
            new = logits.argmax(-1)
        reader.add(left, new)
        for item, token in zip(left, new.tolist(), strict=True):
            texts[item].append(token)
        left = [item for item in left if texts[item][-1] != stop]
        if not left:
            break
    return [tuple(text[:-1] if text and text[-1] == stop else text) for text in texts]


def _reader(model: TransformerBridge, prompts: Sequence[tuple[int, ...]]) -> _Kept | _Cached:
    """The quickest way to go on reading that the model's architecture allows."""
    return (_Kept if isinstance(model.original_model, NativeModel) else _Cached)(model, prompts)


class _Kept:
    """Keeps keys and values for a native model, which does not do so itself."""

    def __init__(self, model: TransformerBridge, prompts: Sequence[tuple[int, ...]]) -> None:
        self.model: Any = model.original_model
        self.lengths = torch.tensor([len(prompt) for prompt in prompts])
        self.now = padded(prompts)
        self.positions = torch.arange(self.now.shape[1]).expand(self.now.shape)
        self.last = self.lengths - 1
        self.seen = torch.zeros(len(prompts), 0, dtype=torch.long)  # each key's position; padding's is after all others
        self.kept: list[tuple[Tensor, Tensor]] = []

    def logits(self, items: list[int]) -> Float[Tensor, "item d_vocab"]:
        real = self.positions < self.lengths[:, None]
        self.seen = torch.cat([self.seen, self.positions.masked_fill(~real, self.model.cfg.n_ctx)], 1)
        sees = (self.seen[:, None, :] <= self.positions[:, :, None])[:, None]  # [item 1 query key]
        x = self.model.tok_embed(self.now)
        if self.model.pos is not None:
            x = x + self.model.pos(self.positions)
        before, self.kept = self.kept, []
        for layer, block in enumerate(self.model.layers):
            normed = block.ln1(x)
            q, k, v = (
                part(normed).unflatten(-1, (-1, block.attn.d_head)).transpose(1, 2)
                for part in (block.attn.q, block.attn.k, block.attn.v)
            )
            if self.model.rotary is not None:
                q, k = self.model.rotary.apply_rope(q, k, position_ids=self.positions)
            if before:
                k, v = (torch.cat(pair, 2) for pair in zip(before[layer], (k, v), strict=True))
            self.kept.append((k, v))
            z = scaled_dot_product_attention(q, k, v, sees, enable_gqa=True)
            x = x + block.attn.o(z.transpose(1, 2).flatten(2))
            if not self.model.cfg.attn_only:
                x = x + block.mlp(block.ln2(x))
        return self.model.head(self.model.ln_out(x[items, self.last[items]]))

    def add(self, items: list[int], new: Int[Tensor, " item"]) -> None:
        self.now = torch.zeros(len(self.lengths), 1, dtype=torch.long)
        self.now[items, 0] = new
        self.positions = self.lengths[:, None].clone()
        self.lengths[items] += 1
        self.last = torch.zeros_like(self.lengths)


class _Cached:
    """Keeps keys and values, those of the prompts' common beginning computed once; finished texts are carried along."""

    def __init__(self, model: TransformerBridge, prompts: Sequence[tuple[int, ...]]) -> None:
        self.model = model
        common = len(commonprefix([prompt[:-1] for prompt in prompts]))
        self.mask = torch.ones(len(prompts), common, dtype=torch.long)
        self.cache: Any = None
        if common:
            _, self.cache = model(torch.tensor([prompts[0][:common]]), return_type="logits_and_cache", use_cache=True)
            self.cache.batch_repeat_interleave(len(prompts))
        self.lengths = torch.tensor([len(prompt) for prompt in prompts])
        rest = [prompt[common:] for prompt in prompts]
        self.now = padded(rest)
        self.positions = common + torch.arange(self.now.shape[1]).expand(self.now.shape)
        self.last = self.lengths - common - 1
        self.new_mask = (torch.arange(self.now.shape[1]) <= self.last[:, None]).long()

    def logits(self, items: list[int]) -> Float[Tensor, "item d_vocab"]:
        self.mask = torch.cat([self.mask, self.new_mask], 1)
        logits, self.cache = self.model(
            self.now,
            return_type="logits_and_cache",
            use_cache=True,
            past_key_values=self.cache,
            attention_mask=self.mask,
            position_ids=self.positions,
        )
        return logits[items, self.last[items]]

    def add(self, items: list[int], new: Int[Tensor, " item"]) -> None:
        self.now = torch.zeros(len(self.lengths), 1, dtype=torch.long)
        self.now[items, 0] = new
        self.positions = self.lengths[:, None].clone()
        self.lengths[items] += 1
        self.last = torch.zeros_like(self.lengths)
        self.new_mask = torch.ones_like(self.now)


def padded(texts: Sequence[Sequence[int]]) -> Int[Tensor, "row pos"]:
    """Texts as rows of one tensor, filled up on the right, where nothing before looks."""
    width = max(map(len, texts))
    return torch.tensor([[*text, *[0] * (width - len(text))] for text in texts])
