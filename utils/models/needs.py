"""What a mixture of experts from the Hugging Face hub needs, said before it is loaded: memory, time, and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import AutoConfig, AutoModelForCausalLM

BYTES = 4  # the zoo loads in float32
MARGIN = 1.1  # on top of the weights, for activations and for what is copied on the way


class Needs(NamedTuple):
    """The size of a mixture of experts.

    Attributes:
        parameters: all of them; they decide how much memory it takes.
        active: those that one token meets; they decide how long it takes.
    """

    parameters: int
    active: int

    @property
    def memory(self) -> float:
        """GiB, in float32."""
        return MARGIN * BYTES * self.parameters / 2**30

    def seconds(self, measured: float, active: int) -> float:
        """How long it takes for what a model with `active` parameters a token did in `measured` seconds.

        A rough guess: it takes the time to grow with the active parameters, which favours neither memory nor attention.
        """
        return measured * self.active / active


def needs(config: Any) -> Needs:
    """The size of a mixture with this configuration, such as `MixtralConfig()`; no weight is allocated."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    parameters = sum(value.numel() for value in model.parameters())
    expert = 3 * config.hidden_size * config.intermediate_size
    idle = config.num_hidden_layers * (config.num_local_experts - config.num_experts_per_tok) * expert
    return Needs(parameters, parameters - idle)


def needs_of(name: str) -> Needs:
    """The same for a model whose configuration is on this machine."""
    return needs(AutoConfig.from_pretrained(name, local_files_only=True))


def obstacle(name: str) -> str | None:
    """Why this model cannot be loaded now, in a sentence; None if it can. Nothing is asked of the network.

    Args:
        name: on the hub, as in `"allenai/OLMoE-1B-7B-0924"`, or the path of a folder.
    """
    if not _files_are_here(name):
        return f"{name} is not on this machine: `hf download {name}` fetches it."
    required, free = needs_of(name).memory, psutil.virtual_memory().available / 2**30
    if free < required:
        return f"{name} needs {required:.0f} GiB of memory, and {free:.0f} GiB are free."
    return None


def _files_are_here(name: str) -> bool:
    """Whether the configuration and every file of weights are in the hub's cache, or in the folder."""
    try:
        folder = Path(name) if Path(name).is_dir() else Path(snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError:
        return False
    index = folder / "model.safetensors.index.json"
    files = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else {"model.safetensors"}
    return all((folder / file).exists() for file in (*files, "config.json"))
