"""Decoders of the Mixtral architecture (Jiang et al. 2024), small enough to ship: every MLP a mixture of experts."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformer_lens.model_bridge import TransformerBridge
from transformers import MixtralConfig, MixtralForCausalLM, PreTrainedTokenizerBase

MODEL_TYPE = "mixtral"


def blank(fields: dict[str, Any]) -> MixtralForCausalLM:
    """A model whose weights are still to be loaded or drawn.

    Args:
        fields: arguments of its `MixtralConfig`. Attention and experts are computed step by step, so that patterns can
            be hooked and any number of hidden units will do.
    """
    settings = {key: value for key, value in fields.items() if key != "model_type"}
    settings |= {"attn_implementation": "eager", "experts_implementation": "eager"}
    config = MixtralConfig(**settings)
    with torch.random.fork_rng(devices=[]):
        return MixtralForCausalLM(config)


@torch.no_grad()
def draw(model: MixtralForCausalLM, seed: int) -> None:
    """Draws all weights anew, as TransformerLens draws those of its own models.

    Normal with standard deviation 0.8 / √d_model; matrices that write into the stream are smaller by √(2 · layers);
    the norms' gains are 1.
    """
    generator = torch.Generator().manual_seed(seed)
    std = 0.8 / math.sqrt(model.config.hidden_size)
    for name, value in model.named_parameters():
        if value.ndim == 1:
            nn.init.ones_(value)
        else:
            writes = name.endswith(("o_proj.weight", "down_proj"))
            scale = std / math.sqrt(2 * model.config.num_hidden_layers) if writes else std
            nn.init.normal_(value, std=scale, generator=generator)


def bridge(model: MixtralForCausalLM, name: str, tokenizer: PreTrainedTokenizerBase) -> TransformerBridge:
    """The model with TransformerLens' hooks; nothing is asked of a hub."""
    return TransformerBridge.boot_transformers(name, hf_model=model.eval(), tokenizer=tokenizer, device="cpu").eval()
