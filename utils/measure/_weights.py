"""Weights of a `TransformerBridge` under one convention, whatever its architecture."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge


def check_head(model: TransformerBridge, layer: int, head: int) -> None:
    """One sentence when a model has no such head."""
    if not (0 <= layer < model.cfg.n_layers and 0 <= head < model.cfg.n_heads):
        raise ValueError(
            f"There is no head {layer}.{head}: the model has layers 0 to {model.cfg.n_layers - 1} "
            f"with heads 0 to {model.cfg.n_heads - 1}."
        )


def check_token(model: TransformerBridge, token: int) -> int:
    """The token id, if the vocabulary has it."""
    if not 0 <= token < model.cfg.d_vocab:
        raise ValueError(f"There is no token {token}: the vocabulary has ids 0 to {model.cfg.d_vocab - 1}.")
    return token


def query_weights(model: TransformerBridge, layer: int, head: int) -> Float[Tensor, "d_model d_head"]:
    """W_Q of one head."""
    check_head(model, layer, head)
    return _heads(model, layer, "W_Q")[head]


def key_weights(model: TransformerBridge, layer: int, head: int) -> Float[Tensor, "d_model d_head"]:
    """W_K of one head; under grouped-query attention several heads share it."""
    check_head(model, layer, head)
    return _shared(model, _heads(model, layer, "W_K"))[head]


def value_weights(model: TransformerBridge, layer: int, head: int) -> Float[Tensor, "d_model d_head"]:
    """W_V of one head; under grouped-query attention several heads share it."""
    check_head(model, layer, head)
    return _shared(model, _heads(model, layer, "W_V"))[head]


def output_weights(model: TransformerBridge, layer: int, head: int) -> Float[Tensor, "d_head d_model"]:
    """W_O of one head."""
    check_head(model, layer, head)
    return _heads(model, layer, "W_O")[head]


def layer_output_weights(model: TransformerBridge, layer: int) -> Float[Tensor, "head d_head d_model"]:
    """W_O of all heads of a layer."""
    return _heads(model, layer, "W_O")


def layer_value_weights(model: TransformerBridge, layer: int) -> Float[Tensor, "head d_model d_head"]:
    """W_V of all heads of a layer, shared ones repeated."""
    return _shared(model, _heads(model, layer, "W_V"))


def bias(model: TransformerBridge, layer: int, name: str) -> Tensor | None:
    """An attention bias (`b_V`, `b_O`, …), or None where the architecture has none."""
    try:
        value = getattr(model.blocks[layer].attn, name)
    except AttributeError:
        return None
    return None if value is None else value.detach()


def _heads(model: TransformerBridge, layer: int, name: str) -> Tensor:
    return getattr(model.blocks[layer].attn, name).detach()


def _shared(
    model: TransformerBridge, weights: Float[Tensor, "kv_head d_model d_head"]
) -> Float[Tensor, "head d_model d_head"]:
    """Every query head's own copy of weights that groups of heads share, in the order of the query heads."""
    return torch.repeat_interleave(weights, model.cfg.n_heads // weights.shape[0], dim=0)
