"""Who wrote what: the final stream as a sum of everything written to it, and a logit as a sum of their parts."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor
from transformer_lens import ActivationCache
from transformer_lens.model_bridge import TransformerBridge

from utils.measure import _weights, norm


class Components(NamedTuple):
    """Everything written to the residual stream at one position, in the order of writing."""

    labels: list[str]
    values: Float[Tensor, "component batch d_model"]


class Attribution(NamedTuple):
    """How much each component gives to one logit, or to the difference of two."""

    labels: list[str]
    values: Float[Tensor, "component batch"]


@torch.no_grad()
def component_outputs(model: TransformerBridge, cache: ActivationCache, pos: int = -1) -> Components:
    """What the embeddings, every head, every attention bias and every MLP wrote to the stream at position `pos`.

    The values sum to the stream after the last layer: nothing but these ever writes to it. Labels are `embed`,
    `pos_embed` (learned positions only), `L0H0` …, `L0 bias` (of the attention output) and `L0 MLP`, where they exist.

    Source: Elhage et al. (2021), "residual stream as a communication channel".

    Raises:
        ValueError: if the cache lacks the activations this needs, or has no such position.
    """
    names = _written(model)
    missing = [name for name in names if name not in cache]
    if missing:
        raise ValueError(
            f"The cache has no {missing[0]!r}: make it with model.run_with_cache(tokens), without leaving names out."
        )
    length = cache["hook_embed"].shape[1]
    if not -length <= pos < length:
        raise ValueError(f"There is no position {pos} in a sequence of {length} tokens.")
    labels, values = [], []

    def add(label: str, value: Float[Tensor, "batch d_model"]) -> None:
        labels.append(label)
        values.append(value)

    embedding = cache["hook_embed"][:, pos]
    add("embed", embedding)
    if "hook_pos_embed" in cache:
        add("pos_embed", cache["hook_pos_embed"][:, pos].expand_as(embedding))
    for layer in range(model.cfg.n_layers):
        heads = head_outputs(model, cache, layer, pos)
        for head in range(model.cfg.n_heads):
            add(f"L{layer}H{head}", heads[head])
        output_bias = _weights.bias(model, layer, "b_O")
        if output_bias is not None:
            add(f"L{layer} bias", output_bias.expand_as(embedding))
        if f"blocks.{layer}.hook_mlp_out" in cache:
            add(f"L{layer} MLP", cache[f"blocks.{layer}.hook_mlp_out"][:, pos])
    return Components(labels, torch.stack(values))


@torch.no_grad()
def head_outputs(
    model: TransformerBridge, cache: ActivationCache, layer: int, pos: int = -1
) -> Float[Tensor, "head batch d_model"]:
    """What each head of a layer wrote to the stream at position `pos`: its mixed values `z` times its `W_O`."""
    z = cache[f"blocks.{layer}.attn.hook_z"][:, pos]
    weights = _weights.layer_output_weights(model, layer)
    return einsum(z, weights, "batch head d_head, head d_head d_model -> head batch d_model")


@torch.no_grad()
def direct_logit_attribution(
    model: TransformerBridge, cache: ActivationCache, token: int, other: int | None = None, pos: int = -1
) -> Attribution:
    """What each component gives to the logit of `token` at `pos`, directly; the values sum to that logit.

    The final norm is part of the way and is treated as it acted in this run: each component is centred (LayerNorm
    only), divided by the divisor of the whole stream, multiplied by the norm's weight, and read by the unembedding.
    Two rows belong to nobody: `final norm bias`, and `unembedding bias` where the model has one. With `other`, every
    row is a difference and the sum is the logit of `token` minus that of `other`. Units are those of logits (nats, up
    to the constant that softmax removes).

    "Directly" is a limit: what a component does by changing what later layers write is booked on those layers.

    Source: Elhage et al. (2021), "direct path"; Wang et al. (2023), section 3.1, for the name and the difference.

    Raises:
        ValueError: if a token is not in the vocabulary, or the cache lacks what this needs.
    """
    components = component_outputs(model, cache, pos)
    direction = model.W_U.detach()[:, _weights.check_token(model, token)]
    constant = norm.unembedding_bias(model)[token]
    if other is not None:
        direction = direction - model.W_U.detach()[:, _weights.check_token(model, other)]
        constant = constant - norm.unembedding_bias(model)[other]
    scale = norm.final_scale(model, cache)[:, pos]
    read = norm.frozen(model, model.ln_final, components.values, scale) @ direction
    labels, values = list(components.labels), [read]
    norm_bias = norm.bias(model.ln_final)
    if isinstance(norm_bias, Tensor):
        labels.append("final norm bias")
        values.append((norm_bias @ direction).expand(1, read.shape[1]))
    if bool(norm.unembedding_bias(model).any()):
        labels.append("unembedding bias")
        values.append(constant.expand(1, read.shape[1]))
    return Attribution(labels, torch.cat(values))


def _written(model: TransformerBridge) -> list[str]:
    """The activations that a decomposition needs."""
    names = [f"blocks.{layer}.attn.hook_z" for layer in range(model.cfg.n_layers)]
    if model.cfg.normalization_type is not None:
        names.append("ln_final.hook_scale")
    return ["hook_embed", *names]
