"""Check of the hour-long exercise: the forward pass of an attention-only transformer from its weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from einops import einsum
from torch import Tensor

from utils.grading import exercise, expect_close, expect_shape
from utils.grading.checks.residual_stream import Student, away_from_one, fresh, normal, standardised

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Forward:
    """A forward pass with switches; each switched away from its default is a mistake that people make."""

    positions: bool = True
    inner_norm: bool = True
    final_norm: bool = True
    norm_affine: bool = True
    norm_after: bool = False
    mask: bool = True
    divide: str = "head"
    residual: bool = True
    biased: str = "QKV"
    output_bias: bool = True
    every_head_bias: bool = False
    mean_over_heads: bool = False
    same_layer: bool = False
    frozen_read: bool = False
    swapped: bool = False
    mixed_over_queries: bool = False
    adds_to_read: bool = False
    first_norm: bool = False
    layers: int | None = None

    def __call__(self, weights: Weights, tokens: Tensor, eps: float) -> Tensor:
        """Logits [batch pos d_vocab]."""
        stream = weights["W_E"][tokens]
        if self.positions:
            stream = stream + weights["W_pos"][: tokens.shape[1]]
        first = stream
        for layer in range(self.layers or sum(name.endswith("W_Q") for name in weights)):
            block = f"blocks.{0 if self.same_layer else layer}."
            norm = "blocks.0.ln1" if self.first_norm else block + "ln1"
            source = first if self.frozen_read else stream
            read = self._norm(source, weights, norm, eps) if self.inner_norm and not self.norm_after else source
            write = self._attend(read, weights, block)
            stream = (read if self.adds_to_read else stream) + write if self.residual else write
            if self.norm_after:
                stream = self._norm(stream, weights, block + "ln1", eps)
        if self.final_norm:
            stream = self._norm(stream, weights, "ln_final", eps)
        return stream @ weights["W_U"]

    def _norm(self, x: Tensor, weights: Weights, name: str, eps: float) -> Tensor:
        unit = standardised(x, eps)
        return unit * weights[name + ".w"] + weights[name + ".b"] if self.norm_affine else unit

    def _attend(self, read: Tensor, weights: Weights, block: str) -> Tensor:
        q, k, v = (self._project(read, weights, block, letter) for letter in "QKV")
        if self.swapped:
            q, k = k, q
        scores = einsum(q, k, "b query h d, b key h d -> b h query key")
        scores = scores / {"head": q.shape[-1], "model": read.shape[-1], "none": 1}[self.divide] ** 0.5
        if self.mask:
            scores = scores.masked_fill(torch.ones(scores.shape[-2:]).triu(1).bool(), float("-inf"))
        pattern = scores.softmax(-1)
        pattern = pattern.transpose(-1, -2) if self.mixed_over_queries else pattern
        z = einsum(pattern, v, "b h query key, b key h d -> b query h d")
        heads = einsum(z, weights[block + "W_O"], "b p h d, h d m -> b p h m")
        if self.every_head_bias:
            heads = heads + weights[block + "b_O"]
        write = heads.mean(2) if self.mean_over_heads else heads.sum(2)
        return write + weights[block + "b_O"] if self.output_bias and not self.every_head_bias else write

    def _project(self, read: Tensor, weights: Weights, block: str, letter: str) -> Tensor:
        projected = einsum(read, weights[f"{block}W_{letter}"], "b p m, h m d -> b p h d")
        return projected + weights[f"{block}b_{letter}"] if letter in self.biased else projected


EPS = 0.3  # large, so that leaving it out shows

MISTAKES: dict[str, dict[str, Any]] = {
    "The positions are missing: add W_pos, one row per position, to the token embeddings.": {"positions": False},
    "The heads read the raw stream. LayerNorm (ln1) stands in front of every attention layer.": {"inner_norm": False},
    "The final norm is missing between the stream and W_U.": {"final_norm": False},
    "The norms' weights and biases are missing.": {"norm_affine": False},
    "You normalised the stream itself after each layer. Here only what a layer *reads* is normalised; the stream goes "
    "on as it is.": {"norm_after": True},
    "There is no causal mask: positions see the future.": {"mask": False},
    "Scores are divided by √d_head before the softmax; yours are not.": {"divide": "none"},
    "Scores are divided by √d_head; you divided by √d_model.": {"divide": "model"},
    "A layer replaced the stream. It adds to it: stream = stream + write.": {"residual": False},
    "The biases of queries, keys and values are missing.": {"biased": ""},
    "The bias of the values, b_V, is missing.": {"biased": "QK"},
    "The bias of the queries, b_Q, is missing.": {"biased": "KV"},
    "You added to the normalised stream. The norm makes a copy for the heads to read; what they write is added to the "
    "raw stream.": {"adds_to_read": True},
    "You stopped after one layer.": {"layers": 1},
    "Every layer's norm used the weight and bias of layer 0's.": {"first_norm": True},
    "You mixed the values over queries. Each query's row of the pattern weighs the values of the keys.": {
        "mixed_over_queries": True
    },
    "The bias of the attention output, b_O, is missing.": {"output_bias": False},
    "b_O was added once per head. It is added once per layer.": {"every_head_bias": True},
    "You averaged over heads. Their writes are added.": {"mean_over_heads": True},
    "Every layer used the weights of layer 0.": {"same_layer": True},
    "Every layer read the embeddings. Layer 1 reads the stream that layer 0 has written to.": {"frozen_read": True},
    "Queries and keys changed places.": {"swapped": True},
}


def random_weights(generator: torch.Generator, layers: int = 2) -> Weights:
    """A model of width 8 with three heads of 5, vocabulary 11, context 9; every bias non-zero."""
    m, h, d, vocabulary, context = 8, 3, 5, 11, 9
    weights = {
        "W_E": normal(vocabulary, m, generator=generator),
        "W_pos": normal(context, m, generator=generator),
        "W_U": normal(m, vocabulary, generator=generator),
    }
    for name in [f"blocks.{layer}.ln1" for layer in range(layers)] + ["ln_final"]:
        weights |= {f"{name}.w": away_from_one(m, generator) / 2, f"{name}.b": normal(m, generator=generator)}
    for layer in range(layers):
        for letter in "QKV":
            weights[f"blocks.{layer}.W_{letter}"] = 0.5 * normal(h, m, d, generator=generator)
            weights[f"blocks.{layer}.b_{letter}"] = 0.5 * normal(h, d, generator=generator)
        weights[f"blocks.{layer}.W_O"] = 0.5 * normal(h, d, m, generator=generator)
        weights[f"blocks.{layer}.b_O"] = normal(m, generator=generator)
    return weights


@exercise(
    "residual_stream.forward",
    title="A transformer from its weights",
    points=8,
    minutes=60,
    difficulty=3,
    hints=[
        "Write the skeleton first: stream = embeddings; for each layer: stream = stream + something; logits from the "
        "normed stream. Get that to run with `something` equal to 0, then fill it in from the exercises above.",
        "Inside a layer: read = LayerNorm(stream) with that layer's ln1; q, k, v = read @ W + b for every head; the "
        "causal pattern from q and k; z = pattern mixing v over keys; write = z @ W_O added over heads, plus b_O once. "
        'The number of layers is how many names end in "W_Q".',
        'For layer i with p = f"blocks.{i}.": q = einsum(read, w[p + "W_Q"], "b p m, h m d -> b p h d") + w[p + '
        '"b_Q"], likewise k and v; z = einsum(causal_pattern(q, k), v, "b h q k, b k h d -> b q h d"); stream = stream '
        '+ einsum(z, w[p + "W_O"], "b p h d, h d m -> b p m") + w[p + "b_O"].',
    ],
)
def check_forward(student: Student) -> None:
    g = fresh()
    weights = random_weights(g)
    tokens = torch.randint(11, (2, 7), generator=g)
    got = student(weights, tokens, EPS)
    expect_shape(got, (2, 7, 11), "the logits [batch pos d_vocab]")
    right = Forward()
    mistakes = {sentence: replace(right, **switch)(weights, tokens, EPS) for sentence, switch in MISTAKES.items()}
    mistakes["The norms do not use the eps that they are given."] = right(weights, tokens, 1e-5)
    expect_close(
        got,
        right(weights, tokens, EPS),
        mistakes=mistakes,
        otherwise="The logits differ. Compare step by step with the exercises above: embeddings plus positions, then "
        "per layer: norm, q k v with biases, pattern, values, output with bias, added; then ln_final and W_U.",
        rtol=1e-4,
        atol=1e-4,
    )
    for layers in (1, 3):
        other = random_weights(g, layers)
        expect_close(
            student(other, tokens[:1, :4], EPS),
            right(other, tokens[:1, :4], EPS),
            mistakes={"Every layer used the weights of layer 0.": Forward(same_layer=True)(other, tokens[:1, :4], EPS)},
            otherwise=f"Right for two layers, wrong for a model of {layers}: read the number of layers off the names.",
            rtol=1e-4,
            atol=1e-4,
        )
