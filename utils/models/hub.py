"""What a model of the Hugging Face hub would cost, asked before it is loaded, without a network."""

from __future__ import annotations

import torch
from transformers import AutoConfig, AutoModelForCausalLM


def parameters(name: str) -> int | None:
    """How many parameters a model has whose files are on this machine; None if they are not.

    Args:
        name: on the hub, as in `"HuggingFaceTB/SmolLM2-1.7B-Instruct"`, or the path of a folder.
    """
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=True)
    except OSError:
        return None
    with torch.device("meta"):  # shapes without numbers: nothing is allocated
        model = AutoModelForCausalLM.from_config(config)
    return sum(value.numel() for value in model.parameters())
