"""Answers to the hour-long exercise: two other forward passes, and the ones that go wrong in a single place."""

from __future__ import annotations

import torch
from torch.nn.functional import layer_norm, scaled_dot_product_attention

from utils.grading.mutants import Answers, Mutant


def by_library(weights, tokens, eps):
    """Everything that torch offers ready-made."""
    stream = weights["W_E"][tokens] + weights["W_pos"][torch.arange(tokens.shape[1])]
    layer = 0
    while f"blocks.{layer}.W_Q" in weights:
        p = f"blocks.{layer}."
        read = layer_norm(stream, stream.shape[-1:], weights[p + "ln1.w"], weights[p + "ln1.b"], eps)
        q, k, v = (read[:, None] @ weights[p + "W_" + x] + weights[p + "b_" + x][:, None] for x in "QKV")
        z = scaled_dot_product_attention(q, k, v, is_causal=True)
        stream = stream + (z @ weights[p + "W_O"]).sum(1) + weights[p + "b_O"]
        layer += 1
    return layer_norm(stream, stream.shape[-1:], weights["ln_final.w"], weights["ln_final.b"], eps) @ weights["W_U"]


def _norm(x, weights, name, eps):
    x = x - x.mean(-1, keepdim=True)
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weights[name + ".w"] + weights[name + ".b"]


def _head(read, weights, block, head, *, mask=True, width=None, biases="QKV", swapped=False, flipped=False):
    """What one head writes at every position of one sequence, [pos d_model]."""
    q, k, v = (read @ weights[f"{block}W_{x}"][head] + (x in biases) * weights[f"{block}b_{x}"][head] for x in "QKV")
    if swapped:
        q, k = k, q
    scores = q @ k.T / (width or q.shape[-1]) ** 0.5
    if mask:
        scores = scores + torch.full_like(scores, float("-inf")).triu(1)
    pattern = scores.softmax(-1).T if flipped else scores.softmax(-1)
    return pattern @ v @ weights[block + "W_O"][head]


def by_loops(
    weights,
    tokens,
    eps,
    *,
    positions=True,
    inner_norm=True,
    final_norm=True,
    output_bias=1,
    residual=True,
    average=False,
    layer_of=lambda layer: layer,
    reads_first=False,
    norm_after=False,
    overwritten=False,
    norm_of=None,
    most=99,
    **head_settings,
):
    """One sequence, one layer and one head at a time; the settings take single steps away."""
    out = []
    layers = min(most, sum(name.endswith(".W_Q") for name in weights))
    for row in tokens:
        stream = weights["W_E"][row] + (weights["W_pos"][: len(row)] if positions else 0)
        first = stream
        for layer in range(layers):
            block = f"blocks.{layer_of(layer)}."
            source = first if reads_first else stream
            norm = f"blocks.{(norm_of or layer_of)(layer)}.ln1"
            read = _norm(source, weights, norm, eps) if inner_norm and not norm_after else source
            stream = read if overwritten else stream
            heads = len(weights[block + "W_Q"])
            write = sum(_head(read, weights, block, head, **head_settings) for head in range(heads))
            write = write / (heads if average else 1) + output_bias * weights[block + "b_O"]
            stream = stream + write if residual else write
            stream = _norm(stream, weights, block + "ln1", eps) if norm_after else stream
        stream = _norm(stream, weights, "ln_final", eps) if final_norm else stream
        out.append(stream @ weights["W_U"])
    return torch.stack(out)


def with_change(name, **settings):
    """The loops with one step changed."""

    def changed(weights, tokens, eps):
        return by_loops(weights, tokens, eps, **settings)

    changed.__name__ = name
    return changed


def plain_loops(weights, tokens, eps):
    return by_loops(weights, tokens, eps)


def two_layers_always(weights, tokens, eps):
    doubled = dict(weights)
    for name in weights:
        if name.startswith("blocks.") and not name.startswith(("blocks.0.", "blocks.1.")):
            del doubled[name]
    return by_loops(doubled, tokens, eps)


def bias_per_head(weights, tokens, eps):
    return by_loops(weights, tokens, eps, output_bias=len(weights["blocks.0.W_Q"]))


def own_eps(weights, tokens, eps):
    return by_loops(weights, tokens, 1e-5)


def bare_norms(weights, tokens, eps):
    plain = {name: torch.ones_like(value) if name.endswith(".w") else value for name, value in weights.items()}
    plain |= {name: torch.zeros_like(value) for name, value in weights.items() if name.endswith((".b", "ln1.b"))}
    return by_loops(plain, tokens, eps)


def last_position(weights, tokens, eps):
    return by_loops(weights, tokens, eps)[:, -1]


ANSWERS = {
    "residual_stream.forward": Answers(
        alternatives=[by_library, plain_loops],
        mutants=[
            Mutant(with_change("without_positions", positions=False), "positions are missing"),
            Mutant(with_change("raw_reads", inner_norm=False), "read the raw stream"),
            Mutant(with_change("without_final_norm", final_norm=False), "final norm is missing"),
            Mutant(bare_norms, "weights and biases are missing"),
            Mutant(with_change("normed_stream", norm_after=True), "the stream goes on as it is"),
            Mutant(with_change("without_mask", mask=False), "no causal mask"),
            Mutant(with_change("undivided", width=1), "divided by √d_head"),
            Mutant(with_change("replaced_stream", residual=False), "A layer replaced the stream"),
            Mutant(with_change("without_input_biases", biases=""), "queries, keys and values are missing"),
            Mutant(with_change("without_output_bias", output_bias=0), "b_O, is missing"),
            Mutant(bias_per_head, "once per head"),
            Mutant(with_change("averaged", average=True), "averaged over heads"),
            Mutant(with_change("first_layer_again", layer_of=lambda layer: 0), "weights of layer 0"),
            Mutant(with_change("reads_embeddings", reads_first=True), "read the embeddings"),
            Mutant(with_change("swapped", swapped=True), "Queries and keys changed places"),
            Mutant(with_change("without_b_V", biases="QK"), "b_V, is missing"),
            Mutant(with_change("without_b_Q", biases="KV"), "b_Q, is missing"),
            Mutant(with_change("divided_by_width", width=8), "you divided by √d_model"),
            Mutant(with_change("stream_overwritten", overwritten=True), "added to the normalised stream"),
            Mutant(with_change("one_layer", most=1), "stopped after one layer"),
            Mutant(
                with_change("first_norm_again", norm_of=lambda layer: 0), "norm used the weight and bias of layer 0"
            ),
            Mutant(with_change("flipped", flipped=True), "mixed the values over queries"),
            Mutant(own_eps, "do not use the eps"),
            Mutant(two_layers_always, "read the number of layers off the names"),
            Mutant(last_position, "should have shape [2, 7, 11]"),
        ],
    ),
}
