"""The normalisation between the stream and whoever reads it: recomputed, or frozen at what one run measured.

LayerNorm subtracts the mean, divides by the standard deviation, multiplies by a weight and adds a bias; RMSNorm
divides by the root mean square and multiplies by a weight. With the divisor frozen at the value from a run, both are
affine maps of the stream, and that is what makes a logit a sum of parts.

Source: Elhage et al. (2021), "handling layer normalization"; Zhang and Sennrich (2019) for RMSNorm.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens import ActivationCache
from transformer_lens.model_bridge import TransformerBridge


def final_norm(model: TransformerBridge, stream: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest d_model"]:
    """The model's final norm applied to any stream, its scale computed from that very stream."""
    centred = centre(model, stream)
    if model.cfg.normalization_type is not None:
        centred = centred / (centred.pow(2).mean(-1, keepdim=True) + model.cfg.eps).sqrt()
    return centred * weight(model, model.ln_final) + bias(model.ln_final)


@torch.no_grad()
def unembed(model: TransformerBridge, stream: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest d_vocab"]:
    """Logits for any stream: the final norm, recomputed, then the unembedding and its bias."""
    return final_norm(model, stream) @ model.W_U.detach() + unembedding_bias(model)


def centre(model: TransformerBridge, stream: Float[Tensor, "*rest d_model"]) -> Float[Tensor, "*rest d_model"]:
    """The stream minus its mean for LayerNorm; the stream itself for RMSNorm and for no norm."""
    if model.cfg.normalization_type in ("LN", "LNPre"):
        return stream - stream.mean(-1, keepdim=True)
    return stream


def frozen(
    model: TransformerBridge,
    norm: Any,
    part: Float[Tensor, "*rest d_model"],
    scale: Float[Tensor, "*rest 1"] | float,
) -> Float[Tensor, "*rest d_model"]:
    """What one part of the stream becomes behind a norm whose divisor is held at `scale`; the bias is left out.

    Linear in `part`: the parts of a stream, normed one by one, sum to the normed stream minus the bias.
    """
    return centre(model, part) / scale * weight(model, norm)


def weight(model: TransformerBridge, norm: Any) -> Float[Tensor, "d_model"] | float:
    """A norm's weight, or 1 where it has none."""
    value = getattr(norm, "weight", None)
    if not isinstance(value, Tensor):
        return 1.0
    return value.detach() + (1.0 if getattr(model.cfg, "rmsnorm_uses_offset", False) else 0.0)


def bias(norm: Any) -> Float[Tensor, "d_model"] | float:
    """A norm's bias, or 0 where it has none."""
    value = getattr(norm, "bias", None)
    return value.detach() if isinstance(value, Tensor) else 0.0


def final_scale(model: TransformerBridge, cache: ActivationCache) -> Float[Tensor, "batch pos 1"]:
    """What the final norm divided by in a run; 1 for a model without norms."""
    if model.cfg.normalization_type is None:
        stream = cache[f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"]
        return torch.ones_like(stream[..., :1])
    return cache["ln_final.hook_scale"].detach()


def unembedding_bias(model: TransformerBridge) -> Float[Tensor, "d_vocab"]:
    """The bias of the unembedding, zeros where it has none."""
    try:
        value = model.b_U
    except AttributeError:
        value = None
    return torch.zeros(model.W_U.shape[-1], device=model.W_U.device) if value is None else value.detach()
