"""Reading predictions out of the middle of a model."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens import ActivationCache
from transformer_lens.model_bridge import TransformerBridge

from utils.measure import norm


@torch.no_grad()
def logit_lens(
    model: TransformerBridge, cache: ActivationCache, pos: int | None = None
) -> Float[Tensor, "layer+1 batch pos d_vocab"]:
    """What the model would predict if it stopped before layer 0, before layer 1, …, after the last layer.

    Each layer's stream goes through the final norm, with its own scale, and the unembedding; the last entry is the
    model's own logits.

    Args:
        pos: only this position, and the axis is dropped: a real model's vocabulary makes the whole thing large.

    Source: nostalgebraist (2020), "interpreting GPT: the logit lens".
    """
    streams = stream_by_layer(model, cache)
    return norm.unembed(model, streams if pos is None else streams[:, :, pos])


def stream_by_layer(model: TransformerBridge, cache: ActivationCache) -> Float[Tensor, "layer+1 batch pos d_model"]:
    """The residual stream before every layer and after the last one.

    Raises:
        ValueError: if the cache does not hold it.
    """
    names = [f"blocks.{layer}.hook_resid_pre" for layer in range(model.cfg.n_layers)]
    names.append(f"blocks.{model.cfg.n_layers - 1}.hook_resid_post")
    missing = [name for name in names if name not in cache]
    if missing:
        raise ValueError(
            f"The cache has no {missing[0]!r}: make it with model.run_with_cache(tokens), without leaving names out."
        )
    return torch.stack([cache[name].detach() for name in names])
