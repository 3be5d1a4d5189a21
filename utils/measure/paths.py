"""Ways through the model: straight from embedding to logits, or through one head, two heads, and so on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import einsum
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens import ActivationCache
from transformer_lens.model_bridge import TransformerBridge

from utils.measure import _weights, norm


class PathLogits(NamedTuple):
    """A logit split by the number of heads that its information passed through."""

    labels: list[str]
    values: Float[Tensor, "path batch"]


@torch.no_grad()
def direct_path_logits(
    model: TransformerBridge, tokens: Int[Tensor, "batch pos"]
) -> Float[Tensor, "batch pos d_vocab"]:
    """Logits of the shortest path: each token's embedding straight to the final norm and the unembedding.

    No layer acts, so all it can hold is which token tends to follow which (a bigram table). Learned positions are part
    of the embedding. The norm's scale is computed from this stream.

    Source: Elhage et al. (2021), "zero-layer transformers".

    Raises:
        ValueError: if the sequence is longer than the model's context window.
    """
    stream = model.W_E.detach()[tokens]
    if model.cfg.positional_embedding_type == "standard":
        if tokens.shape[1] > model.cfg.n_ctx:
            raise ValueError(f"{tokens.shape[1]} tokens do not fit the context window of {model.cfg.n_ctx}.")
        stream = stream + model.W_pos.detach()[: tokens.shape[1]]
    return norm.unembed(model, stream)


@torch.no_grad()
def path_logits(model: TransformerBridge, cache: ActivationCache, token: int, pos: int = -1) -> PathLogits:
    """The logit of `token` at `pos`, split by how many heads the information passed through on its way.

    In an attention-only model a head's output is a sum over everything earlier that its values read. Written out, the
    final stream is a sum over paths: embedding → logits (0 heads), embedding → head → logits (1 head), embedding →
    head → later head → logits (2 heads), … With attention patterns and the divisors of all norms held at this run's
    values the split is exact. What does not begin at an embedding, the biases of norms, values and outputs, forms the
    last row, `biases`. The rows sum to the logit.

    Patterns are held, so *where* heads look counts as given; what a head contributed to a later head's looking (K- and
    Q-composition) is invisible here.

    Source: Elhage et al. (2021), "path expansion trick"; Veit et al. (2016) for the question.

    Returns:
        Labels `0 heads` … `n_layers heads`, `biases`, and the values [path batch], in logits.

    Raises:
        ValueError: if the model has MLPs, if the token is not in its vocabulary, or if the cache lacks something.
    """
    if not getattr(model.cfg, "attn_only", False):
        raise ValueError("path_logits needs a model of attention layers only: an MLP is no sum over what it reads.")
    _weights.check_token(model, token)
    n_layers = model.cfg.n_layers
    embedding = cache["hook_embed"].detach()
    if "hook_pos_embed" in cache:
        embedding = embedding + cache["hook_pos_embed"].detach()
    paths = embedding.new_zeros(n_layers + 2, *embedding.shape)  # [heads passed, then biases; batch pos d_model]
    paths[0] = embedding
    for layer in range(n_layers):
        moved = _through_heads(model, cache, layer, paths)
        paths[1 : n_layers + 1] += moved[:n_layers]  # one head more; none can have passed n_layers heads before
        paths[-1] += moved[-1] + _layer_constant(model, cache, layer)
    scale = norm.final_scale(model, cache)
    direction = model.W_U.detach()[:, token]
    values = (norm.frozen(model, model.ln_final, paths, scale) @ direction)[:, :, pos]  # [path batch]
    norm_bias = norm.bias(model.ln_final)
    if isinstance(norm_bias, Tensor):
        values[-1] += norm_bias @ direction
    values[-1] += norm.unembedding_bias(model)[token]
    labels = [f"{count} head{'' if count == 1 else 's'}" for count in range(n_layers + 1)]
    return PathLogits([*labels, "biases"], values)


def _through_heads(
    model: TransformerBridge, cache: ActivationCache, layer: int, parts: Float[Tensor, "path batch pos d_model"]
) -> Float[Tensor, "path batch pos d_model"]:
    """What a layer's heads write for each part of the stream that they read; linear in the parts."""
    block = model.blocks[layer]
    scale = _scale(model, cache, layer)
    read = norm.frozen(model, getattr(block, "ln1", None), parts, scale)
    values = einsum(
        read,
        _weights.layer_value_weights(model, layer),
        "path batch key m, head m d_head -> path batch key head d_head",
    )
    pattern = cache[f"blocks.{layer}.attn.hook_pattern"].detach()
    mixed = einsum(pattern, values, "batch head query key, path batch key head d -> path batch query head d")
    return einsum(
        mixed, _weights.layer_output_weights(model, layer), "path batch pos head d, head d m -> path batch pos m"
    )


def _layer_constant(model: TransformerBridge, cache: ActivationCache, layer: int) -> Float[Tensor, "d_model"]:
    """What a layer writes whatever it reads: biases of its norm and values, carried by the pattern, and of its output.

    Rows of a pattern sum to 1, so what every position's value has in common arrives unchanged.
    """
    weights = _weights.layer_value_weights(model, layer)
    values = weights.new_zeros(weights.shape[0], weights.shape[2])  # [head d_head]
    norm_bias = norm.bias(getattr(model.blocks[layer], "ln1", None))
    if isinstance(norm_bias, Tensor):
        values = values + einsum(norm_bias, weights, "m, head m d -> head d")
    value_bias = _weights.bias(model, layer, "b_V")
    if value_bias is not None:
        values = values + value_bias.reshape(-1, weights.shape[2]).repeat_interleave(
            weights.shape[0] // (value_bias.numel() // weights.shape[2]), dim=0
        )
    written = einsum(values, _weights.layer_output_weights(model, layer), "head d, head d m -> m")
    output_bias = _weights.bias(model, layer, "b_O")
    return written if output_bias is None else written + output_bias


def _scale(model: TransformerBridge, cache: ActivationCache, layer: int) -> Float[Tensor, "batch pos 1"] | float:
    if model.cfg.normalization_type is None:
        return 1.0
    return cache[f"blocks.{layer}.ln1.hook_scale"].detach()
